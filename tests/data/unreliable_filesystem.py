"""A filesystem of fsspec over local files that counts calls and fails some; for Ray workers too."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

PROTOCOL = "unreliable"
_TEMPORARY = re.compile(r"\.([^/]+)\.[0-9a-f]{12}\.part$")
FAILING = ("put_file", "get_file", "mv", "info", "ls", "cat_file")


class UnreliableFileSystem(AbstractFileSystem):
    """Files below a local folder. Every call is a line in `calls`, so that all processes count.

    For each file the first call of each kind fails with a fault of the network, whichever process
    makes it; with `dead`, a file named so can never be put in its place.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, base: str = "", dead: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.base, self.dead = base, dead
        self._local = LocalFileSystem(auto_mkdir=True)

    def _path(self, path: str) -> str:
        return os.path.join(self.base, self._strip_protocol(path).lstrip("/"))

    def _called(self, name: str, path: str) -> None:
        log = Path(self.base, "calls", name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            stream.write(b".")
        if name not in FAILING:
            return
        # A temporary key has another random part each time: it stands for the name it will take.
        stable = _TEMPORARY.sub(r"\1", self._strip_protocol(path))
        failed = Path(self.base, "failed", name, hashlib.sha256(stable.encode()).hexdigest())
        failed.parent.mkdir(parents=True, exist_ok=True)
        try:
            failed.touch(exist_ok=False)
        except FileExistsError:
            return
        raise ConnectionResetError(f"{name}: the first call for {stable}")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self._called("info", path)
        found = self._local.info(self._path(path))
        return {"name": path, "size": found["size"], "type": found["type"]}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        self._called("ls", path)
        names = sorted(os.listdir(self._path(path)))
        paths = [f"{self._strip_protocol(path).rstrip('/')}/{name}" for name in names]
        return [self.info(one) for one in paths] if detail else paths

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        self._called("put_file", rpath)
        if self.dead and self.dead in rpath:
            raise TimeoutError("never")
        self._local.put_file(lpath, self._path(rpath))

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        # Half a file arrives before the connection breaks.
        try:
            self._called("get_file", rpath)
        except ConnectionResetError:
            Path(lpath).write_bytes(b"half")
            raise
        self._local.get_file(self._path(rpath), lpath)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self._called("mv", path2)
        os.replace(self._path(path1), self._path(path2))

    def cat_file(self, path: str, **_: Any) -> bytes:
        self._called("cat_file", path)
        return Path(self._path(path)).read_bytes()

    def rm_file(self, path: str) -> None:
        self._called("rm_file", path)
        os.unlink(self._path(path))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        os.makedirs(self._path(path), exist_ok=exist_ok)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        self._called("open", path)
        return open(self._path(path), mode)


def calls(base: Path, name: str) -> int:
    """How often a kind of call was made, over all processes."""
    log = base / "calls" / name
    return log.stat().st_size if log.exists() else 0
