"""What users state of a file: taken where the file is silent, refused where it contradicts.

Every error names the command-line option that mends it.

Shape suffixes: L leads or columns, T samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg, StatementError
from truelead.signal.formats.base import StatedSignal
from truelead.signal.leads import canonical_lead_name, is_additional_lead, lead_columns
from truelead.types import LEADS

OPTIONS: dict[str, str] = {
    "sampling_rate": "--rate HZ",
    "units": "--units mV, uV, V or adc",
    "leads": "--leads I,II,...",
    "gain": "--gain ADC_UNITS_PER_MV",
    "orientation": "--orientation samples-by-leads or leads-by-samples",
}
"""Field of `StatedSignal` -> the option that states it."""

UNITS_PER_MILLIVOLT: dict[str, float] = {"mV": 1.0, "uV": 1000.0, "V": 0.001}
ORIENTATIONS = ("samples-by-leads", "leads-by-samples")
LARGEST_RATE = 1e6


def missing_statement(where: Path, field: str, found: str = "") -> StatementError:
    """The error for a field that neither the file nor the user says."""
    return StatementError(
        where,
        field=field.replace("_", " "),
        expected=f"{OPTIONS[field]}, as the file does not say it",
        found=found,
    )


def stated_rate(stated: StatedSignal, where: Path, found: str = "") -> float:
    """The stated sampling rate in Hz.

    Raises:
        StatementError: it is missing, or not above 0 and at most 1e6 Hz.
    """
    rate = stated.sampling_rate
    if rate is None:
        raise missing_statement(where, "sampling_rate", found)
    if not (math.isfinite(rate) and 0 < rate <= LARGEST_RATE):
        raise StatementError(
            where, field="sampling rate", expected="above 0 and at most 1e6 Hz", found=f"{rate:g}"
        )
    return float(rate)


def units_per_millivolt(stated: StatedSignal, where: Path) -> float:
    """How many of the file's units are one millivolt.

    Raises:
        StatementError: units are missing or unknown, "adc" comes without a gain, or a gain comes
            without "adc".
    """
    units, gain = stated.units, stated.gain
    if units is None:
        raise missing_statement(where, "units")
    if units == "adc":
        if gain is None:
            raise missing_statement(where, "gain")
        if not (math.isfinite(gain) and gain > 0):
            raise StatementError(where, field="gain", expected="above 0", found=f"{gain:g}")
        return float(gain)
    if units not in UNITS_PER_MILLIVOLT:
        raise StatementError(
            where, field="units", expected=OPTIONS["units"], found=repr(units[:16])
        )
    if gain is not None:
        raise StatementError(
            where, field="gain", expected="none unless the units are adc", found=f"{gain:g}"
        )
    return UNITS_PER_MILLIVOLT[units]


def refuse_contradiction(
    stated: StatedSignal,
    where: Path,
    *,
    sampling_rate: float,
    leads: Sequence[str],
    units: str | None = None,
) -> None:
    """Check a statement against a file that says everything itself.

    Args:
        sampling_rate: what the file says, in Hz.
        leads: the file's leads in its order.
        units: the file's unit; None where a statement of units cannot be checked.

    Raises:
        StatementError: the statement contradicts the file, or says what cannot be checked.
    """
    rate = stated.sampling_rate
    if rate is not None and not math.isclose(rate, sampling_rate, rel_tol=1e-6):
        raise StatementError(
            where,
            field="sampling rate",
            expected=f"{sampling_rate:g} Hz as the file says, or no --rate",
            found=f"{rate:g} Hz",
        )
    if stated.leads is not None and _canonical(stated.leads) != _canonical(leads):
        raise StatementError(
            where, field="leads", expected="those of the file in its order, or no --leads"
        )
    if stated.units is not None and stated.units != units:
        raise StatementError(
            where,
            field="units",
            expected=f"{units} as the file says, or no --units" if units else "no --units",
            found=repr(stated.units[:16]),
        )
    for field, value in (("gain", stated.gain), ("orientation", stated.orientation)):
        if value is not None:
            raise StatementError(
                where, field=field, expected=f"no --{field}, as the file says it itself"
            )


def leads_in_order(
    columns_LT: NDArray[np.floating], names: Sequence[str], per_millivolt: float, where: Path
) -> NDArray[np.float32]:
    """The 12 leads in millivolts, NaN where a lead is absent.

    Args:
        columns_LT: one row a name, in the file's units, NaN where a sample is missing.
        names: of the rows, in any spelling that `truelead.signal.leads` knows.
        per_millivolt: file units in one millivolt.

    Returns:
        float32 of shape (12, T).

    Raises:
        LeadError: see `lead_columns`.
        InvalidEcg: a value is infinite or no float32.
    """
    position_of_row = lead_columns(names, where=where)
    signal_LT = np.full((len(LEADS), columns_LT.shape[1]), np.nan, dtype=np.float32)
    rows, positions = list(position_of_row), list(position_of_row.values())
    millivolts_LT = columns_LT[positions].astype(np.float64) / per_millivolt
    largest = np.finfo(np.float32).max
    if bool((np.abs(millivolts_LT) > largest).any()):
        raise InvalidEcg(where, field="signal", expected="finite voltages or missing samples")
    signal_LT[rows] = millivolts_LT
    return signal_LT


def _canonical(names: Sequence[str]) -> list[str]:
    return [
        name.strip().lower() if is_additional_lead(name) else canonical_lead_name(name)
        for name in names
    ]
