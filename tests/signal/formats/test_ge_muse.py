"""MUSE files are written here with the elements of MUSE 9 exports; the package writes none."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.format_mutations import run_mutations
from tests.signal.formats.ge_muse_document import (
    DOCTYPE,
    PATIENT,
    STORED,
    digits_of,
    document,
    lead_data,
    waveform,
    whole,
)
from truelead.errors import (
    ChecksumMismatch,
    LeadError,
    MalformedHeader,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.ge_muse import FORMAT, read, recognise
from truelead.signal.generator import generate_ecg
from truelead.types import LEADS, Ecg


@pytest.fixture
def save(tmp_path: Path):
    def save(text: str) -> Path:
        path = tmp_path / "record.xml"
        path.write_bytes(text.encode("iso-8859-1"))
        return path

    return save


def read_file(path: Path, stated: StatedSignal = NOTHING_STATED) -> Ecg:
    return read(path, limits=DEFAULT_LIMITS, stated=stated)


def test_eight_leads_give_twelve(save) -> None:
    digits = digits_of()
    path = save(whole(digits))
    assert recognise(path.read_bytes()[:4096])
    ecg = read_file(path)
    assert (ecg.sampling_rate, ecg.record_id, ecg.patient_id) == (250.0, "record", "")
    lead = dict(zip(LEADS, ecg.signal_LT.astype(float), strict=True))
    for name in STORED:
        np.testing.assert_allclose(lead[name], digits[name] * 0.00488, atol=1e-6)
    first, second = digits["I"] * 0.00488, digits["II"] * 0.00488
    np.testing.assert_allclose(lead["III"], second - first, atol=1e-6)
    np.testing.assert_allclose(lead["aVR"], -(first + second) / 2, atol=1e-6)
    np.testing.assert_allclose(lead["aVL"], first - second / 2, atol=1e-6)
    np.testing.assert_allclose(lead["aVF"], second - first / 2, atol=1e-6)


def test_the_derived_leads_are_those_of_the_heart(save) -> None:
    """The generator projects each lead on its own, so this checks the formulas."""
    clean_LT = generate_ecg(4, {}, sampling_rate=250, seconds=2.0).clean.signal_LT
    digits = {
        lead: np.rint(lead_T / 0.00488).astype("<i2")
        for lead, lead_T in zip(LEADS, clean_LT, strict=True)
    }
    ecg = read_file(save(whole(digits)))
    np.testing.assert_allclose(ecg.signal_LT[2:6], clean_LT[2:6], atol=0.00488 * 1.01)


def test_stored_leads_are_not_derived(save) -> None:
    digits = digits_of()
    digits["aVL"] = digits["aVL"][::-1].copy()
    ecg = read_file(save(whole(digits, LEADS)))
    expected_LT = np.stack([digits[lead] * 0.00488 for lead in LEADS])
    np.testing.assert_allclose(ecg.signal_LT, expected_LT, atol=1e-6)


def test_without_leads_i_and_ii_nothing_is_derived(save) -> None:
    ecg = read_file(save(whole(digits_of(), ("II", "V2"))))
    assert ecg.lead_mask_L.nonzero()[0].tolist() == [1, 7]


def test_a_lead_that_was_off_is_missing_with_those_that_follow(save) -> None:
    digits = digits_of()
    leads = [lead_data(name, digits[name], off="TRUE" if name == "I" else "FALSE")
             for name in (*STORED, "aVF")]  # fmt: skip
    ecg = read_file(save(document(waveform("".join(leads)))))
    assert ecg.lead_mask_L.nonzero()[0].tolist() == [1, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("gain", "units", "step"),
    [
        ("4.88", "MICROVOLTS", 0.00488),
        ("0.00488", "MILLIVOLTS", 0.00488),
        ("4.88e-6", "VOLTS", 0.00488),
        ("2500", "NANOVOLTS", 0.0025),
        ("1", "microvolts", 0.001),
    ],
)
def test_every_unit_gives_millivolts(save, gain: str, units: str, step: float) -> None:
    digits = digits_of()
    text = waveform("".join(lead_data(n, digits[n], gain=gain, units=units) for n in LEADS))
    ecg = read_file(save(document(text)))
    expected_LT = np.stack([digits[lead] * step for lead in LEADS])
    np.testing.assert_allclose(ecg.signal_LT, expected_LT, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("base", "exponent", "rate"), [("5000", "-1", 500.0), ("5", "2", 500.0), ("250", "0", 250.0)]
)
def test_the_rate_has_an_exponent(save, base: str, exponent: str, rate: float) -> None:
    leads = "".join(lead_data(lead, digits_T) for lead, digits_T in digits_of().items())
    ecg = read_file(save(document(waveform(leads, base=base, exponent=exponent))))
    assert ecg.sampling_rate == rate


def test_the_rhythm_is_read_and_not_the_median(save) -> None:
    digits = digits_of()
    rhythm = waveform("".join(lead_data(lead, digits[lead]) for lead in STORED))
    median = waveform("".join(lead_data(lead, digits[lead][:60]) for lead in STORED), kind="Median")
    for parts in ((median, rhythm), (rhythm, median)):
        assert read_file(save(document(*parts))).signal_LT.shape == (12, 500)
    for parts in ((median,), (rhythm, rhythm), ()):
        with pytest.raises(UnsupportedFormat, match="one of type Rhythm"):
            read_file(save(document(*parts)))


def test_additional_leads_are_left_out(save) -> None:
    digits = digits_of()
    extra = {**digits, "V4R": digits["I"], "V9": digits["II"][:7]}
    plain, more = (read_file(save(whole(d, (*STORED, *e)))) for d, e in
                   ((digits, ()), (extra, ("V4R", "V9"))))  # fmt: skip
    np.testing.assert_array_equal(plain.signal_LT, more.signal_LT)


def test_a_foreign_or_doubled_lead_is_refused(save) -> None:
    text = whole(digits_of())
    foreign = text.replace("<LeadID>V3<", f"<LeadID>{PATIENT[0]}<")
    with pytest.raises(LeadError, match="another name at signal 5 of 8") as raised:
        read_file(save(foreign))
    assert PATIENT[0] not in str(raised.value)
    with pytest.raises(LeadError, match="V2 more than once"):
        read_file(save(text.replace("<LeadID>V3<", "<LeadID>V2<")))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (DOCTYPE, '<!DOCTYPE RestingECG [<!ENTITY a "1">]>', MalformedHeader),
        (DOCTYPE, '<!DOCTYPE RestingECG SYSTEM "x" [<!ATTLIST a b CDATA "1">]>', MalformedHeader),
        ("<LeadData>", "&a;<LeadData>", MalformedHeader),
        ("<SampleBase>250<", "<SampleBase>nan<", MalformedHeader),
        ("<SampleBase>250<", "<SampleBase>0<", MalformedHeader),
        ("<SampleExponent>0<", "<SampleExponent>300<", MalformedHeader),
        ("<SampleExponent>0<", "<SampleExponent>9<", MalformedHeader),
        ("<NumberofLeads>8<", "<NumberofLeads>12<", MalformedHeader),
        ("SampleCountTotal>500<", "SampleCountTotal>-1<", MalformedHeader),
        ("SampleCountTotal>500<", "SampleCountTotal>99999999999999999999<", RecordTooLarge),
        ("SampleCountTotal>500<", "SampleCountTotal>400<", MalformedHeader),
        ("ByteCountTotal>1000<", "ByteCountTotal>999<", MalformedHeader),
        ("PerBit>4.88<", "PerBit>inf<", MalformedHeader),
        ("PerBit>4.88<", "PerBit>0<", MalformedHeader),
        (">MICROVOLTS<", ">PASCALS<", MalformedHeader),
        ("SampleSize>2<", "SampleSize>4<", UnsupportedFormat),
        ("TimeOffset>0<", "TimeOffset>12<", UnsupportedFormat),
        ("LeadOff>FALSE<", "LeadOff>MAYBE<", MalformedHeader),
        ("<WaveFormData>", "<WaveFormData>*", MalformedHeader),
        ("<WaveFormData>", "<WaveFormData>A", MalformedHeader),
        ("<WaveFormData>", "<WaveFormData>AAAA", MalformedHeader),
        ("<LeadID>I<", "<LeadID>nothing<", LeadError),
        ("RestingECG", "StressECG", UnsupportedFormat),
    ],
)
def test_what_is_wrong_is_refused(save, old: str, new: str, error: type[RecordError]) -> None:
    text = whole(digits_of())
    assert old in text
    with pytest.raises(error) as raised:
        read_file(save(text.replace(old, new, -1 if old == "RestingECG" else 1)))
    assert type(raised.value) is error
    assert not any(secret in str(raised.value) for secret in PATIENT)


def test_a_lead_that_is_too_short_is_truncated(save) -> None:
    digits = digits_of()
    leads = "".join(lead_data(lead, digits[lead], checksum=False) for lead in STORED)
    text = document(waveform(leads))
    start = text.index("<WaveFormData>") + len("<WaveFormData>")
    with pytest.raises(TruncatedSignal, match="expected 1000 bytes, found 997"):
        read_file(save(text[:start] + text[start + 4 :]))
    assert read_file(save(text)).signal_LT.shape == (12, 500)


def test_leads_of_different_length_are_refused(save) -> None:
    digits = digits_of()
    digits["V6"] = digits["V6"][:-1]
    with pytest.raises(MalformedHeader, match="one for all leads"):
        read_file(save(whole(digits)))


def test_the_checksum_of_each_lead_is_verified(save) -> None:
    digits = digits_of()
    text = whole(digits)
    crc = zlib.crc32(digits["V1"].tobytes())
    with pytest.raises(ChecksumMismatch):
        read_file(save(text.replace(f">{crc}<", f">{crc ^ 1}<")))
    # Some exports write it signed.
    assert read_file(save(text.replace(f">{crc}<", f">{crc - 2**32}<"))).signal_LT.shape[1] == 500


def test_limits_hold_before_anything_is_built(save) -> None:
    path = save(whole(digits_of()))
    for limit, value in (("maximum_samples", 499), ("maximum_leads", 7)):
        limits = replace(DEFAULT_LIMITS, **{limit: value})
        with pytest.raises(RecordTooLarge, match=f"at most {value}"):
            read(path, limits=limits, stated=NOTHING_STATED)


def test_a_statement_must_agree(save) -> None:
    path = save(whole(digits_of()))
    agreeing = StatedSignal(sampling_rate=250.0, units="uV", leads=STORED)
    assert read_file(path, agreeing).sampling_rate == 250.0
    for stated in (StatedSignal(sampling_rate=500.0), StatedSignal(units="mV")):
        with pytest.raises(StatementError):
            read_file(path, stated)


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    content = whole(digits_of(1.0)).encode("iso-8859-1")
    outcome = run_mutations(FORMAT, content, 200, seed=1, folder=tmp_path, secrets=PATIENT)
    assert outcome.failures == []
    assert outcome.total == 200
    assert min(outcome.same, outcome.other, sum(outcome.refused.values())) > 0
