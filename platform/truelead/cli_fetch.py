"""The command `fetch`: ECG sets by name or URL onto the disk."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from truelead.errors import ConfigError

console = Console()


def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="SET",
            help="A known set (--list), or the URL of a folder with SHA256SUMS.txt.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder that receives the files.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Only names that fit, such as 'records100/*' or '*.csv' (* also crosses /); "
            "repeatable.",
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A mirror: a folder with the set's files and a SHA256SUMS.txt."
        ),
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=32, help="Parallel downloads.")] = 4,
    attempts: Annotated[
        int, typer.Option(min=1, max=100, help="Attempts in a row that may fail, a file.")
    ] = 8,
    stall_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds without a byte that end a connection.")
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, and stop.")
    ] = False,
    list_sets: Annotated[bool, typer.Option("--list", help="Show the known sets.")] = False,
) -> None:
    """Download an ECG set; every file is verified, and the same command goes on after a break.

    What there is: truelead fetch --list

    All of a set: truelead fetch ptb-xl --output data/ptbxl

    A part: truelead fetch ptb-xl -o data/ptbxl --only 'records100/*' --only '*.csv'

    User name and password: TRUELEAD_FETCH_USER and TRUELEAD_FETCH_PASSWORD, ~/.netrc, or a prompt.

    Status 1: some files failed, one line each; the others are there.
    """
    from truelead.data.fetch import FetchOptions, FetchResult, fetch_set, resolve_set
    from truelead.data.fetch.plan import Plan
    from truelead.data.fetch.retry import Patience
    from truelead.data.fetch.space import show_bytes

    if list_sets:
        _print_sets()
        return
    if name is None or output is None:
        raise ConfigError("fetch: expected SET and --output FOLDER; --list shows the sets")
    # The library logs the address of each request, and a redirect's may be signed.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ecg_set = resolve_set(name, base_url)
    title = f"{ecg_set.name} {ecg_set.version}".strip()
    console.print(f"{title}, licence: {ecg_set.licence}, {ecg_set.page}", soft_wrap=True)

    def announce(plan: Plan) -> None:
        size = "size not told by the server"
        if plan.bytes_total is not None:
            size = ("" if plan.exact else "about ") + show_bytes(plan.bytes_total)
            if plan.bytes_present:
                size += f", {show_bytes(plan.bytes_present)} of it there"
        console.print(f"to fetch: {len(plan.missing)} files, {size}; verified: {plan.kept}")

    options = FetchOptions(
        only=tuple(only or ()),
        connections=connections,
        patience=Patience(attempts=attempts, stall_seconds=stall_timeout),
        dry_run=dry_run,
    )
    try:
        result: FetchResult = fetch_set(
            ecg_set, output, options, console=console, announce=announce
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None
    if dry_run:
        return
    for failed, reason in sorted(result.failed.items()):
        print(f"failed: {failed}: {reason}", file=sys.stderr)
    console.print(
        f"fetched {result.fetched}, kept {result.plan.kept}, failed {len(result.failed)}; "
        f"{show_bytes(result.received_bytes)} received"
    )
    if result.failed:
        raise typer.Exit(1)


def _print_sets() -> None:
    from truelead.data.fetch import KNOWN_SETS
    from truelead.data.fetch.space import show_bytes

    table = Table("set", "version", "licence", "size", "access", box=None)
    table.add_column("page", overflow="fold")
    for name, ecg_set in KNOWN_SETS.items():
        size = "-" if ecg_set.about_bytes is None else f"about {show_bytes(ecg_set.about_bytes)}"
        access = "account" if ecg_set.access == "credentialed" else "open"
        table.add_row(name, ecg_set.version, ecg_set.licence, size, access, ecg_set.page)
    console.print(table)
    console.print("size -: asked of the server when a download is planned; see --dry-run")
