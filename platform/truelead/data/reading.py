"""The ECG of a listed record, out of whatever file holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from truelead.signal import read_record
from truelead.signal.formats import FORMATS
from truelead.signal.formats.address import SEPARATOR
from truelead.signal.formats.base import NOTHING_STATED, StatedSignal
from truelead.signal.formats.reading import find_format, read_ecg
from truelead.types import Ecg, Record

WFDB = "wfdb"
_SUFFIXES = frozenset(suffix for one in FORMATS.values() for suffix in one.suffixes)


@dataclass(frozen=True)
class ListedEcg:
    """A record's ECG.

    Attributes:
        ecg: as its file has it, in mV.
        format: of the file.
        source_sha256: over the bytes of the record's files in their order; of a file that holds
            many ECGs, over the voltages of this one (float32 mV, lead after lead).
    """

    ecg: Ecg
    format: str
    source_sha256: str


@dataclass(frozen=True)
class Holder:
    """How a set keeps many ECGs in one file, each under its record_id.

    Attributes:
        format: of the file, a name in `FORMATS`.
        stated: what the file does not say itself, unless the user states something else.
    """

    format: str
    stated: StatedSignal


HOLDERS: Mapping[str, Holder] = MappingProxyType(
    {
        # In millivolts by prepare_code15_data.py of the PhysioNet Challenge 2025; Zenodo's record
        # of the set states no unit.
        "code15": Holder("hdf5", StatedSignal(units="mV")),
    }
)
"""Set whose files hold many ECGs -> how."""


def read_listed(
    root: Path,
    record: Record,
    *,
    format: str | None = None,
    stated: StatedSignal = NOTHING_STATED,
) -> ListedEcg:
    """Read the files that a record names.

    Args:
        root: folder of the set; `record.path` lies below it.
        format: a name in `FORMATS`; None: a path that is no file is a WFDB record, and the
            content of a file says what it is.
        stated: what the files do not say themselves.

    Raises:
        RecordError: the ECG cannot be read; see `truelead.signal.formats.reading.read_ecg`.
        OSError: a file cannot be read for another reason.
    """
    path = root / record.path
    if holder := HOLDERS.get(record.source):
        ecg = read_ecg(
            f"{path}{SEPARATOR}{record.record_id}",
            format=format or holder.format,
            stated=holder.stated if stated == NOTHING_STATED else stated,
        )
        voltages = np.ascontiguousarray(ecg.signal_LT, dtype="<f4").tobytes()
        return ListedEcg(ecg, format or holder.format, hashlib.sha256(voltages).hexdigest())
    if format is None and path.suffix.lower() not in _SUFFIXES and not path.is_file():
        format = WFDB
    if format == WFDB and stated == NOTHING_STATED:
        return ListedEcg(read_record(path), WFDB, _sha256(FORMATS[WFDB].files(path)))
    found, kind = find_format(path, format=format)
    ecg = read_ecg(found, format=kind.name, stated=stated)
    return ListedEcg(ecg, kind.name, _sha256(kind.files(found)))


def _sha256(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
