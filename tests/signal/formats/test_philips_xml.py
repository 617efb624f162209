"""Philips files are written here: documents by the schemas, XLI by an encoder of the tests' own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.format_mutations import run_mutations
from tests.signal.formats.philips_document import (
    PATIENT,
    compress,
    compress_chunk,
    digits_of,
    plain_of,
    text_of,
    version_1_03,
    version_1_04,
    whole,
)
from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.philips_xli import decompress
from truelead.signal.formats.philips_xml import FORMAT, read, recognise
from truelead.types import LEADS, Ecg


def expected(leads: Mapping[str, np.ndarray], step: float = 0.005) -> np.ndarray:
    return np.stack([leads[lead] * step for lead in LEADS]).astype(np.float32)


@pytest.fixture
def save(tmp_path: Path):
    def save(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "record.xml"
        path.write_bytes(text.encode(encoding))
        return path

    return save


def read_file(path: Path, stated: StatedSignal = NOTHING_STATED) -> Ecg:
    return read(path, limits=DEFAULT_LIMITS, stated=stated)


@pytest.mark.parametrize("version", ["1.03", "1.04", "1.04.01", "1.04.02"])
def test_compressed_leads_are_read_exactly(save, version: str) -> None:
    leads = digits_of()
    data = text_of(compress(leads))
    text = version_1_04(leads, data, version=version)
    if version == "1.03":
        text = version_1_03(leads, data)
    path = save(text)
    assert recognise(path.read_bytes()[:4096])
    ecg = read_file(path)
    np.testing.assert_array_equal(ecg.signal_LT, expected(leads))
    assert (ecg.sampling_rate, ecg.record_id, ecg.patient_id) == (500.0, "record", "")


def test_files_in_utf16_are_read(save) -> None:
    leads = digits_of()
    path = save(whole(leads).replace("UTF-8", "UTF-16"), "utf-16")
    assert recognise(path.read_bytes()[:4096])
    np.testing.assert_array_equal(read_file(path).signal_LT, expected(leads))


def test_the_limb_leads_may_be_anything(save) -> None:
    """What is stored beside I and II is exact, whatever the other limb leads are."""
    generator = np.random.default_rng(0)
    leads = {lead: generator.integers(-2000, 2000, size=400) for lead in LEADS}
    np.testing.assert_array_equal(read_file(save(whole(leads))).signal_LT, expected(leads))


@pytest.mark.parametrize(
    "samples",
    [
        [5, -7, 5],
        [7] * 3000,
        list(range(-1000, 1000)),
        [(-1) ** n * 8000 for n in range(64)],
        [-32768, -32768, -32768, 0, 32767],
    ],
)
def test_the_decompressor_on_hard_signals(samples: list[int]) -> None:
    """Runs make codes that name the entry being built; steep ones need all 16 bits."""
    chunk = compress_chunk(samples)
    (read_T,) = decompress(chunk, leads=1, samples=len(samples), where="x")
    assert read_T.tolist() == samples


def test_uncompressed_leads_are_the_leads_themselves(save) -> None:
    leads = digits_of()
    base64_text = text_of(plain_of(leads))
    plain_text = " ".join(str(value) for lead_T in leads.values() for value in lead_T)
    for text in (
        version_1_03(leads, base64_text, flag="False"),
        version_1_04(leads, base64_text, how='dataencoding="Base64"'),
        version_1_04(leads, plain_text, how='dataencoding="Plain"'),
    ):
        np.testing.assert_array_equal(read_file(save(text)).signal_LT, expected(leads))


def test_the_offset_is_subtracted(save) -> None:
    leads = digits_of()
    raised = {lead: lead_T + 2048 for lead, lead_T in leads.items()}
    text = version_1_04(leads, text_of(plain_of(raised)), how='dataencoding="Base64"')
    path = save(text.replace('signaloffset="0"', 'signaloffset="2048"'))
    np.testing.assert_array_equal(read_file(path).signal_LT, expected(leads))
    with pytest.raises(UnsupportedFormat):
        read_file(save(whole(leads).replace('signaloffset="0"', 'signaloffset="1"')))


def test_the_resolution_is_in_microvolts(save) -> None:
    leads = digits_of()
    ecg = read_file(save(version_1_04(leads, text_of(compress(leads)), resolution="1.25")))
    np.testing.assert_array_equal(ecg.signal_LT, expected(leads, 0.00125))


def test_sixteen_channels_of_which_twelve_are_named(save) -> None:
    leads = digits_of()
    empty = compress_chunk([0] * leads["I"].size)
    path = save(version_1_04(leads, text_of(compress(leads) + 4 * empty)))
    np.testing.assert_array_equal(read_file(path).signal_LT, expected(leads))


def test_additional_leads_are_left_out_and_missing_ones_nan(save) -> None:
    leads = digits_of()
    more = {**leads, "V4R": leads["I"], "V9": leads["II"]}
    np.testing.assert_array_equal(read_file(save(whole(more))).signal_LT, expected(leads))
    few = {name: leads[name] for name in ("II", "V2")}
    chunks = b"".join(compress_chunk(lead_T) for lead_T in few.values())
    ecg = read_file(save(version_1_04(few, text_of(chunks))))
    assert ecg.lead_mask_L.nonzero()[0].tolist() == [1, 7]


def test_leads_that_cannot_be_put_back_are_refused(save) -> None:
    leads = digits_of()
    few = {name: leads[name] for name in ("I", "II", "aVF")}
    chunks = b"".join(compress_chunk(lead_T) for lead_T in few.values())
    with pytest.raises(LeadError, match="I, II and III"):
        read_file(save(version_1_04(few, text_of(chunks))))


def test_the_calibration_mark_is_cut_off(save) -> None:
    leads = digits_of()
    mark = np.concatenate([np.zeros(50, int), np.full(100, 200), np.zeros(50, int)])
    marked = {lead: np.concatenate([lead_T, mark]) for lead, lead_T in leads.items()}
    for text in (
        whole(marked),
        version_1_04(marked, text_of(plain_of(marked)), how='dataencoding="Base64"'),
    ):
        np.testing.assert_array_equal(read_file(save(text)).signal_LT, expected(leads))
    # Zeros alone, and a mark of another height, are no calibration mark.
    for level in (0, 150):
        other = {
            lead: np.concatenate([lead_T, np.full(100, level)]) for lead, lead_T in leads.items()
        }
        np.testing.assert_array_equal(read_file(save(whole(other))).signal_LT, expected(other))


def test_a_foreign_or_doubled_lead_is_refused(save) -> None:
    text = whole(digits_of())
    with pytest.raises(LeadError, match="another name at signal 9 of 12") as raised:
        read_file(save(text.replace(" V3 ", f" {PATIENT[0]} ")))
    assert PATIENT[0] not in str(raised.value)
    with pytest.raises(LeadError, match="V2 more than once"):
        read_file(save(text.replace(" V3 ", " V2 ")))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("<restingecgdata", '<!DOCTYPE a [<!ENTITY b "c">]><restingecgdata', MalformedHeader),
        ("<restingecgdata", '<!DOCTYPE a SYSTEM "b"><restingecgdata', MalformedHeader),
        ("PhilipsECG", "OtherECG", UnsupportedFormat),
        (">1.04<", ">9.99<", UnsupportedFormat),
        ('"XLI"', '"ZIP"', UnsupportedFormat),
        ('"Base64"', '"Hex"', UnsupportedFormat),
        ('bitspersample="16"', 'bitspersample="12"', UnsupportedFormat),
        ('signalsigned="True"', 'signalsigned="False"', UnsupportedFormat),
        ('samplespersecond="500"', 'samplespersecond="nan"', MalformedHeader),
        ('samplespersecond="500"', 'samplespersecond="0"', MalformedHeader),
        ('samplespersecond="500"', 'samplespersecond="333.7"', MalformedHeader),
        ('samplespersecond="500"', "", MalformedHeader),
        ('resolution="5"', 'resolution="-5"', MalformedHeader),
        ('resolution="5"', 'resolution="1e300"', MalformedHeader),
        ('durationperchannel="2000"', 'durationperchannel="99999999999"', RecordTooLarge),
        ('durationperchannel="2000"', 'durationperchannel="2004"', TruncatedSignal),
        ('durationperchannel="2000"', 'durationperchannel="1996"', MalformedHeader),
        ('durationperchannel="2000"', 'durationperchannel="2"', MalformedHeader),
        ('numberofleads="12"', 'numberofleads="11"', MalformedHeader),
        ('numberofleads="12"', 'numberofleads="65"', RecordTooLarge),
        ('bitspersample="16">\n', 'bitspersample="16">\n*', MalformedHeader),
        ("parsedwaveforms", "unparsedwaveforms", MalformedHeader),
        ("restingecgdata", "stressecgdata", UnsupportedFormat),
    ],
)
def test_what_is_wrong_is_refused(save, old: str, new: str, error: type[RecordError]) -> None:
    text = whole(digits_of())
    assert old in text
    several = old in {"parsedwaveforms", "restingecgdata"}
    with pytest.raises(error) as raised:
        read_file(save(text.replace(old, new, -1 if several else 1)))
    assert type(raised.value) is error
    assert not any(secret in str(raised.value) for secret in PATIENT)


def test_damaged_chunks_are_refused() -> None:
    chunk = compress_chunk(list(range(100)))

    def expect(error: type[RecordError], content: bytes, samples: int = 100) -> None:
        with pytest.raises(error):
            decompress(content, leads=1, samples=samples, where="x")

    expect(TruncatedSignal, b"")
    expect(TruncatedSignal, chunk[:-1])
    expect(TruncatedSignal, b"\xff" * 4 + chunk[4:])
    expect(MalformedHeader, chunk[:4] + b"\2\0" + chunk[6:])
    expect(MalformedHeader, chunk, samples=99)
    expect(TruncatedSignal, chunk, samples=101)
    # The first code is behind the table.
    expect(MalformedHeader, chunk[:8] + b"\xff\x00" + chunk[10:])
    steep = compress_chunk([0, 30000, 30000, 30000])
    expect(InvalidEcg, steep[:6] + (-32768).to_bytes(2, "little", signed=True) + steep[8:], 4)


def test_a_small_chunk_cannot_grow_beyond_the_claim() -> None:
    """LZW grows at most to the claimed samples, however long the claim of the chunk is."""
    bomb = compress_chunk([7] * 200_000)
    assert len(bomb) < 4_000
    with pytest.raises(MalformedHeader, match="found more"):
        decompress(bomb, leads=1, samples=1_000, where="x")


def test_a_version_without_lead_names_needs_twelve_leads(save) -> None:
    leads = digits_of()
    text = version_1_03(leads, text_of(compress(leads)))
    for old, new in (("STD-12", "EASI"), ("allocated>12<", "allocated>8<")):
        with pytest.raises(UnsupportedFormat, match="12 channels"):
            read_file(save(text.replace(old, new)))


def test_limits_hold_before_anything_is_built(save) -> None:
    path = save(whole(digits_of()))
    for limit, value in (("maximum_samples", 999), ("maximum_leads", 11)):
        limits = replace(DEFAULT_LIMITS, **{limit: value})
        with pytest.raises(RecordTooLarge, match=f"at most {value}"):
            read(path, limits=limits, stated=NOTHING_STATED)


def test_a_statement_must_agree(save) -> None:
    path = save(whole(digits_of()))
    assert read_file(path, StatedSignal(sampling_rate=500.0, units="uV", leads=LEADS))
    for stated in (StatedSignal(sampling_rate=250.0), StatedSignal(units="mV")):
        with pytest.raises(StatementError):
            read_file(path, stated)


@pytest.mark.parametrize("compressed", [True, False])
def test_mutated_files_are_read_or_refused(tmp_path: Path, compressed: bool) -> None:
    leads = digits_of(1.0)
    text = whole(leads) if compressed else version_1_03(leads, text_of(plain_of(leads)), "False")
    outcome = run_mutations(FORMAT, text.encode(), 200, seed=1, folder=tmp_path, secrets=PATIENT)
    assert outcome.failures == []
    assert outcome.total == 200
    assert min(outcome.same, outcome.other, sum(outcome.refused.values())) > 0
