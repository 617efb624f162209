"""A job on a cluster as it runs: its log, line by line, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from truelead.cluster.address import cluster_errors
from truelead.errors import ClusterError

# How long a lost connection is tried again without a new line, and how often.
PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class JobLine:
    """One job of a cluster's list; times in ms since 1970."""

    identity: str
    status: str
    started: int | None
    ended: int | None
    command: str


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Attributes:
        status: SUCCEEDED, FAILED or STOPPED.
        code: exit status of the job: 0 only if it succeeded, 128 + n where signal n ended it, 1
            where Ray knows none.
        message: Ray's, one line.
    """

    status: str
    code: int
    message: str


def list_jobs(client: Any) -> list[JobLine]:
    """The submitted jobs that the cluster remembers, the latest first.

    Raises:
        ClusterError: the cluster does not answer.
    """
    with cluster_errors(client.get_address()):
        found = client.list_jobs()
    jobs = [
        JobLine(job.submission_id, str(job.status.value), job.start_time, job.end_time, command)
        for job in found
        if job.submission_id and (command := " ".join(job.entrypoint.split()))
    ]
    return sorted(jobs, key=lambda job: job.started or 0, reverse=True)


def follow(client: Any, identity: str, write: Callable[[str], object]) -> JobEnd:
    """Write the job's log from its start until the job has ended.

    A connection that breaks is made again, and the log goes on where it was.

    Args:
        client: of `truelead.cluster.address.connect`.
        identity: of the job.
        write: takes each new part of the log.

    Raises:
        ClusterError: the cluster does not know the job, or stays away; the job goes on.
        KeyboardInterrupt: Ctrl-C; the job goes on.
    """
    _details(client, identity)
    written, lost_since, broken = 0, None, _connection_errors()

    def go_on(text: str) -> None:
        nonlocal written
        write(text)
        written += len(text)

    while True:
        try:
            asyncio.run(_tail(client, identity, written, go_on))
            whole = True
        except broken:
            whole = False
        try:
            details = _details(client, identity)
            if details.status.is_terminal():
                if not whole:
                    with cluster_errors(client.get_address()):
                        go_on(client.get_job_logs(identity)[written:])
                return _end(details)
            lost_since = None
        except ClusterError as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > PATIENCE_SECONDS:
                raise ClusterError(
                    f"{identity}: lost the cluster while the job ran, it may go on: {error}"
                ) from error
        time.sleep(RETRY_SECONDS)


async def _tail(client: Any, identity: str, skip: int, write: Callable[[str], None]) -> None:
    """The log from its start, less the `skip` characters that were written before."""
    async with aclosing(client.tail_job_logs(identity)) as parts:
        async for part in parts:
            if skip < len(part):
                write(part[skip:])
            skip = max(0, skip - len(part))


def _details(client: Any, identity: str) -> Any:
    address = client.get_address()
    try:
        with cluster_errors(address):
            details = client.get_job_info(identity)
    except ClusterError as error:
        if "status code 404" in str(error):
            raise ClusterError(
                f"{identity}: expected a job of {address}, found none (see `truelead jobs`)"
            ) from None
        raise
    if not details.submission_id:
        raise ClusterError(f"{identity}: expected a submitted job, found one without a log")
    return details


def _end(details: Any) -> JobEnd:
    status, code = str(details.status.value), details.driver_exit_code
    if status == "SUCCEEDED":
        code = 0
    elif not code:
        code = 1
    elif code < 0:
        code = 128 - code
    return JobEnd(status, code, next(iter((details.message or "").splitlines()), ""))


def _connection_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError, RuntimeError)
