"""Where the checkpoints of a stage lie, and which of them are whole.

A checkpoint is a folder `step_<steps done>.<attempt>` on a plain path or any URL of fsspec. It
counts only when it is whole, and it becomes whole in one moment, at the end:

1. every worker's shard, written under another name, flushed to disk, then renamed;
2. `manifest.json`: SHA-256 and size of every shard, and what the run needs beside the tensors;
3. `COMPLETE`, the marker, with the manifest's own SHA-256.

What has no marker was broken off. What has one is still compared with it, file by file, before
anything of it is read: a file that is missing, changed, exchanged or one too many makes it damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelead.data.durable import flush_folder
from truelead.data.storage import Folder, Location, open_folder
from truelead.errors import CheckpointError

MANIFEST = "manifest.json"
MARKER = "COMPLETE"
DAMAGED = "DAMAGED"
"""Takes the marker's place in a checkpoint that was found damaged; holds the reason."""

SCHEMA = 2
LARGEST_MANIFEST_BYTES = 64 * 2**20
_ATTEMPTS = "attempts.json"
_NAME = re.compile(r"step_(\d{8})\.(\d{3,})")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class CheckpointName:
    """Folder name of a checkpoint.

    Each start of the workers is another attempt, so that a worker of an earlier one, which may
    still be alive on a node that was cut off, never writes into a folder of this one.
    """

    step: int
    attempt: int

    def __str__(self) -> str:
        return f"step_{self.step:08d}.{self.attempt:03d}"


@dataclass(frozen=True)
class WrittenFile:
    """A file as its writer knows it."""

    sha256: str
    bytes: int


