from __future__ import annotations

import pytest

from truelead.errors import LeadError
from truelead.signal.leads import canonical_lead_name, lead_columns
from truelead.types import LEADS


@pytest.mark.parametrize("lead", LEADS)
def test_every_letter_case_is_understood(lead: str) -> None:
    assert {canonical_lead_name(form) for form in (lead, lead.upper(), lead.lower())} == {lead}


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("Lead I", "I"),
        (" ecg avf ", "aVF"),
        ("MDC_ECG_LEAD_aVR", "aVR"),
        ("DII", "II"),
        ("DIII", "III"),
        ("C4", "V4"),
    ],
)
def test_other_spellings(written: str, canonical: str) -> None:
    assert canonical_lead_name(written) == canonical


@pytest.mark.parametrize("name", ["", "MLII", "V7", "V10", "-aVR", "IIII", "RESP", "V"])
def test_other_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(LeadError, match=r"expected one of I, II, .* found '") as caught:
        canonical_lead_name(name)
    assert repr(name) in str(caught.value)


def test_columns_follow_the_canonical_order() -> None:
    columns = lead_columns(["V1", "aVR", "i", "Vx"])
    assert list(columns.items()) == [(0, 2), (3, 1), (6, 0)]


def test_a_doubled_lead_is_named_with_its_record() -> None:
    with pytest.raises(LeadError, match=r"^set/r1: leads: .*found aVR more than once") as caught:
        lead_columns(["AVR", "I", "avr"], where="set/r1")
    assert caught.value.where == "set/r1"


def test_no_standard_lead_at_all() -> None:
    with pytest.raises(LeadError, match="none among 3 signals"):
        lead_columns(["vx", "vy", "vz"])
