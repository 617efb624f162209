"""What is left to fetch: files whose bytes on disk are the listed ones are kept as they are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from truelead.data.fetch.checksums import RemoteFile, matches
from truelead.data.fetch.listing import Listing
from truelead.data.fetch.names import destination
from truelead.data.fetch.partial import PartialFile
from truelead.data.fetch.problems import FetchFailure, Interruption
from truelead.data.fetch.retry import Pause
from truelead.data.fetch.session import Session

# Up to so many files are asked for their size one by one; beyond, that many spread over the list.
ASKED_FILES = 128
# A set may hold millions of files: only so many wait in the pool at a time.
BATCH_FILES = 4096
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to fetch and files that are already right.

    Attributes:
        bytes_total: size of all files to fetch; None where the server does not tell.
        exact: False where `bytes_total` is projected from some of the files.
        bytes_present: how much of it lies in unfinished downloads.
    """

    missing: list[RemoteFile]
    kept: int
    bytes_total: int | None
    exact: bool
    bytes_present: int


def make_plan(
    listing: Listing,
    root: Path,
    work_folder: Path,
    session: Session,
    pause: Pause,
    connections: int,
) -> Plan:
    """Compare the list with what is on disk and ask the server for sizes.

    Raises:
        DataError: a file's place is a symbolic link or not a file.
    """

    def is_right(file: RemoteFile) -> bool:
        pause.check()
        return matches(destination(root, file.name), file)

    def announced(file: RemoteFile) -> int | None:
        pause.check()
        return _announced_size(session, listing.url(file))

    with ThreadPoolExecutor(connections) as pool:
        right = _map(pool, is_right, listing.files, pause)
        missing = [file for file, done in zip(listing.files, right, strict=True) if not done]
        unsized = [file for file in missing if file.size is None]
        step = -(-len(unsized) // ASKED_FILES) or 1
        answers = _map(pool, announced, unsized[::step], pause)
    known = [size for size in answers if size is not None]
    listed = sum(file.size for file in missing if file.size is not None)
    total: int | None = listed
    if unsized:
        total = listed + round(sum(known) / len(known) * len(unsized)) if known else None
    return Plan(
        missing=missing,
        kept=len(listing.files) - len(missing),
        bytes_total=total,
        exact=len(known) == len(unsized),
        bytes_present=sum(PartialFile(work_folder, file).offset() for file in missing),
    )


def _announced_size(session: Session, url: str) -> int | None:
    """Content-Length of a HEAD answer; None where there is none, for whatever reason.

    The download itself tells what is wrong with a file; here only its size is wanted.
    """
    try:
        with session.open(url, method="HEAD") as response:
            text = response.headers.get("content-length", "")
            found = response.status_code == 200 and text.isascii() and text.isdigit()
            return int(text[:18]) if found else None
    except (Interruption, FetchFailure):
        return None


def _map(
    pool: ThreadPoolExecutor,
    function: Callable[[RemoteFile], Answer],
    files: list[RemoteFile],
    pause: Pause,
) -> list[Answer]:
    """`function` of each file in parallel; an exception or Ctrl-C ends the others."""
    answers: list[Answer] = []
    try:
        for start in range(0, len(files), BATCH_FILES):
            answers.extend(pool.map(function, files[start : start + BATCH_FILES]))
        return answers
    except BaseException:
        pause.stop()
        raise
