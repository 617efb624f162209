"""Numbers and units that a file claims, checked before anything is made of them."""

from __future__ import annotations

from truelead.errors import MalformedHeader, RecordTooLarge, UnsupportedFormat
from truelead.signal.formats.xml_ecg import MILLIVOLTS, UNITS
from truelead.signal.wfdb_record import ReadLimits

# "MV" would be megavolts by the book; no ECG has them, and some devices write it for mV.
_UNITS = {written.lower(): unit for written, unit in UNITS.items()}


def voltage_unit(written: str, *, where: object, field: str) -> str:
    """The unit as UCUM writes it, from any letter case. What is written is not repeated.

    Raises:
        UnsupportedFormat: it is no voltage.
    """
    unit = _UNITS.get(written.strip().lower())
    if unit is None:
        raise UnsupportedFormat(where, field=field, expected="mV, uV, nV or V")
    return unit


def millivolts_of(unit: str) -> float:
    """How many millivolts one unit of `voltage_unit` is."""
    return MILLIVOLTS[unit]


def one_unit(units: set[str]) -> str | None:
    """The unit that all leads have, None where they differ."""
    return next(iter(units)) if len(units) == 1 else None


def check_samples(samples: int, *, where: object, limits: ReadLimits) -> None:
    """Check the claimed number of samples of one lead.

    Raises:
        MalformedHeader: it is below 1.
        RecordTooLarge: it is above the limit.
    """
    _check(samples, limits.maximum_samples, "number of samples", where)


def check_signals(count: int, *, where: object, limits: ReadLimits) -> None:
    """Check the claimed number of signals.

    Raises:
        MalformedHeader: it is below 1.
        RecordTooLarge: it is above the limit.
    """
    _check(count, limits.maximum_leads, "number of signals", where)


def _check(claimed: int, limit: int, field: str, where: object) -> None:
    if claimed < 1:
        raise MalformedHeader(where, field=field, expected="at least 1", found=f"{claimed}")
    if claimed > limit:
        raise RecordTooLarge(where, field=field, expected=f"at most {limit}", found=f"{claimed}")
