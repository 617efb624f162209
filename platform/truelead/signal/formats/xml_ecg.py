"""From the named rows of an XML file to an `Ecg`: leads placed, rate and voltages checked.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg, LeadError, MalformedHeader, RecordTooLarge
from truelead.signal.leads import canonical_lead_name, is_additional_lead, lead_columns
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

LOWEST_RATE, HIGHEST_RATE = 1.0, 1e6

UNITS = {"nV": "nV", "uV": "uV", "\u00b5V": "uV", "\u03bcV": "uV", "mV": "mV", "V": "V"}
"""A unit as it is written (micro sign or Greek letter) -> its UCUM name."""

MILLIVOLTS = {"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3}
"""Millivolts of one unit, by UCUM name."""


def columns_of(names: Sequence[str], *, limits: ReadLimits, where: str) -> dict[int, int]:
    """`lead_columns`, whose error does not repeat a foreign name: it could be the patient's.

    Raises:
        LeadError: as `lead_columns`.
        RecordTooLarge: more signals than the limit.
    """
    if len(names) > limits.maximum_leads:
        raise RecordTooLarge(
            where, field="leads", expected=f"at most {limits.maximum_leads}", found=f"{len(names)}"
        )
    for position, name in enumerate(names):
        if is_additional_lead(name):
            continue
        try:
            canonical_lead_name(name)
        except LeadError as error:
            found = f"another name at signal {position + 1} of {len(names)}"
            raise LeadError(where, field="lead", expected=error.expected, found=found) from None
    return lead_columns(names, where=where)


def checked_rate(rate: float, *, where: str) -> float:
    """The rate in Hz, whole where it differs from a whole one by rounding alone.

    Raises:
        MalformedHeader: below 1 Hz or above 1 MHz.
    """
    if not (math.isfinite(rate) and LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise MalformedHeader(
            where,
            field="sampling rate",
            expected=f"{LOWEST_RATE:g} to {HIGHEST_RATE:g} Hz",
            found=f"{rate:g}",
        )
    whole = float(round(rate))
    # 1 / 0.002777777777777778 s is 360 Hz but for the last bits.
    return whole if abs(rate - whole) <= 1e-9 * rate else rate


def ecg_of(
    path: Path, millivolts_of_row: Mapping[int, NDArray[np.float64]], *, sampling_rate: float
) -> Ecg:
    """The `Ecg` of rows of one length; leads without a row are NaN.

    Args:
        path: the file; its name is the record's.
        millivolts_of_row: row in `LEADS` -> float64 (T,), NaN where not recorded.
        sampling_rate: Hz.

    Raises:
        InvalidEcg: a voltage is infinite or beyond float32.
    """
    lengths = {row_T.size for row_T in millivolts_of_row.values()}
    assert len(lengths) == 1, "the reader compared the lengths"
    signal_LT = np.full((len(LEADS), lengths.pop()), np.nan, dtype=np.float32)
    largest = float(np.finfo(np.float32).max)
    for row, values_T in millivolts_of_row.items():
        if (np.abs(values_T) > largest).any():
            raise InvalidEcg(
                path, field=f"lead {LEADS[row]}", expected="voltages that float32 holds"
            )
        signal_LT[row] = values_T
    return Ecg(signal_LT, sampling_rate, record_id=path.stem)
