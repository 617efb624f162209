"""DICOM files are built here element by element with pydicom, apart from the package's writer."""

from __future__ import annotations

import io
import logging
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bench.format_mutations import run_mutations
from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    MissingFile,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.dicom import FORMAT, read, recognise, write
from truelead.signal.generator import generate_ecg
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

PATIENT = ("Zebulon^Quagmire", "MRN-8812345")
TWELVE_LEAD, GENERAL = "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.9.1.2"
AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.3"
# CID 3001, in the order of LEADS.
NUMBERS = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)


def read_file(path: Path, stated: StatedSignal = NOTHING_STATED) -> Ecg:
    return read(path, limits=DEFAULT_LIMITS, stated=stated)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def channel(
    source: Dataset | None, *, sensitivity: str = "2.5", unit: str = "uV", **more: Any
) -> Dataset:
    item = Dataset()
    if source is not None:
        item.ChannelSourceSequence = [source]
    item.ChannelSensitivity = sensitivity
    item.ChannelSensitivityUnitsSequence = [code(unit, "UCUM", "unit")]
    item.ChannelSensitivityCorrectionFactor = "1"
    item.ChannelBaseline = "0"
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def mdc(lead: str) -> Dataset:
    return code(f"2:{NUMBERS[LEADS.index(lead)]}", "MDC", f"Lead {lead}")


def group(
    samples_TC: np.ndarray,
    channels: Sequence[Dataset],
    *,
    interpretation: str = "SS",
    bits: int = 16,
    **more: Any,
) -> Dataset:
    item = Dataset()
    item.WaveformOriginality = "ORIGINAL"
    item.NumberOfWaveformSamples, item.NumberOfWaveformChannels = samples_TC.shape
    item.SamplingFrequency = "500"
    item.MultiplexGroupLabel = "RHYTHM"
    item.ChannelDefinitionSequence = list(channels)
    item.WaveformBitsAllocated = bits
    item.WaveformSampleInterpretation = interpretation
    data = samples_TC.tobytes()
    item.add_new("WaveformData", "OW" if bits > 8 else "OB", data + b"\0" * (len(data) % 2))
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def save(
    path: Path,
    groups: Sequence[Dataset],
    *,
    sop_class: str = TWELVE_LEAD,
    syntax: str = ExplicitVRLittleEndian,
) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.PatientID = PATIENT
    dataset.WaveformSequence = list(groups)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def samples_of(channels: int, samples: int = 300, low: int = -2000, high: int = 2000) -> np.ndarray:
    """int16 (samples, channels)."""
    generator = np.random.default_rng(channels)
    return generator.integers(low, high, (samples, channels)).astype("<i2")


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    return save(tmp_path / "made.dcm", [group(samples_of(12), [channel(mdc(x)) for x in LEADS])])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("sop_class", [TWELVE_LEAD, GENERAL, AMBULATORY])
def test_twelve_leads(tmp_path: Path, syntax: str, sop_class: str) -> None:
    stored_TC = samples_of(12)
    path = save(
        tmp_path / "a.dcm", [group(stored_TC, [channel(mdc(x)) for x in LEADS])],
        syntax=syntax, sop_class=sop_class,
    )  # fmt: skip
    ecg = read_file(path)
    assert (ecg.record_id, ecg.patient_id, ecg.sampling_rate) == ("a", "", 500.0)
    np.testing.assert_allclose(ecg.signal_LT, stored_TC.T * 0.0025, rtol=1e-6)


