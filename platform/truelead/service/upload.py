"""Uploaded files, as people have them, to the ECGs of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from truelead.errors import RecordError, ServiceError
from truelead.service import limits
from truelead.service.anonymous_error import anonymous
from truelead.service.file_input import refuse_archive
from truelead.service.wfdb_input import signal_file_name


@dataclass(frozen=True)
class UploadedFile:
    """A file of a form; its name pairs it with others and is never repeated or stored."""

    name: str = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def base(self) -> str:
        """The name without any folder, in lower case."""
        return PurePosixPath(self.name.replace("\\", "/")).name.lower()


def ecgs_of_files(
    files: Sequence[UploadedFile], stated: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The ECGs of uploaded files: WFDB headers with the signal files they name, others alone.

    Their order is that of the files; a WFDB record stands where its header does.

    Args:
        stated: fields of `FileContent` that the files do not say; no WFDB record takes any.

    Returns:
        one mapping an ECG, as `WfdbInput` or `FileInput` takes it.

    Raises:
        ServiceError: no file, or more ECGs than a question can be about; a header's signal file is
            not among the files.
        RecordError: a header cannot be used; a file is an archive.
    """
    for at, file in enumerate(files):
        refuse_archive(file.content, where=f"files.{at}")
    pairs, taken = _pairs(files)
    count = len(files) - len(taken)
    if not 1 <= count <= limits.MAXIMUM_ECGS:
        raise ServiceError(
            f"files: expected 1 to {limits.MAXIMUM_ECGS} ECGs (a WFDB header with its signal file, "
            f"or one file of another format each), found {count}"
        )
    if pairs and len(pairs) == count and stated:
        raise ServiceError(
            f"{next(iter(stated))}: expected no such field, as WFDB headers say it themselves"
        )
    ecgs: list[dict[str, Any]] = []
    for at, file in enumerate(files):
        if at in pairs:
            signal = files[pairs[at]]
            ecgs.append({"wfdb": {"header": file.content, "signal": signal.content}})
        elif at not in taken:
            ecgs.append({"file": {"name": file.base, "content": file.content, **(stated or {})}})
    return ecgs


def _pairs(files: Sequence[UploadedFile]) -> tuple[dict[int, int], set[int]]:
    """Place of each header's signal file, and the places of all signal files that were taken."""
    headers = [at for at, file in enumerate(files) if file.base.endswith(".hea")]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    # A renamed pair is still a pair where there is only one.
    only = len(headers) == 1 and len(files) == 2
    for at in headers:
        where = f"files.{at}"
        try:
            wanted = signal_file_name(files[at].content, where=where).lower()
        except RecordError as error:
            raise anonymous(error, where) from None
        fitting = [
            place
            for place, file in enumerate(files)
            if place not in taken and place not in headers and (only or file.base == wanted)
        ]
        if not fitting:
            raise ServiceError(f"{where}: expected the signal file that the header names")
        pairs[at] = fitting[0]
        taken.add(fitting[0])
    return pairs, taken
