"""A file of any format from a request to its ECG, and nothing else of it.

The content goes into a private folder that is always removed; of the sender's name only the ending
is used, and only where it is a known one, so that no name can leave the folder or reach an error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from truelead.errors import RecordError, UnsupportedFormat
from truelead.service import limits
from truelead.service.anonymous_error import anonymous
from truelead.service.wire_ecg import FileContent
from truelead.signal import ReadLimits, read_ecg
from truelead.signal.formats import FORMATS
from truelead.signal.formats.base import StatedSignal
from truelead.types import Ecg

_STEM = "ecg"
_SUFFIXES = frozenset(suffix for one in FORMATS.values() for suffix in one.suffixes)
_READ_LIMITS = ReadLimits(
    maximum_samples=limits.MAXIMUM_SAMPLES,
    maximum_header_bytes=limits.MAXIMUM_HEADER_BYTES,
    maximum_segments=1,
)
_PACKED: dict[bytes, str] = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
}


def decode_file(sent: FileContent, *, where: str) -> Ecg:
    """The ECG of a file.

    Args:
        where: name of the ECG in the request; errors are about it.

    Raises:
        RecordError: a subclass says what cannot be used: see `truelead.signal.read_ecg`; archives
            and single files of a WFDB record are refused.
    """
    refuse_archive(sent.content, where=where)
    suffix = Path(sent.name.replace("\\", "/")).suffix.lower()
    if suffix == ".hea" or sent.format == "wfdb":
        raise UnsupportedFormat(
            where, field="file", expected="a WFDB record's header together with its signal file"
        )
    stated = StatedSignal(
        sampling_rate=sent.sampling_rate,
        units=sent.units,
        leads=sent.leads,
        gain=sent.gain,
        orientation=sent.orientation,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="truelead_") as folder:
            path = Path(folder, _STEM + (suffix if suffix in _SUFFIXES else ""))
            path.write_bytes(sent.content)
            ecg = read_ecg(path, format=sent.format, limits=_READ_LIMITS, stated=stated)
    except RecordError as error:
        raise anonymous(error, where) from None
    # A reader may know a pseudonym of the patient; here nobody asks for it.
    return Ecg(ecg.signal_LT, ecg.sampling_rate)


def refuse_archive(content: bytes, *, where: str) -> None:
    """Archives are not opened: what they claim to hold is bounded by nothing.

    Raises:
        UnsupportedFormat: the content is an archive's.
    """
    for magic, name in _PACKED.items():
        if content.startswith(magic):
            raise UnsupportedFormat(where, field="file", expected="the ECG file itself", found=name)