def test_codes_meanings_labels_and_order(tmp_path: Path) -> None:
    sources = [
        channel(code("5.6.3-9-62", "SCPECG", "Lead aVR (Goldberger)")),
        channel(code("131074", "MDC", "")),
        channel(code("x-1", "99LOCAL", "Lead V4")),
        channel(None, ChannelLabel="C6"),
        channel(code("2:9", "MDC", "Lead V7")),
        channel(code("5.6.3-9-1", "SCPECG", "Lead I (Einthoven)")),
        channel(code("MDC_ECG_LEAD_V2", "MDC", "V2")),
    ]
    stored_TC = samples_of(7)
    ecg = read_file(save(tmp_path / "a.dcm", [group(stored_TC, sources)], sop_class=GENERAL))
    column_of_lead = {"aVR": 0, "II": 1, "V4": 2, "V6": 3, "I": 5, "V2": 6}
    assert ecg.lead_mask_L.sum() == 6
    for lead, column in column_of_lead.items():
        row_T = ecg.signal_LT[LEADS.index(lead)]
        np.testing.assert_allclose(row_T, stored_TC[:, column] * 0.0025, rtol=1e-6)


@pytest.mark.parametrize(
    ("sensitivity", "unit", "correction", "baseline", "factor", "offset"),
    [
        ("1", "mV", "1", "0", 1.0, 0.0),
        ("0.001", "V", "1", "0", 1.0, 0.0),
        ("4.88", "uV", "1.02", "-150", 0.0049776, -0.15),
        ("2500", "nV", "-1", "0", -0.0025, 0.0),
    ],
)
def test_sensitivity(
    tmp_path: Path, sensitivity: str, unit: str, correction: str, baseline: str, factor: float,
    offset: float,
) -> None:  # fmt: skip
    definition = channel(
        mdc("II"), sensitivity=sensitivity, unit=unit,
        ChannelSensitivityCorrectionFactor=correction, ChannelBaseline=baseline,
    )  # fmt: skip
    stored_TC = samples_of(1)
    ecg = read_file(save(tmp_path / "a.dcm", [group(stored_TC, [definition])]))
    expected_T = stored_TC[:, 0] * factor + offset
    np.testing.assert_allclose(ecg.signal_LT[1], expected_T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("interpretation", "bits", "dtype", "padding"),
    [
        ("SB", 8, "<i1", -128),
        ("UB", 8, "<u1", 255),
        ("SS", 16, "<i2", -32768),
        ("US", 16, "<u2", 65535),
        ("SL", 32, "<i4", -(2**31)),
        ("UL", 32, "<u4", 7),
    ],
)
def test_sample_types_and_padding(
    tmp_path: Path, interpretation: str, bits: int, dtype: str, padding: int
) -> None:
    # An odd number of bytes where samples have one.
    stored_TC = np.random.default_rng(1).integers(8, 120, (101, 3)).astype(dtype)
    stored_TC[5:9, 1] = padding
    item = group(
        stored_TC, [channel(mdc(x), sensitivity="1") for x in LEADS[:3]],
        interpretation=interpretation, bits=bits,
    )  # fmt: skip
    value = np.array(padding, dtype=dtype).tobytes()
    item.add_new("WaveformPaddingValue", "OB" if bits == 8 else "OW", value + b"\0" * (bits == 8))
    ecg = read_file(save(tmp_path / "a.dcm", [item]))
    expected_LT = stored_TC.T.astype(np.float64) / 1000
    expected_LT[1, 5:9] = np.nan
    np.testing.assert_allclose(ecg.signal_LT[:3], expected_LT, rtol=1e-6)
    assert np.isnan(ecg.signal_LT[3:]).all()


@pytest.mark.parametrize("interpretation", ["MB", "AB", "XX"])
def test_sound_is_refused(tmp_path: Path, interpretation: str) -> None:
    item = group(samples_of(1).astype("u1"), [channel(mdc("I"))], bits=8)
    item.WaveformSampleInterpretation = interpretation
    with pytest.raises(UnsupportedFormat, match="sample interpretation of group 1"):
        read_file(save(tmp_path / "a.dcm", [item]))


