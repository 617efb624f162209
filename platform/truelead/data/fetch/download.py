"""One file: fetch what is missing of it, verify the whole, give it its name.

Ranges: RFC 9110, section 14. A server that ignores the range, or whose file has changed
(If-Range), sends the whole file anew and the part is dropped. Whatever the server does, only bytes
with the listed checksum take the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from truelead.data.durable import place_durably
from truelead.data.fetch.checksums import SHOWN, RemoteFile, matches
from truelead.data.fetch.names import destination, make_folders
from truelead.data.fetch.partial import PartialFile, Validator
from truelead.data.fetch.problems import FetchFailure, Interruption
from truelead.data.fetch.retry import Patience, Pause, with_retries
from truelead.data.fetch.session import Session
from truelead.data.fetch.space import need_space

# A file whose size neither the list nor the server tells is cut off here.
UNANNOUNCED_LIMIT_BYTES = 8 << 30
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Transfer:
    """What downloads of one run share.

    Attributes:
        show: told the bytes that are there; a negative number when a part is dropped.
        received: told the bytes that came over the network.
    """

    root: Path
    work_folder: Path
    session: Session
    patience: Patience
    pause: Pause
    show: Callable[[int], None]
    received: Callable[[int], None]


def download(file: RemoteFile, url: str, transfer: Transfer) -> None:
    """Bring a file below `transfer.root` under its listed name, verified and flushed to disk.

    Raises:
        FetchFailure: it cannot be had, or its bytes are never the listed ones.
        DataError: its place is a symbolic link or not a file.
        ResourceError: the disk has no room for it.
        Stopped: the run ended meanwhile; the part stays.
    """
    path = destination(transfer.root, file.name)
    partial = PartialFile(transfer.work_folder, file)
    resumed = partial.offset()
    transfer.show(resumed)
    if not (resumed and matches(partial.path, file)):
        if file.size is not None and resumed >= file.size:
            _drop(partial, transfer)
        _until_right(file, url, partial, transfer)
    make_folders(transfer.root, path)
    place_durably(partial.path, path)
    partial.discard()


def _until_right(file: RemoteFile, url: str, partial: PartialFile, transfer: Transfer) -> None:
    arrived = _Counter(transfer)
    for _ in range(transfer.patience.wrong_bytes_attempts):
        with_retries(
            lambda: _attempt(file, url, partial, transfer, arrived),
            transfer.patience,
            transfer.pause,
            lambda: arrived.furthest,
        )
        if matches(partial.path, file):
            return
        _drop(partial, transfer)
    raise FetchFailure(
        f"{SHOWN[file.digest.algorithm]} is not the listed one "
        f"({transfer.patience.wrong_bytes_attempts} downloads)"
    )


class _Counter:
    """Tells the run what arrives of one file, and keeps how far it got over all attempts."""

    def __init__(self, transfer: Transfer) -> None:
        self.furthest = 0
        self._transfer = transfer

    def add(self, count: int, offset: int) -> None:
        self.furthest = max(self.furthest, offset)
        self._transfer.show(count)
        self._transfer.received(count)


def _attempt(
    file: RemoteFile, url: str, partial: PartialFile, transfer: Transfer, arrived: _Counter
) -> None:
    """One request; afterwards the part is whole as far as the server's sizes tell."""
    offset = partial.offset()
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator := partial.validator().if_range():
            headers["If-Range"] = validator
    with transfer.session.open(url, headers=headers) as response:
        if response.status_code == 416:
            if matches(partial.path, file):
                return
            _drop(partial, transfer)
            raise Interruption("the part on disk does not fit the server's file")
        resumed = response.status_code == 206
        if resumed:
            total, start = _rest_fits(response, offset, partial, transfer), offset
        else:
            total, start = _content_length(response), 0
        if total is not None and file.size is not None and total != file.size:
            raise Interruption(f"expected {file.size} bytes, announced {total}")
        size = file.size if total is None else total
        if size is not None:
            need_space(transfer.root, size - start, file.name)
        if not resumed:
            transfer.show(-offset)
        with partial.append() if resumed else partial.restart(_validator(response)) as stream:
            end = _write(response, stream, start, size, transfer, arrived)
    if size is not None and end > size:
        _drop(partial, transfer)
        raise Interruption(f"expected {size} bytes, found more")
    if size is not None and end < size:
        raise Interruption("connection ended early")


def _write(
    response: httpx.Response,
    stream: BinaryIO,
    offset: int,
    size: int | None,
    transfer: Transfer,
    arrived: _Counter,
) -> int:
    """Append the body and return the part's length; ends early beyond `size`."""
    limit = UNANNOUNCED_LIMIT_BYTES if size is None else size
    for block in response.iter_raw():
        transfer.pause.check()
        stream.write(block)
        offset += len(block)
        arrived.add(len(block), offset)
        if offset > limit:
            if size is None:
                raise FetchFailure(f"expected at most {limit} bytes, found more")
            break
    return offset


def _rest_fits(
    response: httpx.Response, offset: int, partial: PartialFile, transfer: Transfer
) -> int | None:
    """The whole file's size, if this is the rest of the part on disk.

    Raises:
        Interruption: another range, or another version of the file; the part is dropped.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    before, now = partial.validator(), _validator(response)
    same = not (before.etag and now.etag) or before.etag == now.etag
    if match is None or int(match[1]) != offset or not same:
        _drop(partial, transfer)
        raise Interruption("the file changed" if not same else "the server sent another range")
    return None if match[3] == "*" else int(match[3])


def _drop(partial: PartialFile, transfer: Transfer) -> None:
    transfer.show(-partial.offset())
    partial.discard()


def _content_length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _validator(response: httpx.Response) -> Validator:
    return Validator(response.headers.get("etag", ""), response.headers.get("last-modified", ""))
