"""A copy of a sweep at a URL: the journal, the results, the trained stages and their encoder.

A machine that is new to the sweep takes the copy back and goes on. Only one driver writes to it.
Files that are there with the same size are not sent again: stages lie under the digest of their
content, and the journal only grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from truelead.errors import DataError
from truelead.sweep.stages import STAGES
from truelead.train.stage import CHECKPOINTS

_LEFT_OUT = frozenset({"shards", "features", CHECKPOINTS, "tune", "records"})
_GROWING = (".jsonl", ".json", ".html", ".md", ".yaml")


class Mirror:
    """The copy of one run's sweeps.

    Args:
        url: of fsspec, with the credentials of its environment.
        run: folder of the run.

    Raises:
        DataError: the URL cannot be opened.
    """

    def __init__(self, url: str, run: Path) -> None:
        import fsspec

        try:
            self._system, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise DataError(f"storage: {url}: {' '.join(str(error).split())}") from error
        self._root = root.rstrip("/")
        self._run = run

    def push(self, sweep: Path) -> int:
        """Send what is not there yet; returns how many files were sent."""
        sent = 0
        for folder in (self._run / "encoder", self._run / "sweep" / STAGES, sweep):
            for path in _files(folder):
                sent += self._send(path)
        return sent

    def pull(self) -> int:
        """Take back what is not here; returns how many files came."""
        if not self._system.exists(self._root):
            return 0
        came = 0
        for found in sorted(self._system.find(self._root)):
            inside = str(found)[len(self._root) :].lstrip("/")
            target = self._run / inside
            if not target.resolve().is_relative_to(self._run.resolve()):
                raise DataError(f"storage: {found}: expected a file below the run, found another")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f".{target.name}.part")
                self._system.get_file(found, str(part))
                part.replace(target)
                came += 1
        return came

    def _send(self, path: Path) -> int:
        target = f"{self._root}/{path.relative_to(self._run).as_posix()}"
        if (
            path.suffix not in _GROWING
            and self._system.exists(target)
            and self._system.size(target) == path.stat().st_size
        ):
            return 0
        self._system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        self._system.put_file(str(path), target)
        return 1


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, without links, temporary files and what is made again cheaply."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in _LEFT_OUT or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix != ".lock":
            yield path