def test_rhythm_before_median_and_original_before_derived(tmp_path: Path) -> None:
    everything = [channel(mdc(x)) for x in LEADS]
    median = group(samples_of(12, 600) + 1, everything, MultiplexGroupLabel="MEDIAN BEAT")
    derived = group(samples_of(12, 300) + 2, everything, WaveformOriginality="DERIVED")
    rhythm = group(samples_of(12, 300), everything)
    ecg = read_file(save(tmp_path / "a.dcm", [median, derived, rhythm]))
    np.testing.assert_allclose(ecg.signal_LT, samples_of(12, 300).T * 0.0025, rtol=1e-6)
    ecg = read_file(save(tmp_path / "b.dcm", [median, derived]))
    np.testing.assert_allclose(ecg.signal_LT, (samples_of(12, 300) + 2).T * 0.0025, rtol=1e-6)
    average = group(samples_of(12, 600), everything, MultiplexGroupLabel="Average beat")
    with pytest.raises(UnsupportedFormat, match="a rhythm recording, found median beats"):
        read_file(save(tmp_path / "c.dcm", [median, average]))


def three_by_four(offsets: Sequence[float], rates: Sequence[str] = ("500",) * 4) -> list[Dataset]:
    return [
        group(
            samples_of(3, 250) + column,
            [channel(mdc(lead)) for lead in LEADS[3 * column : 3 * column + 3]],
            MultiplexGroupTimeOffset=str(offset),
            SamplingFrequency=rate,
        )
        for column, (offset, rate) in enumerate(zip(offsets, rates, strict=True))
    ]


