"""aECG files are written here by the implementation guide, apart from the package's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.format_mutations import run_mutations
from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    MissingFile,
    RecordError,
    RecordTooLarge,
    StatementError,
    UnsupportedFormat,
)
from truelead.signal.formats import xml_document
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.hl7_aecg import FORMAT, read, recognise
from truelead.signal.generator import generate_ecg
from truelead.types import LEADS, Ecg

PATIENT = ("Zebulon-Quagmire", "MRN-8812345")
LIMITS = DEFAULT_LIMITS


def read_file(path: Path, stated: StatedSignal = NOTHING_STATED) -> Ecg:
    return read(path, limits=LIMITS, stated=stated)


def digits_of(seconds: float = 2.0, rate: int = 250) -> np.ndarray:
    """int (12, T): a generated ECG in units of 2.5 uV."""
    ecg = generate_ecg(3, {}, sampling_rate=rate, seconds=seconds).ecg
    return np.rint(ecg.signal_LT / 0.0025).astype(int)


def lead_sequence(
    code: str, digits: Sequence[int], *, scale: str = "2.5", unit: str = "uV", origin: str = "0"
) -> str:
    return (
        f'<component><sequence><code code="{code}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="{origin}" unit="{unit}"/>'
        f'<scale value="{scale}" unit="{unit}"/>'
        f"<digits>{' '.join(map(str, digits))}</digits></value></sequence></component>"
    )


def sequence_set(
    leads: str,
    *,
    head: str = 'value="20021122091000.000"',
    increment: str = 'value="0.004" unit="s"',
    kind: str = "GLIST_TS",
    code: str = "TIME_ABSOLUTE",
) -> str:
    return (
        f'<component><sequenceSet><component><sequence><code code="{code}"/>'
        f'<value xsi:type="{kind}"><head {head}/><increment {increment}/></value>'
        f"</sequence></component>{leads}</sequenceSet></component>"
    )


def series(sets: str, code: str = "RHYTHM") -> str:
    return (
        f'<component><series><id root="1"/><code code="{code}"/><effectiveTime>'
        f'<low value="20021122091000"/></effectiveTime>{sets}</series></component>'
    )


def document(*parts: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- example -->\n'
        '<AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb" extension="{PATIENT[1]}"/>'
        f"<componentOf><subject><name>{PATIENT[0]}</name></subject></componentOf>"
        f"{''.join(parts)}</AnnotatedECG>"
    )


def twelve(digits_LT: np.ndarray, **how: str) -> str:
    return "".join(
        lead_sequence(f"MDC_ECG_LEAD_{lead.upper()}", digits_T, **how)
        for lead, digits_T in zip(LEADS, digits_LT, strict=True)
    )


def whole(digits_LT: np.ndarray) -> str:
    return document(series(sequence_set(twelve(digits_LT))))


def millivolts(digits_LT: np.ndarray, step: float = 0.0025) -> np.ndarray:
    return (digits_LT * step).astype(np.float32)


@pytest.fixture
def save(tmp_path: Path):
    def save(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "record.xml"
        path.write_bytes(text.encode(encoding))
        return path

    return save


@pytest.mark.parametrize(
    ("scale", "unit", "step"),
    [
        ("2.5", "uV", 0.0025),
        ("2.5", "\u00b5V", 0.0025),
        ("0.0025", "mV", 0.0025),
        ("2.5e-6", "V", 0.0025),
        ("1220", "nV", 0.00122),
        ("-4.88", "uV", -0.00488),
    ],
)
def test_every_unit_of_the_scale_gives_millivolts(save, scale: str, unit: str, step: float) -> None:
    digits_LT = digits_of()
    sets = sequence_set(twelve(digits_LT, scale=scale, unit=unit))
    ecg = read_file(save(document(series(sets))))
    np.testing.assert_allclose(ecg.signal_LT, millivolts(digits_LT, step), rtol=1e-6, atol=1e-9)
    assert (ecg.sampling_rate, ecg.record_id, ecg.patient_id) == (250.0, "record", "")


def test_the_origin_is_added(save) -> None:
    digits_LT = digits_of()
    ecg = read_file(save(document(series(sequence_set(twelve(digits_LT, origin="-500"))))))
    np.testing.assert_allclose(ecg.signal_LT, digits_LT * 0.0025 - 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("increment", "rate"),
    [
        ('value="2" unit="ms"', 500.0),
        ('value="1000" unit="us"', 1000.0),
        ('value="0.002777777777777778" unit="s"', 360.0),
        ('value="0.0033" unit="s"', 1 / 0.0033),
    ],
)
def test_the_rate_is_one_over_the_increment(save, increment: str, rate: float) -> None:
    sets = sequence_set(twelve(digits_of()), increment=increment)
    assert read_file(save(document(series(sets)))).sampling_rate == rate


def test_utf16_and_a_prefix_are_read(save) -> None:
    text = whole(digits_of()).replace("UTF-8", "UTF-16").replace("xmlns=", "xmlns:v3=")
    for tag in ("AnnotatedECG", "component", "series", "sequenceSet", "sequence", "code", "value",
                "head", "increment", "origin", "scale", "digits"):  # fmt: skip
        for before, after in (("<", "<v3:"), ("</", "</v3:")):
            for end in (" ", ">"):
                text = text.replace(f"{before}{tag}{end}", f"{after}{tag}{end}")
    path = save(text, "utf-16")
    assert recognise(path.read_bytes()[:4096])
    np.testing.assert_array_equal(read_file(path).signal_LT, millivolts(digits_of()))


def test_other_roots_are_not_recognised() -> None:
    assert recognise(whole(digits_of()).encode()[:4096])
    for head in (b"", b"<RestingECG>", b"AnnotatedECG", b"<!-- <AnnotatedECG> --><other/>"):
        assert not recognise(head)


def test_the_rhythm_is_read_and_not_the_beat(save) -> None:
    digits_LT = digits_of()
    beat = series(sequence_set(twelve(digits_LT[:, :100] + 7)), "REPRESENTATIVE_BEAT")
    rhythm = series(sequence_set(twelve(digits_LT)))
    for parts in ((beat, rhythm), (rhythm, beat)):
        signal_LT = read_file(save(document(*parts))).signal_LT
        np.testing.assert_array_equal(signal_LT, millivolts(digits_LT))
    for parts in ((beat,), (rhythm, rhythm), ()):
        with pytest.raises(UnsupportedFormat, match="one of code RHYTHM"):
            read_file(save(document(*parts)))


def test_sets_are_placed_by_their_heads(save) -> None:
    """A 3 x 4 print: each set a quarter of the time; the last one is given in another zone."""
    digits_LT = digits_of(4.0)
    expected_LT = np.full(digits_LT.shape, np.nan, dtype=np.float32)
    sets = []
    for quarter, head in enumerate(
        ("20021122235958", "20021122235959.0", "20021123000000.000", "20021123020001+0200")
    ):
        rows, columns = (
            slice(3 * quarter, 3 * quarter + 3),
            slice(250 * quarter, 250 * quarter + 250),
        )
        expected_LT[rows, columns] = millivolts(digits_LT[rows, columns])
        leads = "".join(
            lead_sequence(f"MDC_ECG_LEAD_{LEADS[row].upper()}", digits_LT[row, columns])
            for row in range(3 * quarter, 3 * quarter + 3)
        )
        sets.append(sequence_set(leads, head=f'value="{head}"'))
    for order in (sets, sets[::-1]):
        ecg = read_file(save(document(series("".join(order)))))
        np.testing.assert_array_equal(ecg.signal_LT, expected_LT)


RELATIVE = {"head": 'value="1" unit="s"', "kind": "GLIST_PQ", "code": "TIME_RELATIVE"}


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ({"head": 'value="20021122091000.5"'}, LeadError),
        ({"increment": 'value="1" unit="ms"'}, UnsupportedFormat),
        ({"head": 'nullFlavor="MSK"'}, MalformedHeader),
        ({"head": 'value="20021322091000"'}, MalformedHeader),
        ({"head": 'value="99991231235959"'}, RecordTooLarge),
        (RELATIVE, MalformedHeader),
    ],
)
def test_sets_that_do_not_fit_together(save, second: dict[str, str], error: type) -> None:
    lead = lead_sequence("MDC_ECG_LEAD_II", range(500))
    with pytest.raises(error):
        read_file(save(document(series(sequence_set(lead) + sequence_set(lead, **second)))))


def test_one_set_needs_no_head(save) -> None:
    text = whole(digits_of()).replace('head value="20021122091000.000"', 'head nullFlavor="MSK"')
    assert read_file(save(text)).signal_LT.shape == (12, 500)


def test_missing_leads_are_nan_and_additional_ones_left_out(save) -> None:
    digits_LT = digits_of()
    leads = "".join(
        lead_sequence(f"MDC_ECG_LEAD_{name}", digits_LT[row])
        for name, row in (("V7", 3), ("II", 1), ("X", 5), ("V1", 6))
    )
    ecg = read_file(save(document(series(sequence_set(leads)))))
    assert ecg.lead_mask_L.nonzero()[0].tolist() == [1, 6]
    np.testing.assert_array_equal(ecg.signal_LT[[1, 6]], millivolts(digits_LT[[1, 6]]))


def test_a_foreign_name_is_refused_and_not_repeated(save) -> None:
    text = whole(digits_of()).replace("MDC_ECG_LEAD_V3", PATIENT[0])
    with pytest.raises(LeadError, match="another name at signal 9 of 12") as raised:
        read_file(save(text))
    assert PATIENT[0] not in str(raised.value)
    with pytest.raises(LeadError, match="V2 more than once"):
        read_file(save(whole(digits_of()).replace("LEAD_V3", "LEAD_V2")))


ENTITY = '<!DOCTYPE AnnotatedECG [<!ENTITY a "1 ">]>'


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("<!-- example -->", ENTITY, MalformedHeader),
        ("<!-- example -->", '<!DOCTYPE AnnotatedECG SYSTEM "x.dtd">', MalformedHeader),
        ("<!-- example -->", "&a;", MalformedHeader),
        ("<digits>", "<digits>nan ", MalformedHeader),
        ("<digits>", "<digits>1.5 ", MalformedHeader),
        ("<digits>", "<digits>99999999999 ", MalformedHeader),
        ("<digits>", "<digits>7 ", MalformedHeader),
        ("<digits>", "<digits></digits><digits>", MalformedHeader),
        ("SLIST_PQ", "SLIST_INT", UnsupportedFormat),
        ("GLIST_TS", "SLIST_TS", UnsupportedFormat),
        ('scale value="2.5"', 'scale value="0"', MalformedHeader),
        ('scale value="2.5"', 'scale value="1e300"', MalformedHeader),
        ('scale value="2.5"', 'scale value="inf"', MalformedHeader),
        ('scale value="2.5" unit="uV"', 'scale value="2.5" unit="Pa"', MalformedHeader),
        ('scale value="2.5"', "scale", MalformedHeader),
        ('increment value="0.004"', 'increment value="0"', MalformedHeader),
        ('increment value="0.004"', 'increment value="-0.004"', MalformedHeader),
        ('increment value="0.004"', 'increment value="1e-320"', MalformedHeader),
        ('increment value="0.004"', 'increment value="9"', MalformedHeader),
        ("TIME_ABSOLUTE", "TIME_WHATEVER", UnsupportedFormat),
        ("AnnotatedECG", "AnnotatedEEG", UnsupportedFormat),
        ("sequenceSet>", "other>", MalformedHeader),
    ],
)
def test_what_is_wrong_is_refused(save, old: str, new: str, error: type[RecordError]) -> None:
    text = whole(digits_of())
    assert old in text
    several = old in {"AnnotatedECG", "sequenceSet>"}
    with pytest.raises(error) as raised:
        read_file(save(text.replace(old, new, -1 if several else 1)))
    assert not any(secret in str(raised.value) for secret in PATIENT)
    assert type(raised.value) is error


def test_limits_hold_before_anything_is_built(save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(whole(digits_of()))
    with pytest.raises(RecordTooLarge, match="digits: expected at most 499"):
        read(path, limits=replace(LIMITS, maximum_samples=499), stated=NOTHING_STATED)
    with pytest.raises(RecordTooLarge, match="leads: expected at most 11"):
        read(path, limits=replace(LIMITS, maximum_leads=11), stated=NOTHING_STATED)
    for name in ("MAXIMUM_FILE_BYTES", "MAXIMUM_ELEMENTS"):
        with monkeypatch.context() as patch:
            patch.setattr(xml_document, name, 50)
            with pytest.raises(RecordTooLarge, match="at most 50"):
                read_file(path)
    with pytest.raises(MalformedHeader, match="at most 64 levels"):
        read_file(save(document("<a>" * 70 + "</a>" * 70)))
    with pytest.raises(MissingFile):
        read_file(path.with_name("absent.xml"))


def test_a_statement_must_agree(save) -> None:
    path = save(whole(digits_of()))
    agreeing = StatedSignal(sampling_rate=250.0, units="uV", leads=LEADS)
    assert read_file(path, agreeing).sampling_rate == 250.0
    for stated in (
        StatedSignal(sampling_rate=500.0),
        StatedSignal(units="mV"),
        StatedSignal(leads=LEADS[::-1]),
        StatedSignal(gain=1.0),
    ):
        with pytest.raises(StatementError):
            read_file(path, stated)


@pytest.mark.parametrize("rate", [100, 257, 360, 500])
def test_what_is_written_is_read_back(tmp_path: Path, rate: int) -> None:
    ecg = generate_ecg(5, {}, sampling_rate=rate).ecg
    signal_LT = (np.rint(ecg.signal_LT * 1000) / 1000).astype(np.float32)
    signal_LT[4] = np.nan
    signal_LT[7, 10:20] = np.nan
    signal_LT[7, 40:] = np.nan
    signal_LT[8, :33] = np.nan
    given = Ecg(signal_LT, ecg.sampling_rate, record_id=PATIENT[0], patient_id=PATIENT[1])
    assert FORMAT.write is not None
    path = FORMAT.write(given, tmp_path / "new" / "r.xml")
    again = read_file(path)
    np.testing.assert_array_equal(again.signal_LT, signal_LT)
    assert again.sampling_rate == rate
    content = path.read_text()
    assert not any(secret in content for secret in PATIENT)
    assert FORMAT.write(given, tmp_path / "b.xml").read_text() == content
    assert [file.name for file in path.parent.iterdir()] == ["r.xml"]


def test_samples_off_the_grid_are_rounded_to_10_nanovolts(tmp_path: Path) -> None:
    ecg = generate_ecg(5, {}).ecg
    assert FORMAT.write is not None
    again = read_file(FORMAT.write(ecg, tmp_path / "r.xml"))
    assert np.abs(again.signal_LT - ecg.signal_LT).max() <= FORMAT.precision_millivolts


def test_what_aecg_cannot_hold_is_not_written(tmp_path: Path) -> None:
    assert FORMAT.write is not None
    zeros_LT = np.zeros((12, 3000), dtype=np.float32)
    ends_LT, gaps_LT, infinite_LT, large_LT = (zeros_LT.copy() for _ in range(4))
    ends_LT[:, -1] = np.nan
    gaps_LT[3, ::2] = np.nan
    infinite_LT[0, 0] = np.inf
    large_LT[0, 0] = 1e9
    for signal_LT in (ends_LT, gaps_LT, infinite_LT, large_LT, np.full_like(zeros_LT, np.nan)):
        with pytest.raises(InvalidEcg):
            FORMAT.write(Ecg(signal_LT, 100.0), tmp_path / "r.xml")
    assert list(tmp_path.iterdir()) == []


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    content = whole(digits_of(1.0)).encode()
    outcome = run_mutations(FORMAT, content, 200, seed=1, folder=tmp_path, secrets=PATIENT)
    assert outcome.failures == []
    assert outcome.total == 200
    assert min(outcome.same, outcome.other, sum(outcome.refused.values())) > 0
