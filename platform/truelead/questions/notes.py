"""Reading PTB-XL's free-text annotations: noise and its leads, extra beats, stage, heart axis.

The texts are short German or English notes such as " , I-AVR,  ", "v5-6", "alles", "1ES". Their
meaning was fitted to ECG-QA's official noise answers (Oh J. et al., NeurIPS 2023).
"""

from __future__ import annotations

import re

from truelead.types import LEADS, Record

LEAD_NAMES: tuple[str, ...] = tuple(f"lead {lead}" for lead in LEADS)
"""ECG-QA's names of the leads, in canonical order."""

NOISES: tuple[str, ...] = ("baseline drift", "static noise", "burst noise", "electrodes problems")
"""ECG-QA's kinds of noise; each is a column of PTB-XL."""

EXTRA_BEATS: tuple[str, ...] = (
    "extrasystoles",
    "ventricular extrasystoles",
    "supraventricular extrasystoles",
)
STAGES: tuple[str, ...] = (
    "early stage of myocardial infarction",
    "middle stage of myocardial infarction",
    "old stage of myocardial infarction",
)
NO_STAGE = "none of myocardial infarction"
UNKNOWN_STAGE = "unknown stage of myocardial infarction"

AXES: tuple[str, ...] = (
    "normal heart axis",
    "left axis deviation",
    "right axis deviation",
    "extreme axis deviation",
)

_COLUMN_OF_NOISE = {noise: noise.replace(" ", "_") for noise in NOISES}
_UPPER_LEADS = tuple(lead.upper() for lead in LEADS)
_MARK = re.compile(r"[A-Z]+|[1-6]|-")
_WORD = re.compile(r"[A-Z]+")
_EXTRA_BEAT_NAME = dict(zip(("ES", "VES", "SVES"), EXTRA_BEATS, strict=True))
_AXIS_OF_CODE = {
    "MID": AXES[0],
    "LAD": AXES[1],
    "ALAD": AXES[1],
    "RAD": AXES[2],
    "ARAD": AXES[2],
    "AXL": AXES[3],
    "AXR": AXES[3],
}
_STAGES_OF_TEXT = {
    "Stadium I": STAGES[:1],
    "Stadium I-II": STAGES[:2],
    "Stadium II": STAGES[1:2],
    "Stadium II-III": STAGES[1:],
    "Stadium III": STAGES[2:],
}


def noise_note(record: Record, noise: str) -> str:
    """The record's note on one of `NOISES`, empty if it has none."""
    note: str = getattr(record, _COLUMN_OF_NOISE[noise])
    return note.strip()


def noise_leads(note: str) -> tuple[str, ...]:
    """The leads a noise note names, as `LEAD_NAMES` in canonical order.

    "alle(s)" is every lead; "I-AVR" is a range in canonical order; a digit is a chest lead, with
    or without its V; a note such as "mittel" names none.
    """
    named: set[int] = set()
    last: int | None = None
    in_range = False
    for mark in _MARK.findall(note.upper()):
        if mark in ("ALLE", "ALLES"):
            return LEAD_NAMES
        if mark == "-":
            in_range = last is not None
            continue
        if mark == "V":
            continue  # its digits follow
        # "ALF" is how the annotators misspelled AVF.
        name = f"V{mark}" if mark.isdigit() else "AVF" if mark == "ALF" else mark
        if name not in _UPPER_LEADS:
            in_range = False
            continue
        here = _UPPER_LEADS.index(name)
        start = last if in_range and last is not None else here
        named.update(range(min(start, here), max(start, here) + 1))
        last, in_range = here, False
    return tuple(LEAD_NAMES[index] for index in sorted(named))


def noises(record: Record, lead: str | None = None) -> set[str]:
    """The kinds of noise on the record, or those in one of `LEAD_NAMES`."""
    notes = {noise: noise_note(record, noise) for noise in NOISES}
    return {
        noise
        for noise, note in notes.items()
        if note and (lead is None or lead in noise_leads(note))
    }


def extra_beats(record: Record) -> set[str]:
    """The kinds of extra beats noted; a note that names no kind counts as "extrasystoles"."""
    note = record.extra_beats.upper()
    if not note.strip():
        return set()
    # Whole words: "alles" ends like an extrasystole.
    kinds = {_EXTRA_BEAT_NAME[word] for word in _WORD.findall(note) if word in _EXTRA_BEAT_NAME}
    return kinds or {EXTRA_BEATS[0]}


def stages(record: Record) -> set[str]:
    """The infarction stages noted: of `STAGES`, or `UNKNOWN_STAGE`; empty where nothing is noted.

    "Stadium II-III" is both.
    """
    found: set[str] = set()
    for text in record.infarction_stadium:
        if text.strip():
            found.update(_STAGES_OF_TEXT.get(text.strip(), (UNKNOWN_STAGE,)))
    # A stage known for one of two infarctions is the more telling answer.
    return found - {UNKNOWN_STAGE} or found


def heart_axis(record: Record) -> str | None:
    """One of `AXES`, None where it is not noted or is sagittal."""
    return _AXIS_OF_CODE.get(record.heart_axis.strip().upper())
