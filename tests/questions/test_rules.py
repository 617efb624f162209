from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truelead.questions.bank import QuestionBank
from truelead.questions.rules import (
    Unanswerable,
    newly_detected,
    persistent,
    resolved,
    still_absent,
)
from truelead.questions.scp import SCP_STATEMENTS
from truelead.types import Record

BANK = QuestionBank()

codes = st.dictionaries(
    st.sampled_from(sorted(SCP_STATEMENTS)), st.sampled_from([0.0, 15.0, 35.0, 50.0, 80.0, 100.0])
)


def record(record_id: str = "1", patient_id: str = "1", **labels: object) -> Record:
    return Record(record_id, patient_id, "made", "made", **labels)  # type: ignore[arg-type]


def answers(template_id: int, attributes: object, *records: Record) -> set[str]:
    return set(BANK.ask(template_id, attributes, records).answers)  # type: ignore[arg-type]


ILL = record(
    scp_codes={"CLBBB": 100.0, "IMI": 35.0, "LNGQT": 0.0, "INVT": 0.0, "AFIB": 0.0},
    infarction_stadium=("Stadium II-III", ""),
    heart_axis="LAD",
    baseline_drift=" , V6",
    static_noise=" , I-AVR,  ",
    extra_beats="VES",
)
HEALTHY = record("2", "2", scp_codes={"NORM": 80.0, "SR": 0.0}, heart_axis="MID")


@pytest.mark.parametrize(
    ("template_id", "attributes", "expected"),
    [
        (1, "CLBBB", {"yes"}),
        (1, "IMI", {"not sure"}),
        (1, "LNGQT", {"yes"}),  # diagnostic and form, likelihood unknown
        (1, "AFIB", {"yes"}),
        (1, "inverted t-waves", {"yes"}),
        (1, "CRBBB", {"no"}),
        (2, "IMI", {"yes"}),
        (2, "MI", {"yes"}),
        (2, "HYP", {"no"}),
        (3, ("CD", "HYP"), {"conduction disturbance"}),
        (4, ("IMI", "CRBBB"), {"myocardial infarction in inferior leads"}),
        (5, ("IMI", "CRBBB"), {"none"}),
        (4, ("IMI", "CLBBB"),
         {"myocardial infarction in inferior leads", "complete left bundle branch block"}),
        (5, ("IMI", "CLBBB"), {"complete left bundle branch block"}),
        (6, ("INVT", "LNGQT"), {"inverted t-waves", "long qt-interval"}),
        (7, ("SR", "AFLT"), {"none"}),
        (8, (), {"complete left bundle branch block", "myocardial infarction in inferior leads",
                 "long qt-interval"}),
        (9, (), {"complete left bundle branch block", "long qt-interval"}),
        (10, (), {"atrial fibrillation"}),
        (11, (), {"inverted t-waves", "long qt-interval"}),
        (12, (), {"no"}),
        (13, (), {"yes"}),
        (20, "left axis deviation", {"yes"}),
        (21, ("normal heart axis", "right axis deviation"), {"none"}),
        (22, (), {"left axis deviation"}),
        (23, "old stage of myocardial infarction", {"yes"}),
        (23, "early stage of myocardial infarction", {"no"}),
        (25, (), {"middle stage of myocardial infarction", "old stage of myocardial infarction"}),
        (26, ("static noise", "aVR"), {"yes"}),
        (26, ("static noise", "lead aVL"), {"no"}),
        (27, "burst noise", {"no"}),
        (28, "V6", {"yes"}),
        (29, (), {"yes"}),
        (30, ("baseline drift", "burst noise"), {"baseline drift"}),
        (31, ("baseline drift", "static noise", "V6"), {"baseline drift"}),
        (32, (), {"baseline drift", "static noise"}),
        (33, "I", {"static noise"}),
        (33, "V2", {"none"}),
        (34, "static noise", {"lead I", "lead II", "lead III", "lead aVR"}),
        (34, "burst noise", {"none"}),
        (35, (), {"yes"}),
        (36, "extrasystoles", {"no"}),
        (37, ("ventricular extrasystoles", "extrasystoles"), {"ventricular extrasystoles"}),
        (38, (), {"ventricular extrasystoles"}),
    ],
)  # fmt: skip
def test_answers_of_an_ill_patient(
    template_id: int, attributes: object, expected: set[str]
) -> None:
    assert answers(template_id, attributes, ILL) == expected


@pytest.mark.parametrize(
    ("template_id", "expected"),
    [
        (8, {"none"}), (9, {"none"}), (10, {"sinus rhythm"}), (11, {"none"}), (12, {"yes"}),
        (13, {"no"}), (14, {"no"}), (15, {"no"}), (16, {"yes"}), (22, {"normal heart axis"}),
        (25, {"none of myocardial infarction"}), (29, {"no"}), (32, {"none"}), (35, {"no"}),
        (38, {"none"}),
    ],
)  # fmt: skip
def test_answers_of_a_healthy_patient(template_id: int, expected: set[str]) -> None:
    assert answers(template_id, (), HEALTHY) == expected


def test_what_labels_do_not_say_is_not_guessed() -> None:
    blank = record(scp_codes={"IMI": 100.0}, static_noise="mittel")
    for template_id, attributes in (
        (22, ()),
        (25, ()),
        (23, "old stage of myocardial infarction"),
        (34, "static noise"),
    ):
        with pytest.raises(Unanswerable):
            answers(template_id, attributes, blank)
    unknown = record(scp_codes={"IMI": 100.0}, infarction_stadium=("unknown", ""))
    assert answers(25, (), unknown) == {"unknown stage of myocardial infarction"}
    with pytest.raises(Unanswerable):
        answers(23, "old stage of myocardial infarction", unknown)


@given(codes, codes)
def test_swapping_the_ecgs_swaps_the_change(
    before: dict[str, float], after: dict[str, float]
) -> None:
    a, b = record("1", scp_codes=before), record("2", scp_codes=after)
    assert resolved(a, b) == newly_detected(b, a)
    assert persistent(a, b) == persistent(b, a)
    assert still_absent(a, b) == still_absent(b, a)
    parts = [change(a, b) for change in (resolved, newly_detected, persistent, still_absent)]
    assert set().union(*parts) == set(SCP_STATEMENTS) - {"NORM"}
    assert sum(map(len, parts)) == len(SCP_STATEMENTS) - 1


@given(codes, codes)
def test_comparisons_ask_what_the_changes_say(
    before: dict[str, float], after: dict[str, float]
) -> None:
    a, b = record("1", scp_codes=before), record("2", scp_codes=after)
    assert answers(47, (), a, b) == answers(48, (), b, a)
    assert answers(49, (), a, b) == answers(49, (), b, a)
    for code in ("CLBBB", "SR"):
        verified = [answers(t, code, a, b) == {"yes"} for t in (43, 44, 45, 46)]
        assert sum(verified) == 1
        name = SCP_STATEMENTS[code].name
        assert verified[0] == (name in answers(47, (), a, b))
        assert verified[1] == (name in answers(48, (), a, b))
        assert verified[2] == (name in answers(49, (), a, b))
