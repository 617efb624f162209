"""HDF5 files: CODE-15% as it is published, and any dataset of two axes with a statement.

CODE-15% (Ribeiro et al., Zenodo 4916206, 2021): `tracings` [exams, 4096, 12] at 400 Hz, shorter
ones between zeros, and `exam_id`. Its unit must be stated: the record names none, and the authors'
model says "at the scale 1e-4V" (`units` adc with `gain` 10) and "multiplied by 1000" (mV) in one
sentence.

Shape suffixes: T samples, L leads.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truelead.errors import (
    InvalidEcg,
    MalformedHeader,
    MissingFile,
    RecordTooLarge,
    StatementError,
    UnsupportedFormat,
)
from truelead.signal.formats.address import Address, addressed_file, parse_address
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.hdf5_dataset import dataset_at, datasets, read_part
from truelead.signal.formats.optional_package import optional_package
from truelead.signal.formats.stated_array import check_array, ecg_of_array, stated_orientation
from truelead.signal.formats.statement import ORIENTATIONS, refuse_contradiction, stated_rate
from truelead.signal.record_files import open_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg

CODE15_LEADS = ("DI", "DII", "DIII", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
CODE15_RATE = 400.0
MAXIMUM_EXAMS = 4_000_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_TYPES = "iuf"
# What h5py raises on damaged files.
_H5PY_ERRORS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read one ECG of the file.

    Args:
        path: of the file where it holds one ECG; else "FILE::EXAM_ID", "FILE::#INDEX",
            "FILE::/DATASET" or "FILE::/DATASET#INDEX", see `address`.
        limits: what the file may claim before it is refused.
        stated: of CODE-15% the unit; of other files rate, units, leads and orientation.

    Returns:
        the ECG; zeros before and after a tracing of CODE-15% are cut off. `record_id` is the exam
        where one is named, else the file's name without extension, with what was picked in it.

    Raises:
        StatementError: a statement is missing, or contradicts what is known of CODE-15%.
        RecordError: one of its other kinds.
    """
    address = parse_address(path)
    where = address.file
    optional_package("h5py", where=where)
    descriptor, size = open_regular_file(str(where), field="file", where=str(where))
    os.close(descriptor)
    import h5py

    try:
        with h5py.File(str(where), "r") as root:
            exams = _code15(root)
            if exams is not None and not address.name.startswith("/"):
                return _read_exam(*exams, address, limits, stated, size)
            return _read_dataset(root, address, limits, stated, size)
    except _H5PY_ERRORS:
        raise MalformedHeader(
            where, field="HDF5 structure", expected="one that the HDF5 library can read"
        ) from None


def _code15(root: Any) -> tuple[Any, Any] | None:
    """The two datasets of CODE-15%, None where the file is another."""
    tracings, exam_ids = dataset_at(root, "tracings"), dataset_at(root, "exam_id")
    if tracings is None or exam_ids is None or tracings.ndim != 3 or exam_ids.ndim != 1:
        return None
    return tracings, exam_ids


def _read_exam(
    tracings: Any,
    exam_ids: Any,
    address: Address,
    limits: ReadLimits,
    stated: StatedSignal,
    file_bytes: int,
) -> Ecg:
    path = address.file
    if len(tracings) != len(exam_ids) or exam_ids.dtype.kind not in "iu":
        raise MalformedHeader(path, field="exam_id", expected="one whole number for each tracing")
    if stated.orientation not in (None, ORIENTATIONS[0]):
        raise StatementError(path, field="orientation", expected=f"{ORIENTATIONS[0]} or none")
    refuse_contradiction(
        replace(stated, units=None, gain=None, orientation=None),
        path,
        sampling_rate=CODE15_RATE,
        leads=CODE15_LEADS,
    )
    index, record_id = _exam(exam_ids, address, file_bytes)
    check_array(
        tracings.shape[1:],
        tracings.dtype.kind,
        tracings.dtype.itemsize,
        orientation=ORIENTATIONS[0],
        path=path,
        limits=limits,
    )
    tracing_TL = read_part(tracings, index, path=path, file_bytes=file_bytes)
    return ecg_of_array(
        _without_padding(tracing_TL, path),
        replace(stated, leads=CODE15_LEADS),
        path,
        orientation=ORIENTATIONS[0],
        sampling_rate=CODE15_RATE,
        record_id=record_id,
    )


