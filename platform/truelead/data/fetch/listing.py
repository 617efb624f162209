"""What a set consists of: names and checksums as its publisher lists them.

Three forms: a folder with SHA256SUMS.txt (PhysioNet), a record of Zenodo's REST API
(https://developers.zenodo.org), a tree of GitHub's REST API at a fixed commit. A new form is one
function and one line in `LISTINGS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Any
from urllib.parse import quote

from truelead.data.fetch.checksums import Digest, RemoteFile, parse_checksums, without_doubles
from truelead.data.fetch.names import safe_name
from truelead.data.fetch.problems import FetchFailure, Interruption
from truelead.data.fetch.retry import Patience, Pause, with_retries
from truelead.data.fetch.session import Session
from truelead.data.fetch.sets import EcgSet, ListingKind
from truelead.errors import ConfigError, DataError

CHECKSUMS_FILE = "SHA256SUMS.txt"
# MIMIC-IV-ECG lists 1.6 million files of about 130 bytes a line.
MAXIMUM_LISTING_BYTES = 512 << 20
MAXIMUM_JSON_BYTES = 64 << 20
_REGULAR_FILE_MODES = {"100644", "100755"}


@dataclass(frozen=True, slots=True)
class Listing:
    """The selected files of a set, and where the list itself was stored."""

    ecg_set: EcgSet
    files: list[RemoteFile]
    path: Path

    def url(self, file: RemoteFile) -> str:
        """Address of a file."""
        return self.ecg_set.files_url + quote(file.name, safe="/") + self.ecg_set.files_suffix


def read_listing(
    ecg_set: EcgSet,
    session: Session,
    work_folder: Path,
    only: Iterable[str],
    patience: Patience,
    pause: Pause,
) -> Listing:
    """Download a set's list and keep the files that fit one of the patterns of `only`.

    Raises:
        FetchFailure: the list cannot be had.
        DataError: it is not what its form says, or a name could lead outside the folder.
        ConfigError: no file fits.
    """
    path = work_folder / "listing"
    limit = MAXIMUM_LISTING_BYTES if ecg_set.listing == "sha256sums" else MAXIMUM_JSON_BYTES
    try:
        with_retries(lambda: _save(session, ecg_set.listing_url, path, limit), patience, pause)
    except FetchFailure as error:
        raise FetchFailure(f"{ecg_set.name}: list of files: {error}") from error
    patterns = tuple(only)
    selected = [re.compile(translate(pattern)) for pattern in patterns]
    files = without_doubles(
        (
            file
            for file in LISTINGS[ecg_set.listing](path, ecg_set)
            if not selected or any(pattern.match(file.name) for pattern in selected)
        ),
        ecg_set.name,
    )
    if not files:
        if patterns:
            raise ConfigError(f"--only: no file of {ecg_set.name} fits {', '.join(patterns)}")
        raise DataError(f"{ecg_set.name}: list of files: expected at least one, found none")
    return Listing(ecg_set, files, path)


def _save(session: Session, url: str, path: Path, limit: int) -> None:
    with session.open(url) as response, path.open("wb") as stream:
        if response.status_code != 200:
            raise FetchFailure(f"server answered {response.status_code}")
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise FetchFailure(f"expected at most {limit} bytes, announced {announced}")
        left = limit
        for block in response.iter_raw():
            left -= len(block)
            if left < 0:
                raise FetchFailure(f"expected at most {limit} bytes, found more")
            stream.write(block)
        if announced.isdigit() and stream.tell() != int(announced):
            raise Interruption("connection ended early")


def _sha256sums(path: Path, ecg_set: EcgSet) -> Iterator[RemoteFile]:
    with path.open("rb") as stream:
        yield from parse_checksums(stream, f"{ecg_set.name}: {CHECKSUMS_FILE}")


def _zenodo(path: Path, ecg_set: EcgSet) -> Iterator[RemoteFile]:
    where = f"{ecg_set.name}: Zenodo record"
    for entry in _entries(path, "files", where):
        name, size, checksum = entry.get("key"), entry.get("size"), entry.get("checksum")
        if not (isinstance(name, str) and _is_size(size) and isinstance(checksum, str)):
            raise DataError(f"{where}: files: expected key, size and checksum")
        algorithm, _, value = checksum.partition(":")
        if algorithm not in {"md5", "sha256"}:
            raise DataError(f"{where}: checksum: expected md5 or sha256")
        digest = Digest("md5" if algorithm == "md5" else "sha256", value.lower())
        yield RemoteFile(safe_name(name, where), digest, size)


def _github(path: Path, ecg_set: EcgSet) -> Iterator[RemoteFile]:
    where = f"{ecg_set.name}: GitHub tree"
    for entry in _entries(path, "tree", where):
        name, kind, mode = entry.get("path"), entry.get("type"), entry.get("mode")
        if kind == "tree":
            continue
        if not isinstance(name, str) or kind != "blob" or mode not in _REGULAR_FILE_MODES:
            raise DataError(f"{where}: expected regular files, found a link or submodule")
        size, sha = entry.get("size"), entry.get("sha")
        if not (_is_size(size) and isinstance(sha, str)):
            raise DataError(f"{where}: expected size and sha of every file")
        yield RemoteFile(safe_name(name, where), Digest("git-sha1", sha), size)


def _entries(path: Path, key: str, where: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise DataError(f"{where}: expected JSON") from None
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{where}: {key}: expected a list of files")
    if content.get("truncated"):
        raise DataError(f"{where}: expected all files, found a truncated list")
    return entries


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


LISTINGS: dict[ListingKind, Callable[[Path, EcgSet], Iterator[RemoteFile]]] = {
    "sha256sums": _sha256sums,
    "zenodo": _zenodo,
    "github": _github,
}