class CheckpointStore:
    """The checkpoints in one folder."""

    def __init__(self, location: Location | Folder) -> None:
        self._root = open_folder(location)

    def __str__(self) -> str:
        return str(self._root)

    def folder(self, name: CheckpointName) -> Folder:
        """The folder of a checkpoint, there or not."""
        return self._root.below(str(name))

    def names(self) -> list[CheckpointName]:
        """All of them, whole or not, newest first."""
        matches = (_NAME.fullmatch(name) for name in self._root.names())
        return sorted((CheckpointName(int(m[1]), int(m[2])) for m in matches if m), reverse=True)

    def marked(self) -> list[CheckpointName]:
        """Those that were finished, damaged since or not, newest first."""
        return [name for name in self.names() if self.folder(name).size(MARKER) is not None]

    def next_attempt(self) -> int:
        """A number that no earlier start of the workers had, kept in a file of its own.

        Raises:
            CheckpointError: the place cannot be written.
        """
        used = max((name.attempt for name in self.names()), default=-1)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            used = max(used, int(json.loads(self._root.read(_ATTEMPTS))["last"]))
        try:
            self._root.make()
            self._root.place_text(_ATTEMPTS, json.dumps({"last": used + 1}))
        except OSError as error:
            raise CheckpointError(f"{self._root}: expected a place to write to: {error}") from error
        return used + 1

    def finish(
        self, name: CheckpointName, files: Mapping[str, WrittenFile], facts: Mapping[str, Any]
    ) -> None:
        """Write the manifest, then the marker; all of `files` must be on disk by now.

        Args:
            files: every file of the checkpoint.
            facts: JSON values that go into the manifest.
        """
        folder = self.folder(name)
        listed = {file: {"sha256": f.sha256, "bytes": f.bytes} for file, f in files.items()}
        manifest = json.dumps(
            {"schema": SCHEMA, "name": str(name), "files": listed, **facts}, indent=1
        )
        folder.place_text(MANIFEST, manifest)
        if self._root.local is not None:
            flush_folder(self._root.local)
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        folder.place_text(MARKER, json.dumps({"manifest_sha256": digest}))

    def manifest(self, name: CheckpointName) -> dict[str, Any]:
        """The manifest of a finished checkpoint, after its files were counted and measured.

        Raises:
            CheckpointError: it is not whole: marker, manifest and files do not belong together.
        """
        folder = self.folder(name)
        marker = _read_json(folder, MARKER)
        text = _read(folder, MANIFEST)
        if marker.get("manifest_sha256") != hashlib.sha256(text).hexdigest():
            raise CheckpointError(f"{folder.named(MANIFEST)}: content does not match its marker")
        manifest = _parsed(folder, MANIFEST, text)
        if manifest.get("schema") != SCHEMA:
            raise CheckpointError(
                f"{folder.named(MANIFEST)}: schema: expected {SCHEMA}, "
                f"found {manifest.get('schema')!r}"
            )
        if manifest["name"] != str(name):
            raise CheckpointError(
                f"{folder.named(MANIFEST)}: expected the manifest of {name}, "
                f"found that of {manifest['name']}"
            )
        expected = {*manifest["files"], MANIFEST, MARKER}
        found = set(folder.names())
        if lacking := sorted(expected - found):
            raise CheckpointError(f"{folder.named(lacking[0])}: expected a file, found none")
        if unknown := sorted(found - expected):
            raise CheckpointError(f"{folder.named(unknown[0])}: expected no such file")
        for file, listed in manifest["files"].items():
            if folder.size(file) != listed["bytes"]:
                raise CheckpointError(
                    f"{folder.named(file)}: expected {listed['bytes']} bytes, "
                    f"found {folder.size(file)}"
                )
        return manifest

    def verify(self, name: CheckpointName, *, share: int = 0, shares: int = 1) -> dict[str, Any]:
        """The manifest, after every `shares`-th file from `share` on was hashed as well.

        Raises:
            CheckpointError: see `manifest`; or a file's content does not match its SHA-256.
        """
        manifest = self.manifest(name)
        folder = self.folder(name)
        for file in sorted(manifest["files"])[share::shares]:
            try:
                digest = folder.sha256(file)
            except OSError as error:
                raise CheckpointError(
                    f"{folder.named(file)}: expected a readable file: {error}"
                ) from error
            if digest != manifest["files"][file]["sha256"]:
                raise CheckpointError(
                    f"{folder.named(file)}: content does not match its SHA-256 in {MANIFEST}"
                )
        return manifest

    def newest_whole(self) -> tuple[CheckpointName, dict[str, Any]] | None:
        """The newest whole checkpoint, with its manifest; damaged ones are named in the log."""
        for name in self.marked():
            try:
                return name, self.verify(name)
            except CheckpointError as error:
                _log.warning("checkpoint passed over: %s", error)
        return None

    def adopt(self, source: CheckpointStore, key: str) -> CheckpointName:
        """Copy the newest whole checkpoint of another training, to go on from it with this one.

        The tensors must be those of the same model; what differs is how it is trained from here
        on.

        Args:
            key: digest of this training.

        Raises:
            CheckpointError: the other training has no whole checkpoint.
        """
        found = source.newest_whole()
        if found is None:
            raise CheckpointError(
                f"{source}: expected a whole checkpoint to go on from, found none"
            )
        name, manifest = found
        if name in self.marked():
            return name
        folder = self.folder(name)
        folder.make()
        with source.opened(name, manifest) as paths:
            for file, path in zip(sorted(manifest["files"]), paths, strict=True):
                with folder.placed(file) as temporary:
                    shutil.copyfile(path, temporary)
        files = {file: WrittenFile(**listed) for file, listed in manifest["files"].items()}
        facts = {k: v for k, v in manifest.items() if k not in {"schema", "name", "files"}}
        self.finish(name, files, {**facts, "key": key})
        return name

    @contextlib.contextmanager
    def opened(self, name: CheckpointName, manifest: Mapping[str, Any]) -> Iterator[list[Path]]:
        """Local paths of a checkpoint's files, in order of their names, for the block."""
        folder = self.folder(name)
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(folder.fetched(file)) for file in sorted(manifest["files"])]

    def set_aside(self, name: CheckpointName, reason: str) -> None:
        """Take the marker from a damaged checkpoint: it no longer counts, nor does retention."""
        folder = self.folder(name)
        folder.remove(MARKER)
        folder.place_text(DAMAGED, reason + "\n")

    def remove(self, name: CheckpointName) -> None:
        """Remove a checkpoint, its marker first: half removed, it is not whole."""
        folder = self.folder(name)
        folder.remove(MARKER)
        folder.remove_whole()

    def remove_unfinished(self) -> None:
        """Remove what earlier attempts left without a marker; damaged ones stay until `prune`."""
        for name in self.names():
            folder = self.folder(name)
            if folder.size(MARKER) is None and folder.size(DAMAGED) is None:
                folder.remove_whole()

    def prune(self, keep: int) -> None:
        """Keep the newest `keep` finished ones; all else that is older than the newest goes."""
        marked = self.marked()
        kept = set(marked[:keep])
        for name in self.names():
            if marked and name < marked[0] and name not in kept:
                self.remove(name)


def _read_json(folder: Folder, name: str) -> dict[str, Any]:
    return _parsed(folder, name, _read(folder, name))


def _read(folder: Folder, name: str) -> bytes:
    size = folder.size(name)
    if size is None:
        raise CheckpointError(f"{folder.named(name)}: expected a file, found none")
    if size > LARGEST_MANIFEST_BYTES:
        raise CheckpointError(
            f"{folder.named(name)}: expected at most {LARGEST_MANIFEST_BYTES} bytes, found {size}"
        )
    try:
        return folder.read(name)
    except OSError as error:
        raise CheckpointError(f"{folder.named(name)}: expected a readable file: {error}") from error


def _parsed(folder: Folder, name: str, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{folder.named(name)}: expected JSON") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{folder.named(name)}: expected a JSON object")
    return found
