"""A folder that lies anywhere fsspec reaches: plain paths, file://, s3://, gs:// and their like.

A file appears under its name only when it is whole: locally through `durable_file`, elsewhere
under a temporary key that then takes the name. Faults of the network are tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from truelead.data.durable import TEMPORARY_SUFFIX, durable_file
from truelead.errors import DataError

ATTEMPTS = 5
"""How often an operation on a remote folder is tried before its fault counts."""

FIRST_PAUSE_SECONDS = 0.1
"""Before the second attempt; each further pause is twice as long."""

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_BLOCK_BYTES = 2**20

Location = str | os.PathLike[str]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Folder:
    """A folder for whole files; travels between processes with its filesystem.

    Attributes:
        path: of the folder; inside `filesystem` where there is one.
        filesystem: of fsspec; None for a plain local folder.
        shown: how messages name the folder; a password in a URL is left out.
    """

    path: str
    filesystem: Any
    shown: str

    def __str__(self) -> str:
        return self.shown

    @property
    def local(self) -> Path | None:
        """The path, where the folder is a plain local one."""
        return Path(self.path) if self.filesystem is None else None

    def named(self, name: str) -> str:
        """How messages name a file of the folder."""
        return f"{self.shown.rstrip('/')}/{name}"

    def below(self, name: str) -> Folder:
        """The folder of that name in this one, there or not."""
        shown = f"{self.shown.rstrip('/')}/{name}"
        return Folder(self._inside(name), self.filesystem, shown)

    def exists(self) -> bool:
        """Whether the folder is there. An object store has no empty folders."""
        if self.filesystem is None:
            return Path(self.path).is_dir()
        # Not `isdir`, to which any fault is a folder that is not there.
        try:
            return bool(self._again(self.filesystem.info, self.path)["type"] == "directory")
        except FileNotFoundError:
            return False

    def make(self) -> None:
        """Make the folder where there is none."""
        if self.filesystem is None:
            Path(self.path).mkdir(parents=True, exist_ok=True)
        else:
            self._again(self.filesystem.makedirs, self.path, exist_ok=True)

    def names(self) -> list[str]:
        """Names of the files and folders directly below, in order."""
        if self.filesystem is None:
            folder = Path(self.path)
            return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
        try:
            found = self._again(self.filesystem.ls, self.path, detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where there is none."""
        if self.filesystem is None:
            file = Path(self.path, name)
            return file.stat().st_size if file.is_file() else None
        try:
            found = self._again(self.filesystem.info, self._inside(name))
        except FileNotFoundError:
            return None
        return int(found["size"]) if found["type"] == "file" else None

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.filesystem is None:
            return Path(self.path, name).read_bytes()
        return bytes(self._again(self.filesystem.cat_file, self._inside(name)))

    def opened(self, name: str, use: Callable[[BinaryIO], Result]) -> Result:
        """What `use` makes of the open file; it may seek, and may be called again.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.filesystem is None:
            with Path(self.path, name).open("rb") as stream:
                return use(stream)
        return self._again(self._opened, name, use)

    def sha256(self, name: str) -> str:
        """SHA-256 of a file's bytes, hexadecimal, read in blocks."""
        return self.opened(name, _stream_sha256)

    def remove(self, name: str) -> None:
        """Remove a file, where it is there."""
        if self.filesystem is None:
            Path(self.path, name).unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            self._again(self.filesystem.rm_file, self._inside(name))

    def remove_whole(self) -> None:
        """Remove the folder with everything in it, where it is there."""
        with contextlib.suppress(FileNotFoundError):
            if self.filesystem is None:
                shutil.rmtree(self.path)
            else:
                self._again(self.filesystem.rm, self.path, recursive=True)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to a local path; it may lie in a folder below (`a/b.hea`).

        Raises:
            FileNotFoundError: there is none.
        """
        if self.filesystem is None:
            target.write_bytes(Path(self.path, name).read_bytes())
            return
        self._again(self.filesystem.get_file, self._inside(name), str(target))

    @contextlib.contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """A local path of a file for the block: the file itself, or a copy that goes again."""
        if self.filesystem is None:
            yield Path(self.path, name)
            return
        with tempfile.TemporaryDirectory(prefix="truelead_") as scratch:
            copy = Path(scratch, name.rsplit("/", 1)[-1])
            self.fetch(name, copy)
            yield copy

    @contextlib.contextmanager
    def placed(self, name: str) -> Iterator[Path]:
        """Gives a local path to write; when the block ends well, the file stands in the folder."""
        if self.filesystem is None:
            with durable_file(Path(self.path, name)) as temporary:
                yield temporary
            return
        with tempfile.TemporaryDirectory(prefix="truelead_") as scratch:
            written = Path(scratch, name)
            yield written
            self._again(self._upload, written, name)

    def place_text(self, name: str, text: str) -> None:
        """Write UTF-8 text through `placed`."""
        with self.placed(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _inside(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _upload(self, written: Path, name: str) -> None:
        # A name of its own for each attempt: one that failed half-way is never taken for whole.
        key = self._inside(f".{name}.{uuid.uuid4().hex[:12]}{TEMPORARY_SUFFIX}")
        try:
            self.filesystem.put_file(str(written), key)
            self.filesystem.mv(key, self._inside(name))
        except BaseException:
            with contextlib.suppress(OSError):
                self.filesystem.rm_file(key)
            raise
        self.filesystem.invalidate_cache()
        found = self.filesystem.info(self._inside(name))["size"]
        if found != (expected := written.stat().st_size):
            raise OSError(f"expected {expected} bytes there, found {found}")

    def _opened(self, name: str, use: Callable[[BinaryIO], Result]) -> Result:
        with self.filesystem.open(self._inside(name), "rb") as stream:
            return use(stream)

    def _again(self, action: Callable[..., Result], *given: Any, **options: Any) -> Result:
        """The action's result; what a network may cure is tried `ATTEMPTS` times."""
        for attempt in range(ATTEMPTS):
            try:
                # Listings are cached by fsspec; other processes write here too.
                self.filesystem.invalidate_cache()
                return action(*given, **options)
            except _LASTING:
                raise
            except OSError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def is_url(location: Location) -> bool:
    """Whether the location is written as a URL (or as a chain of them) rather than a path."""
    text = os.fspath(location)
    return "://" in text or "::" in text


