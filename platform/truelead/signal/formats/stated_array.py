"""A bare array of two axes and a statement -> an `Ecg`.

Shape suffixes: L leads (12 or the array's), T samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truelead.errors import StatementError, UnsupportedFormat
from truelead.signal.formats.base import StatedSignal
from truelead.signal.formats.claims import check_samples, check_signals
from truelead.signal.formats.statement import (
    OPTIONS,
    ORIENTATIONS,
    leads_in_order,
    missing_statement,
    units_per_millivolt,
)
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg


def check_array(
    shape: tuple[int, ...], kind: str, item_bytes: int, *, orientation: str, path: Path,
    limits: ReadLimits,
) -> None:  # fmt: skip
    """Check the claims on an array before it is read.

    Args:
        shape: of the two axes.
        kind, item_bytes: of NumPy's type.
        orientation: one of `ORIENTATIONS`.

    Raises:
        UnsupportedFormat: it holds no real numbers, or has not two axes.
        MalformedHeader, RecordTooLarge: an axis is empty or beyond the limits.
    """
    if kind not in "iuf" or item_bytes > 8:
        raise UnsupportedFormat(
            path, field="type", expected="whole or real numbers of at most 8 bytes"
        )
    if len(shape) != 2:
        raise UnsupportedFormat(
            path, field="shape", expected="two axes, samples and leads", found=f"{len(shape)} axes"
        )
    samples, leads = shape if orientation == ORIENTATIONS[0] else shape[::-1]
    check_samples(samples, where=path, limits=limits)
    check_signals(leads, where=path, limits=limits)


def stated_orientation(stated: StatedSignal, path: Path) -> str:
    """How the axes lie.

    Raises:
        StatementError: it is missing or unknown.
    """
    if stated.orientation is None:
        raise missing_statement(path, "orientation")
    if stated.orientation not in ORIENTATIONS:
        raise StatementError(path, field="orientation", expected=OPTIONS["orientation"])
    return stated.orientation


def ecg_of_array(
    array: NDArray[Any], stated: StatedSignal, path: Path, *, orientation: str,
    sampling_rate: float, record_id: str,
) -> Ecg:  # fmt: skip
    """The `Ecg` of a checked array, its units and leads stated.

    Raises:
        StatementError: a statement is missing, or the number of leads is another.
        LeadError, InvalidEcg: see `leads_in_order`.
    """
    if stated.leads is None:
        raise missing_statement(path, "leads")
    per_millivolt = units_per_millivolt(stated, path)
    array_LT = array.T if orientation == ORIENTATIONS[0] else array
    if array_LT.shape[0] != len(stated.leads):
        raise StatementError(
            path,
            field="leads",
            expected=f"{array_LT.shape[0]} names for an array of {array.shape[0]} x "
            f"{array.shape[1]}, {orientation}",
            found=f"{len(stated.leads)}",
        )
    # A signalling NaN, as damaged files hold, is a missing sample like any other.
    with np.errstate(invalid="ignore"):
        signal_LT = leads_in_order(array_LT, stated.leads, per_millivolt, path)
    return Ecg(signal_LT, sampling_rate, record_id=record_id)