def _exam(exam_ids: Any, address: Address, file_bytes: int) -> tuple[int, str]:
    """(index of the exam, the record's name)."""
    path, count = address.file, len(exam_ids)
    if not 1 <= count <= MAXIMUM_EXAMS:
        raise RecordTooLarge(
            path, field="exam_id", expected=f"1 to {MAXIMUM_EXAMS} exams", found=f"{count}"
        )
    if not address.name and address.index is None:
        if count > 1:
            raise StatementError(
                path,
                field="exam",
                expected="FILE::EXAM_ID or FILE::#INDEX, as the file holds several",
                found=f"{count}",
            )
        return 0, path.stem
    ids = read_part(exam_ids, None, path=path, file_bytes=file_bytes)
    if not address.name:
        index = _checked_index(address, count)
        return index, str(ids[index])
    if address.index is not None or not address.name.isdecimal():
        raise StatementError(path, field="exam", expected="FILE::EXAM_ID or FILE::#INDEX")
    found = np.flatnonzero(ids == int(address.name))
    if found.size == 0:
        raise MissingFile(path, field="exam", expected="an exam_id of the file", found="another")
    if found.size > 1:
        raise MalformedHeader(path, field="exam_id", expected="each once", found="it twice")
    return int(found[0]), address.name


def _without_padding(tracing_TL: NDArray[Any], path: Path) -> NDArray[Any]:
    """The tracing without the samples before and after it at which all leads are exactly 0."""
    recorded = np.flatnonzero((tracing_TL != 0).any(axis=1))
    if recorded.size == 0:
        raise InvalidEcg(path, field="tracing", expected="a recording", found="nothing but zeros")
    return tracing_TL[recorded[0] : recorded[-1] + 1]


def _read_dataset(
    root: Any, address: Address, limits: ReadLimits, stated: StatedSignal, file_bytes: int
) -> Ecg:
    path = address.file
    sampling_rate = stated_rate(stated, path)
    orientation = stated_orientation(stated, path)
    dataset = _dataset(root, address)
    index = None
    if dataset.ndim == 3:
        if address.index is None and len(dataset) != 1:
            raise StatementError(
                path,
                field="index",
                expected="FILE::/DATASET#INDEX, as the dataset holds several ECGs",
                found=f"{len(dataset)}",
            )
        index = _checked_index(address, len(dataset)) if address.index is not None else 0
    elif address.index is not None:
        raise StatementError(path, field="index", expected="none for a dataset of two axes")
    check_array(
        dataset.shape[-2:] if dataset.ndim == 3 else dataset.shape,
        dataset.dtype.kind,
        dataset.dtype.itemsize,
        orientation=orientation,
        path=path,
        limits=limits,
    )
    picked = (path.stem, *address.name.split("/"), *([] if address.index is None else [str(index)]))
    return ecg_of_array(
        read_part(dataset, index, path=path, file_bytes=file_bytes),
        stated,
        path,
        orientation=orientation,
        sampling_rate=sampling_rate,
        record_id="-".join(part for part in picked if part),
    )


def _dataset(root: Any, address: Address) -> Any:
    """The dataset that is named, or the only one that may hold ECGs."""
    path = address.file
    if address.name:
        named = dataset_at(root, address.name)
        if named is None:
            raise MissingFile(path, field="dataset", expected="a dataset of the file over no link")
        return named
    fitting = [
        dataset
        for dataset in datasets(root, path=path)
        if dataset.ndim in (2, 3) and dataset.dtype.kind in _TYPES
    ]
    if len(fitting) != 1:
        raise UnsupportedFormat(
            path,
            field="dataset",
            expected="one with two axes of numbers, or its name as FILE::/DATASET",
            found=f"{len(fitting)}",
        )
    return fitting[0]


def _checked_index(address: Address, count: int) -> int:
    index = address.index
    if index is None or index >= count:
        raise MissingFile(
            address.file, field="index", expected=f"0 to {count - 1}", found=f"{index}"
        )
    return index


def recognise(head: bytes) -> bool:
    """Whether HDF5's signature stands at the start, or behind a user block as MATLAB 7.3 has it."""
    return any(head[start:].startswith(_SIGNATURE) for start in (0, 512, 1024, 2048))


FORMAT = Format(
    name="hdf5",
    title="HDF5, CODE-15%",
    suffixes=(".hdf5", ".h5"),
    read=read,
    recognise=recognise,
    files=addressed_file,
    needs=("sampling_rate", "units", "leads", "orientation"),
)
