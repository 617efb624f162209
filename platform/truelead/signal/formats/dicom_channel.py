"""Which lead a channel of a DICOM waveform is: its source code, its meaning, its label.

Codes: DICOM PS3.16, CID 3001 "ECG Lead", which takes them from ISO/IEEE 11073-10101 ("2:1",
scheme MDC) and from SCP-ECG ("5.6.3-9-1", scheme SCPECG); both number the leads alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from truelead.errors import LeadError
from truelead.signal.leads import canonical_lead_name, is_additional_lead
from truelead.types import LEADS

LEAD_NUMBERS: dict[int, str] = {
    1: "I",
    2: "II",
    61: "III",
    62: "aVR",
    63: "aVL",
    64: "aVF",
    **{2 + number: f"V{number}" for number in range(1, 7)},
}
"""Number of the lead in both coding schemes -> its name."""

# "2:1" and "131073" (2 * 65536 + 1) of MDC, "5.6.3-9-1" of SCP-ECG.
_CODE = re.compile(r"(?:2:|5\.6\.3-9-)([0-9]{1,4})")
_MDC_NUMBER = re.compile(r"13[12][0-9]{3}")
_MDC_BLOCK = 131_072
_EPONYM = re.compile(r"\s*\((?:einthoven|goldberger|wilson)\)\s*$", re.IGNORECASE)
_AUGMENTED = re.compile(r"^(?:augmented voltage|lead),?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChannelSource:
    """What a channel says about its source; texts are empty where absent."""

    code: str = ""
    meaning: str = ""
    label: str = ""


def channel_rows(sources: Sequence[ChannelSource], *, where: object) -> dict[int, int]:
    """Which channel of one multiplex group holds which lead.

    Returns:
        row in `LEADS` -> position in `sources`. Additional leads are left out.

    Raises:
        LeadError: a channel is no lead of an ECG, its code and its meaning name two leads, or a
            lead occurs twice. No text of the file is repeated.
    """
    positions: dict[int, int] = {}
    for position, source in enumerate(sources):
        lead = _lead(source, place=f"channel {position + 1}", where=where)
        if lead is None:
            continue
        row = LEADS.index(lead)
        if row in positions:
            raise LeadError(
                where, field="leads", expected="each lead once", found=f"{lead} more than once"
            )
        positions[row] = position
    return positions


def _lead(source: ChannelSource, *, place: str, where: object) -> str | None:
    """The standard lead, None for an additional one."""
    number = _lead_number(source.code)
    named = [name for text in (source.meaning, source.label) if (name := _name(text))]
    if number is None:
        if named:
            return named[0] if named[0] in LEADS else None
        raise LeadError(where, field=f"source of {place}", expected="a lead of an ECG")
    lead = LEAD_NUMBERS.get(number)
    if named and named[0] in LEADS and named[0] != lead:
        raise LeadError(
            where,
            field=f"source of {place}",
            expected=f"{named[0]}, as its meaning says",
            found=f"the code of {lead or 'another lead'}",
        )
    return lead


def _lead_number(code: str) -> int | None:
    match = _CODE.fullmatch(code.strip())
    if match:
        return int(match[1])
    if _MDC_NUMBER.fullmatch(code.strip()):
        number = int(code) - _MDC_BLOCK
        return number if 0 < number < 1000 else None
    return None


def _name(text: str) -> str:
    """The lead that a text names: canonical, or "other" for an additional one; "" if none."""
    bare = _EPONYM.sub("", text.strip())
    for candidate in (bare, _AUGMENTED.sub("", bare)):
        if is_additional_lead(candidate):
            return "other"
        try:
            return canonical_lead_name(candidate)
        except LeadError:
            continue
    return ""