def test_leads_in_several_groups_at_their_times(tmp_path: Path) -> None:
    strip = group(samples_of(1, 999), [channel(mdc("II"))])
    path = save(tmp_path / "a.dcm", [*three_by_four([100, 600, 1100, 1600]), strip])
    ecg = read_file(path)
    assert ecg.signal_LT.shape == (12, 1000)
    for row in range(12):
        start = 250 * (row // 3)
        np.testing.assert_allclose(
            ecg.signal_LT[row, start : start + 250],
            (samples_of(3, 250)[:, row % 3] + row // 3) * 0.0025,
            rtol=1e-6,
        )
        assert np.isfinite(ecg.signal_LT[row]).sum() == 250


def test_what_groups_must_share(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat, match=r"sampling frequency: expected one .* found 2"):
        read_file(save(tmp_path / "a.dcm", three_by_four([0] * 4, ["500", "500", "500", "250"])))
    with pytest.raises(UnsupportedFormat, match=r"start of lead aVR.*found 0\.5 samples"):
        read_file(save(tmp_path / "b.dcm", three_by_four([0, 1, 0, 0])))
    with pytest.raises(UnsupportedFormat, match="start of lead"):
        read_file(save(tmp_path / "b.dcm", three_by_four([0, 1e30, 0, 0])))
    with pytest.raises(RecordTooLarge, match="number of samples"):
        read_file(save(tmp_path / "b.dcm", three_by_four([0, 1e8, 0, 0])))
    twice = [group(samples_of(2), [channel(mdc(x)) for x in ("I", "II")])] * 2
    with pytest.raises(LeadError, match="each lead in one rhythm group, found I, II in several"):
        read_file(save(tmp_path / "c.dcm", twice))
    overlap = [*twice[:1], group(samples_of(2), [channel(mdc(x)) for x in ("II", "V1")])]
    with pytest.raises(LeadError, match="found II in several"):
        read_file(save(tmp_path / "d.dcm", overlap))


def test_skews(tmp_path: Path) -> None:
    definitions = [
        channel(mdc("I"), ChannelSampleSkew="0"),
        channel(mdc("II"), ChannelSampleSkew="3"),
        channel(mdc("III"), ChannelTimeSkew="0.004"),
        channel(mdc("aVR"), ChannelTimeSkew="0.004", ChannelOffset="0.002"),
    ]
    stored_TC = samples_of(4)
    ecg = read_file(save(tmp_path / "a.dcm", [group(stored_TC, definitions)]))
    assert ecg.signal_LT.shape == (12, 303)
    for row, start in enumerate((0, 3, 2, 3)):
        assert np.isnan(ecg.signal_LT[row, :start]).all()
        expected_T = stored_TC[:, row] * 0.0025
        np.testing.assert_allclose(ecg.signal_LT[row, start : start + 300], expected_T, rtol=1e-6)
    bad = group(stored_TC[:, :1], [channel(mdc("I"), ChannelTimeSkew="0.001")])
    with pytest.raises(UnsupportedFormat, match=r"whole samples, found 0\.5"):
        read_file(save(tmp_path / "b.dcm", [bad]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (mdc("II"), "II more than once"),
        (code("2:1", "MDC", "Lead V3"), "expected V3, as its meaning says, found the code of I"),
        (code("8867-4", "LN", "Zebulon"), "source of channel 1: expected a lead"),
        (None, "source of channel 1: expected a lead"),
    ],
)
def test_sources_that_are_no_lead(tmp_path: Path, source: Dataset | None, message: str) -> None:
    path = save(tmp_path / "a.dcm", [group(samples_of(2), [channel(source), channel(mdc("II"))])])
    with pytest.raises(LeadError, match=message) as caught:
        read_file(path)
    assert "Zebulon" not in str(caught.value)


def test_only_additional_leads(tmp_path: Path) -> None:
    item = group(samples_of(1), [channel(code("2:9", "MDC", "Lead V7"))])
    with pytest.raises(LeadError, match="at least one of"):
        read_file(save(tmp_path / "a.dcm", [item]))


@pytest.mark.parametrize(
    ("keyword", "value", "kind", "message"),
    [
        ("NumberOfWaveformChannels", 60000, RecordTooLarge, "number of signals"),
        ("NumberOfWaveformChannels", 11, MalformedHeader, "channel definitions of group 1"),
        ("NumberOfWaveformSamples", 2**32 - 1, RecordTooLarge, "number of samples"),
        ("NumberOfWaveformSamples", 301, TruncatedSignal, "waveform data.*7224 bytes, found 7200"),
        ("NumberOfWaveformSamples", 299, MalformedHeader, "waveform data.*7176 bytes, found 7200"),
        ("NumberOfWaveformSamples", 0, MalformedHeader, "number of samples"),
        ("WaveformBitsAllocated", 8, UnsupportedFormat, "sample interpretation"),
        ("SamplingFrequency", "0", MalformedHeader, "sampling rate"),
        ("SamplingFrequency", "1e30", MalformedHeader, "sampling rate"),
        ("SamplingFrequency", None, MalformedHeader, "SamplingFrequency of group 1"),
        ("MultiplexGroupTimeOffset", ["1", "2"], MalformedHeader, "MultiplexGroupTimeOffset"),
        ("ChannelDefinitionSequence", [], MalformedHeader, "channel definitions"),
    ],
)
def test_damaged_groups(
    tmp_path: Path, keyword: str, value: Any, kind: type[RecordError], message: str
) -> None:
    item = group(samples_of(12), [channel(mdc(x)) for x in LEADS])
    setattr(item, keyword, value)
    with pytest.raises(kind, match=message):
        read_file(save(tmp_path / "a.dcm", [item]))


@pytest.mark.parametrize(
    ("keyword", "value", "kind", "message"),
    [
        ("ChannelSensitivity", None, MalformedHeader, "ChannelSensitivity of channel 1 of group 1"),
        ("ChannelSensitivity", "1e99", InvalidEcg, "lead I"),
        ("ChannelSensitivityUnitsSequence", [], UnsupportedFormat, "sensitivity unit of lead I"),
        (
            "ChannelSensitivityUnitsSequence",
            [code("mm[Hg]", "UCUM", "Zebulon")],
            UnsupportedFormat,
            "sensitivity unit of lead I: expected mV, uV, nV or V$",
        ),
    ],
)
def test_damaged_channels(
    tmp_path: Path, keyword: str, value: Any, kind: type[RecordError], message: str
) -> None:
    definition = channel(mdc("I"))
    setattr(definition, keyword, value)
    with pytest.raises(kind, match=message):
        read_file(save(tmp_path / "a.dcm", [group(samples_of(1), [definition])]))


def test_other_objects_and_encodings(tmp_path: Path, twelve: Path) -> None:
    groups = [group(samples_of(12), [channel(mdc(x)) for x in LEADS])]
    with pytest.raises(UnsupportedFormat, match="SOP class"):
        read_file(save(tmp_path / "a.dcm", groups, sop_class="1.2.840.10008.5.1.4.1.1.9.2.1"))
    with pytest.raises(UnsupportedFormat, match="transfer syntax"):
        read_file(save(tmp_path / "b.dcm", groups, syntax=ExplicitVRBigEndian))
    with pytest.raises(MalformedHeader, match="waveform sequence"):
        read_file(save(tmp_path / "c.dcm", []))
    twelve.write_bytes(twelve.read_bytes()[132:])
    with pytest.raises(MalformedHeader, match="preamble"):
        read_file(twelve)
    with pytest.raises(MissingFile):
        read_file(tmp_path / "none.dcm")


def test_a_deflated_bomb_is_never_inflated(tmp_path: Path, twelve: Path) -> None:
    content = twelve.read_bytes()
    plain, deflated = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    start = content.index(plain)
    meta = content[: start - 2] + len(deflated).to_bytes(2, "little") + deflated
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(2**22)) + squeeze.flush()
    twelve.write_bytes(meta + bomb)
    with pytest.raises(UnsupportedFormat, match="transfer syntax"):
        read_file(twelve)


def test_deep_sequences_are_refused(tmp_path: Path, twelve: Path) -> None:
    content = twelve.read_bytes()
    start = content.index(b"\x00\x54\x00\x01SQ")
    nested = b"\x00\x54\x00\x01SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    twelve.write_bytes(content[:start] + nested * 5000)
    with pytest.raises(MalformedHeader):
        read_file(twelve)


def test_limits(twelve: Path) -> None:
    with pytest.raises(RecordTooLarge, match="number of samples: expected at most 299, found 300"):
        read(twelve, limits=ReadLimits(maximum_samples=299), stated=NOTHING_STATED)


@pytest.mark.parametrize("seconds", [10.0, 2.502, 40.0])
@pytest.mark.parametrize("rate", [100, 500])
def test_round_trip_of_generated_ecgs(tmp_path: Path, rate: int, seconds: float) -> None:
    made = generate_ecg(4, {}, sampling_rate=rate, seconds=seconds).ecg
    signal_LT = made.signal_LT.copy()
    signal_LT[9] = np.nan
    signal_LT[2, 30:40] = np.nan
    path = write(Ecg(signal_LT, made.sampling_rate, record_id="x"), tmp_path / "new" / "r.dcm")
    ecg = read_file(path)
    assert ecg.sampling_rate == rate
    error_LT = np.abs(ecg.signal_LT - signal_LT)
    assert np.nanmax(error_LT) <= FORMAT.precision_millivolts
    np.testing.assert_array_equal(np.isnan(ecg.signal_LT), np.isnan(signal_LT))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = pydicom.dcmread(path)
        by_pydicom_TC = dataset.waveform_array(0)
    fits = rate >= 200 and signal_LT.shape[1] <= 16384
    assert dataset.SOPClassUID == (TWELVE_LEAD if fits else AMBULATORY)
    np.testing.assert_allclose(by_pydicom_TC[:, 4] / 1000, ecg.signal_LT[4], atol=1e-6)


def test_the_written_object_is_complete_anonymous_and_repeatable(
    tmp_path: Path, make_ecg: Callable[..., Ecg]
) -> None:
    ecg = make_ecg(rate=500.0, name="secret-record")
    content = write(ecg, tmp_path / "a.dcm").read_bytes()
    assert write(ecg, tmp_path / "b.dcm").read_bytes() == content
    assert b"secret" not in content
    dataset = pydicom.dcmread(io.BytesIO(content))
    other = pydicom.dcmread(write(make_ecg(rate=500.0, seed=1), tmp_path / "c.dcm"))
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = dataset[keyword].value
        assert uid.is_valid
        assert uid.startswith("2.25.")
        assert uid != other[keyword].value
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
        assert str(dataset[keyword].value) == ""
    for keyword in ("ContentDate", "ContentTime", "AcquisitionDateTime", "Modality"):
        assert dataset[keyword].value
    sources = [
        definition.ChannelSourceSequence[0].CodeValue
        for definition in dataset.WaveformSequence[0].ChannelDefinitionSequence
    ]
    assert sources == [f"2:{number}" for number in NUMBERS]


@pytest.mark.parametrize(
    ("rate", "millivolts", "message"),
    [
        (40.0, 0.0, "sampling_rate: expected 50 to 1000 Hz"),
        (2000.0, 0.0, "sampling_rate"),
        (1000 / 3, 0.0, "16 characters hold exactly"),
        (500.0, 400.0, "lead V1: expected at most 327.67 mV, found 400 mV"),
    ],
)
def test_what_dicom_cannot_hold(
    tmp_path: Path, rate: float, millivolts: float, message: str
) -> None:
    signal_LT = np.zeros((12, 100), dtype=np.float32)
    signal_LT[6, 3] = millivolts
    with pytest.raises(InvalidEcg, match=message):
        write(Ecg(signal_LT, rate), tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "stated",
    [
        StatedSignal(sampling_rate=250.0),
        StatedSignal(units="mV"),
        StatedSignal(leads=LEADS[::-1]),
        StatedSignal(gain=200.0),
    ],
)
def test_a_statement_may_not_contradict(twelve: Path, stated: StatedSignal) -> None:
    with pytest.raises(StatementError):
        read_file(twelve, stated)
    agreed = StatedSignal(sampling_rate=500.0, units="uV", leads=LEADS)
    assert read_file(twelve, agreed).sampling_rate == 500.0


def test_without_the_package(
    twelve: Path, monkeypatch: pytest.MonkeyPatch, make_ecg: Callable[..., Ecg]
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for use in (lambda: read_file(twelve), lambda: write(make_ecg(), twelve)):
        with pytest.raises(UnsupportedFormat, match=r"pydicom \(pip install 'truelead\[formats\]"):
            use()


def test_recognise(twelve: Path) -> None:
    assert recognise(twelve.read_bytes()[:4096])
    assert not recognise(b"DICM" + bytes(200))


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files(twelve: Path, tmp_path: Path, seed: int) -> None:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    outcome = run_mutations(
        FORMAT, twelve.read_bytes(), 100, seed, folder=tmp_path, secrets=PATIENT
    )
    assert not outcome.failures, outcome.failures
    assert outcome.refused.total() > 30
    assert outcome.other > 0


def test_an_odd_number_of_bytes_in_a_number_is_refused(tmp_path: Path) -> None:
    ecg = Ecg(np.zeros((12, 500), np.float32), 500.0, record_id="odd")
    path = write(ecg, tmp_path / "odd.dcm")
    content = path.read_bytes()
    whole = b"\x3a\x00\x05\x00US\x02\x00\x0c\x00"  # number of waveform channels: 12
    assert content.count(whole) == 1
    path.write_bytes(content.replace(whole, b"\x3a\x00\x05\x00US\x03\x00\x0c\x00\x00"))
    with pytest.raises(MalformedHeader, match="data elements"):
        read_file(path)