def local_path(location: Location) -> Path:
    """The path of a local folder, for what reads it many times.

    Raises:
        DataError: it is a URL of something else.
    """
    folder = open_folder(location)
    if folder.local is None:
        raise DataError(
            f"{folder}: expected a local folder of shards, found a URL: "
            "name it in data.shards_url, and stages read a local copy"
        )
    return Path(location) if not is_url(location) else folder.local


def open_folder(location: Location | Folder) -> Folder:
    """The folder of a path or URL; `file://` and `local://` are plain local folders.

    Raises:
        DataError: the URL's protocol is unknown, or its package is not installed.
    """
    if isinstance(location, Folder):
        return location
    text = os.fspath(location)
    if not is_url(text):
        return _local(Path(text))
    protocol = re.split(r"://|::", text, maxsplit=1)[0]
    shown = _without_password(text)
    try:
        filesystem, path = fsspec.core.url_to_fs(text)
    except ImportError:
        package = _PACKAGES.get(protocol)
        hint = f"{package}: pip install 'truelead[storage]'" if package else "see fsspec's list"
        raise DataError(
            f"{shown}: expected the package that reads {protocol}://, found none: {hint}"
        ) from None
    except ValueError:
        raise DataError(f"{shown}: expected a URL that fsspec knows, found {protocol}://") from None
    if isinstance(filesystem, LocalFileSystem):
        return _local(Path(path))
    return Folder(str(path).rstrip("/"), filesystem, shown)


def _stream_sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _local(path: Path) -> Folder:
    absolute = path.absolute()
    return Folder(str(absolute), None, str(absolute))


def _without_password(url: str) -> str:
    return re.sub(r"(://)[^/@\s]*@", r"\1", url)
