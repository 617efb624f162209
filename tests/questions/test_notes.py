from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truelead.questions import notes
from truelead.types import LEADS, Record


def record(**labels: object) -> Record:
    return Record("1", "1", "made", "made", **labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("note", "leads"),
    [
        (" , I-AVR,  ", "I II III aVR"),
        (" , I - AVF,  ", "I II III aVR aVL aVF"),
        (" , I --AVL,  ", "I II III aVR aVL"),
        ("v5-6", "V5 V6"),
        ("v4,6", "V4 V6"),
        ("V3-V5", "V3 V4 V5"),
        ("V4,5,6", "V4 V5 V6"),
        ("I,III-AVR", "I III aVR"),
        ("I,III,AVL,AVF;V6", "I III aVL aVF V6"),
        ("I-ALF", "I II III aVR aVL aVF"),
        (" , avl-iii, Stark,  ", "III aVR aVL"),
        (" , 2,", "V2"),
        ("v6????", "V6"),
        (" , mittel,  ", ""),
        (" , leicht, noisy recording,", ""),
        ("Elektroden vertauscht???", ""),
        ("Kontaktprobleme aVL ???", "aVL"),
        ("V", ""),
        ("", ""),
    ],
)
def test_noise_leads(note: str, leads: str) -> None:
    assert notes.noise_leads(note) == tuple(f"lead {lead}" for lead in leads.split())


@pytest.mark.parametrize("note", [" , alles,  ", "alle,  ,  ", " , Alles,  "])
def test_everywhere(note: str) -> None:
    assert notes.noise_leads(note) == notes.LEAD_NAMES


@given(st.sets(st.sampled_from(LEADS)), st.booleans())
def test_listed_leads_are_read_back(leads: set[str], upper: bool) -> None:
    note = ",".join(lead.upper() if upper else lead.lower() for lead in leads)
    assert set(notes.noise_leads(note)) == {f"lead {lead}" for lead in leads}


@given(st.text())
def test_any_text_is_read(note: str) -> None:
    assert set(notes.noise_leads(note)) <= set(notes.LEAD_NAMES)


def test_noises_of_a_lead() -> None:
    made = record(static_noise=" , I-III,  ", burst_noise="mittel")
    assert notes.noises(made) == {"static noise", "burst noise"}
    assert notes.noises(made, "lead II") == {"static noise"}
    assert notes.noises(made, "lead V6") == set()


@pytest.mark.parametrize(
    ("note", "kinds"),
    [
        ("", set()),
        ("1ES", {"extrasystoles"}),
        ("1Es", {"extrasystoles"}),
        ("VES4,alles", {"ventricular extrasystoles"}),
        ("SVES", {"supraventricular extrasystoles"}),
        ("VES,SVES1,alles", {"ventricular extrasystoles", "supraventricular extrasystoles"}),
        ("3ES,SVES", {"extrasystoles", "supraventricular extrasystoles"}),
        ("4ES(2Typen)", {"extrasystoles"}),
        ("7,V5", {"extrasystoles"}),
    ],
)
def test_extra_beats(note: str, kinds: set[str]) -> None:
    assert notes.extra_beats(record(extra_beats=note)) == kinds


@pytest.mark.parametrize(
    ("stadium", "expected"),
    [
        (("", ""), set()),
        (("unknown", ""), {notes.UNKNOWN_STAGE}),
        (("unknown", "Stadium I"), {notes.STAGES[0]}),
        (("Stadium III", ""), {notes.STAGES[2]}),
        (("Stadium II-III", ""), {notes.STAGES[1], notes.STAGES[2]}),
        (("Stadium III", "Stadium I"), {notes.STAGES[0], notes.STAGES[2]}),
    ],
)
def test_stages(stadium: tuple[str, str], expected: set[str]) -> None:
    assert notes.stages(record(infarction_stadium=stadium)) == expected


def test_heart_axis() -> None:
    assert notes.heart_axis(record(heart_axis="ALAD")) == "left axis deviation"
    assert notes.heart_axis(record(heart_axis="AXR")) == "extreme axis deviation"
    assert notes.heart_axis(record(heart_axis="SAG")) is None
    assert notes.heart_axis(record()) is None
