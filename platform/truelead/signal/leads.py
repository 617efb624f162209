"""Names of the 12 standard leads as they are written by ECG sets, and their canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from truelead.errors import LeadError
from truelead.types import LEADS

_PREFIXES = ("mdc_ecg_lead_", "ecg lead ", "lead ", "ecg ")

# Lower case -> canonical. Sets differ in letter case (PTB-XL writes AVR, LUDB avr), CODE-15% puts
# a D before the limb leads, and parts of Europe call the chest leads C1 to C6.
_CANONICAL: dict[str, str] = {
    **{lead.lower(): lead for lead in LEADS},
    **{f"d{lead.lower()}": lead for lead in ("I", "II", "III")},
    **{f"c{number}": f"V{number}" for number in range(1, 7)},
}

# Leads that some 12-lead sets record beside the standard ones: Frank's orthogonal leads (PTB),
# right-sided and posterior chest leads. A reader leaves them out; any other name is an error.
_ADDITIONAL = frozenset(
    ("vx", "vy", "vz", "x", "y", "z", "v1r", "v2r", "v3r", "v4r", "v5r", "v6r", "v7", "v8", "v9")
)


def _bare(name: str) -> str:
    """The name in lower case, without "lead" or "ecg" in front."""
    bare = name.strip().lower()
    for prefix in _PREFIXES:
        if bare.startswith(prefix):
            return bare[len(prefix) :].strip()
    return bare


def _shown(name: str) -> str:
    """A name made safe for a one-line message."""
    short = name if len(name) <= 24 else name[:24] + "..."
    return repr(short)


def canonical_lead_name(name: str, *, where: object = "lead") -> str:
    """One of `truelead.types.LEADS` for any spelling that 12-lead sets use.

    Args:
        name: such as "AVR", "avr", "Lead I", "DII", "C1", "MDC_ECG_LEAD_V1".
        where: the record that an error is about.

    Raises:
        LeadError: it is none of the 12 standard leads; the message names it.
    """
    canonical = _CANONICAL.get(_bare(name))
    if canonical is None:
        raise LeadError(
            where, field="lead", expected=f"one of {', '.join(LEADS)}", found=_shown(name)
        )
    return canonical


def is_additional_lead(name: str) -> bool:
    """Whether the name is a lead that may stand beside the 12 standard ones (Vx, V4R, V7, ...)."""
    return _bare(name) in _ADDITIONAL


def lead_columns(names: Sequence[str], *, where: object = "record") -> dict[int, int]:
    """Which signal holds which lead.

    Args:
        names: the record's signal names in file order.
        where: the record that an error is about.

    Returns:
        row in `LEADS` -> position in `names`, in ascending row order. Leads that the record lacks
        have no entry; additional leads are left out.

    Raises:
        LeadError: a lead occurs twice, a name is no lead of an ECG, or no standard lead is there.
    """
    try:
        return dict(_lead_columns(tuple(names)))
    except LeadError as error:
        raise LeadError(
            where, field=error.field, expected=error.expected, found=error.found
        ) from error


# All records of a set name their leads alike: one look-up instead of twelve.
@lru_cache(maxsize=64)
def _lead_columns(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    where = "record"
    columns: dict[int, int] = {}
    for position, name in enumerate(names):
        if is_additional_lead(name):
            continue
        lead = canonical_lead_name(name)
        row = LEADS.index(lead)
        if row in columns:
            raise LeadError(
                where, field="leads", expected="each lead once", found=f"{lead} more than once"
            )
        columns[row] = position
    if not columns:
        raise LeadError(
            where,
            field="leads",
            expected=f"at least one of {', '.join(LEADS)}",
            found=f"none among {len(names)} signals",
        )
    return tuple(sorted(columns.items()))
