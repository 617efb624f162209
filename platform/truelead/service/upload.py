"""Uploaded files, as people have them, to the ECGs of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from truelead.errors import RecordError, ServiceError
from truelead.service import limits
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


def pair_files(files: Sequence[UploadedFile]) -> list[dict[str, dict[str, bytes]]]:
    """The ECGs (as `WfdbInput` takes them) of .hea files and the signal files that they name.

    Their order is that of the .hea files.

    Raises:
        ServiceError: there is no header or there are too many; a header's signal file is not
            among the files; a file belongs to no header.
        RecordError: a header cannot be used.
    """
    headers = [file for file in files if file.base.endswith(".hea")]
    signals = [file for file in files if not file.base.endswith(".hea")]
    if not 1 <= len(headers) <= limits.MAXIMUM_ECGS:
        raise ServiceError(
            f"files: expected 1 to {limits.MAXIMUM_ECGS} header files (.hea), found {len(headers)}"
        )
    ecgs, left = [], list(signals)
    for at, header in enumerate(headers):
        where = f"files.{at}"
        try:
            wanted = signal_file_name(header.content, where=where).lower()
        except RecordError as error:
            raise type(error)(
                where, field=error.field, expected=error.expected, found=error.found
            ) from None
        # A renamed pair is still a pair where there is only one.
        only = len(headers) == 1 and len(signals) == 1
        signal = next((file for file in left if only or file.base == wanted), None)
        if signal is None:
            raise ServiceError(f"{where}: expected the signal file that the header names")
        left.remove(signal)
        ecgs.append({"wfdb": {"header": header.content, "signal": signal.content}})
    if left:
        raise ServiceError(
            f"files: expected only .hea files and their signal files, found {len(left)} more"
        )
    return ecgs
