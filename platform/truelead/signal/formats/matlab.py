"""MATLAB level 5 files: one matrix of numbers with a statement, and the layout of ECG-FM.

Files that ECG-FM (McKeen et al., arXiv 2408.05178) and fairseq-signals prepare hold `feats`
[leads, samples] and `curr_sample_rate`; their leads and unit are stated. Level 4 files of the
PhysioNet challenges are read by the WFDB header beside them, level 7.3 files are HDF5.

No variable but the wanted ones is decoded, and no text, cell, structure or object ever is.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from truelead.errors import MalformedHeader, MissingFile, StatementError, UnsupportedFormat
from truelead.signal.formats.address import addressed_file, parse_address
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.matlab_elements import (
    HEADER_BYTES,
    SIGNATURE,
    Variable,
    checked_matrix,
    variables,
)
from truelead.signal.formats.stated_array import check_array, ecg_of_array, stated_orientation
from truelead.signal.formats.statement import ORIENTATIONS, refuse_contradiction, stated_rate
from truelead.signal.formats.xml_ecg import checked_rate
from truelead.signal.record_files import read_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg

MAXIMUM_FILE_BYTES = 512 * 2**20
FEATURES, RATE = "feats", "curr_sample_rate"


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read one matrix: `feats` with its rate, the one named as "FILE::VARIABLE", or the only one.

    Args:
        path: of the file, see `address`.
        limits: what the file may claim before it is refused.
        stated: units and leads; rate and orientation too, but for the layout of ECG-FM.

    Raises:
        StatementError: a statement is missing, or contradicts the file.
        RecordError: one of its other kinds.
    """
    address = parse_address(path)
    file = address.file
    if address.index is not None:
        raise StatementError(file, field="address", expected="FILE::VARIABLE, without an index")
    content = read_regular_file(
        str(file), maximum_bytes=MAXIMUM_FILE_BYTES, field="file", where=str(file)
    )
    found = variables(content, path=file)
    header = content[:HEADER_BYTES]
    largest = limits.maximum_samples * limits.maximum_leads
    record_id = f"{file.stem}-{address.name}" if address.name else file.stem
    if not address.name and FEATURES in found and RATE in found:
        chosen = found[FEATURES]
        sampling_rate = _stored_rate(header, found[RATE], file)
        orientation = ORIENTATIONS[1]
        if stated.orientation not in (None, orientation):
            raise StatementError(file, field="orientation", expected=f"{orientation} or none")
        refuse_contradiction(
            replace(stated, units=None, gain=None, orientation=None, leads=None),
            file,
            sampling_rate=sampling_rate,
            leads=(),
        )
    else:
        sampling_rate = stated_rate(stated, file)
        orientation = stated_orientation(stated, file)
        chosen = _chosen(found, address.name, file)
    if not chosen.numeric:
        raise UnsupportedFormat(file, field="variable", expected="a matrix of real numbers")
    check_array(chosen.shape, "f", 8, orientation=orientation, path=file, limits=limits)
    return ecg_of_array(
        _decoded(header, chosen, largest, file),
        stated,
        file,
        orientation=orientation,
        sampling_rate=sampling_rate,
        record_id=record_id,
    )


def _chosen(found: dict[str, Variable], name: str, file: Path) -> Variable:
    """The variable that is named, or the only matrix of more than one number."""
    if name:
        if name not in found:
            raise MissingFile(file, field="variable", expected="a variable of the file")
        return found[name]
    fitting = [
        variable
        for variable in found.values()
        if variable.numeric and len(variable.shape) == 2 and variable.shape != (1, 1)
    ]
    if len(fitting) != 1:
        raise UnsupportedFormat(
            file,
            field="variables",
            expected="one matrix of numbers, or its name as FILE::VARIABLE",
            found=f"{len(fitting)}",
        )
    return fitting[0]


def _stored_rate(header: bytes, variable: Variable, file: Path) -> float:
    if not variable.numeric or variable.shape != (1, 1):
        raise MalformedHeader(file, field=RATE, expected="one number of Hz")
    return checked_rate(float(_decoded(header, variable, 1, file)[0, 0]), where=str(file))


def _decoded(header: bytes, variable: Variable, maximum: int, file: Path) -> NDArray[Any]:
    """The matrix, by scipy, from a file of this one checked variable."""
    element = checked_matrix(variable, maximum, path=file)
    try:
        loaded = loadmat(io.BytesIO(header + element), verify_compressed_data_integrity=True)
        matrix = np.asarray(loaded[variable.name])
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError):
        raise MalformedHeader(file, field="variable", expected="a matrix of numbers") from None
    if matrix.shape != variable.shape or matrix.dtype.kind not in "iuf":
        raise MalformedHeader(file, field="variable", expected="numbers as its header says")
    return matrix


def recognise(head: bytes) -> bool:
    """Whether the header's text is that of level 5."""
    return head.startswith(SIGNATURE)


FORMAT = Format(
    name="matlab",
    title="MATLAB level 5",
    suffixes=(".mat",),
    read=read,
    recognise=recognise,
    files=addressed_file,
    needs=("sampling_rate", "units", "leads", "orientation"),
)
