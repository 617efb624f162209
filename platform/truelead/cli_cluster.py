"""The commands `submit`, `attach` and `jobs`: the stages of the chain on a Ray cluster."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="URL",
        help="The dashboard's address; default: RAY_API_SERVER_ADDRESS, then RAY_ADDRESS.",
    ),
]


def submit(
    job: Annotated[str, typer.Argument(help="A program of jobs/ by its name, or sweep.")],
    recipe: Annotated[
        Path | None,
        typer.Argument(help="Recipe (or study): a file here, or absolute and on the cluster."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=c", help="Override a key of the recipe; repeatable."),
    ] = None,
    cluster: Cluster = None,
    arm: Annotated[str | None, typer.Option(help="One arm, of pretrain and finetune.")] = None,
    space: Annotated[Path | None, typer.Option(help="Search space, of sweep.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the log.")] = False,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME=VALUE",
            help="Of the job and its workers; no secrets: the cluster shows them. Repeatable.",
        ),
    ] = None,
    working_dir: Annotated[Path, typer.Option(help="Working tree that is sent.")] = Path("."),
) -> None:
    """Run a stage on a Ray cluster: this working tree is sent, and the log followed.

    The status is the job's. Ctrl-C stops the following, not the job.
    """
    from truelead.cluster.address import cluster_address, connect
    from truelead.cluster.sending import (
        Work,
        entrypoint,
        job_identity,
        parse_variables,
        vanishing_output,
    )
    from truelead.cluster.sending import submit as send

    default = "jobs/studies/tiny.yaml" if job == "study" else "jobs/recipes/tiny.yaml"
    work = Work(job, recipe or working_dir / default, tuple(overrides or ()), arm, space)
    address = cluster_address(cluster)
    command = entrypoint(work, working_dir)
    given = parse_variables(variables or ())
    _warn_of_open_token(address)
    if (output := vanishing_output(work)) is not None:
        _warn(
            f"output: {output} lies in the job's own copy of the tree and goes with it; "
            "--set output=/a/folder/that/every/node/sees keeps it"
        )
    client = connect(address)
    identity = job_identity(job)
    try:
        send(client, command, working_dir, identity=identity, variables=given)
        console.print(f"job {identity}: {escape(command)}", soft_wrap=True, highlight=False)
        if not detach:
            _follow(client, identity)
    except (KeyboardInterrupt, BrokenPipeError):
        _leave(identity, address)
    if detach:
        console.print(_attach_command(identity, address), soft_wrap=True, highlight=False)


def attach(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Of the job; see truelead jobs.")],
    cluster: Cluster = None,
) -> None:
    """Follow the log of a job from its start; the status is the job's. Ctrl-C leaves it running."""
    from truelead.cluster.address import cluster_address, connect

    address = cluster_address(cluster)
    try:
        _follow(connect(address), identity)
    except (KeyboardInterrupt, BrokenPipeError):
        _leave(identity, address)


def jobs(cluster: Cluster = None) -> None:
    """List the jobs of a cluster, the latest first."""
    from truelead.cluster.address import cluster_address, connect
    from truelead.cluster.following import list_jobs

    table = Table(box=None)
    for title in ("job", "status", "started (UTC)", "seconds"):
        table.add_column(title, no_wrap=True)
    table.add_column("command", overflow="fold")
    for job in list_jobs(connect(cluster_address(cluster))):
        started, seconds = "-", "-"
        if job.started is not None:
            started = f"{datetime.fromtimestamp(job.started / 1000, UTC):%Y-%m-%d %H:%M:%S}"
            if job.ended is not None:
                seconds = f"{(job.ended - job.started) / 1000:.0f}"
        table.add_row(escape(job.identity), job.status, started, seconds, escape(job.command))
    console.print(table)


def _follow(client: Any, identity: str) -> None:
    from truelead.cluster.following import follow

    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    end = follow(client, identity, show)
    print(f"job {identity}: {end.status}, status {end.code}", file=sys.stderr)
    if end.code:
        if end.message:
            print(end.message, file=sys.stderr)
        raise typer.Exit(end.code)


def _leave(identity: str, address: str) -> None:
    print(
        f"\nno longer followed; the job goes on: {_attach_command(identity, address)}",
        file=sys.stderr,
    )
    raise typer.Exit(130)


def _attach_command(identity: str, address: str) -> str:
    return f"truelead attach {identity} --cluster {address}"


def _warn_of_open_token(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        _warn(f"{address}: the token travels unencrypted; a tunnel or https:// keeps it secret")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
