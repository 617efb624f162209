"""The part of a file that has arrived, and what tells whether the rest still fits to it.

Parts lie in one folder under names made from a hash, so that no listed name can meet one. Beside
each stands the checksum it is meant to reach and the server's validator (RFC 9110, section 8.8).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from truelead.data.fetch.checksums import RemoteFile

# Little enough that a killed process loses almost nothing of a connection.
BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Validator:
    """ETag and Last-Modified of the answer that the part began with; empty where not sent."""

    etag: str = ""
    last_modified: str = ""

    def if_range(self) -> str:
        """What If-Range may carry: a strong ETag, else the date (RFC 9110, section 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class PartialFile:
    """One unfinished download below the folder of unfinished downloads."""

    def __init__(self, work_folder: Path, file: RemoteFile) -> None:
        key = hashlib.sha256(file.name.encode("utf-8")).hexdigest()[:40]
        self.path = work_folder / f"{key}.part"
        self._state = work_folder / f"{key}.json"
        self._goal = f"{file.digest.algorithm}:{file.digest.value}"

    def offset(self) -> int:
        """Bytes that may be kept; 0 where nothing is there, or it belongs to other content."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return 0
        if size and self._read().get("goal") != self._goal:
            self.discard()
            return 0
        return size

    def validator(self) -> Validator:
        """The validator that the part was begun with."""
        state = self._read()
        return Validator(state.get("etag", ""), state.get("last_modified", ""))

    def restart(self, validator: Validator) -> BinaryIO:
        """Empty the part and open it for writing; the state is on disk before the first byte."""
        self.path.write_bytes(b"")
        state = {
            "goal": self._goal,
            "etag": validator.etag,
            "last_modified": validator.last_modified,
        }
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self._state)
        return self.append()

    def append(self) -> BinaryIO:
        """Open the part for writing at its end."""
        return self.path.open("ab", buffering=BUFFER_BYTES)

    def discard(self) -> None:
        """Remove the part and its state."""
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        try:
            state = json.loads(self._state.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(state, dict) or not all(isinstance(v, str) for v in state.values()):
            return {}
        return state
