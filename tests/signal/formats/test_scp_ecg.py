"""SCP-ECG against an encoder of its own, and every way a file can be damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from bench.format_mutations import run_mutations
from tests.signal.formats import scp_ecg_encoder as encoder
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
from truelead.signal import ReadLimits
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.scp_ecg import FORMAT, read
from truelead.signal.formats.scp_ecg_huffman import default_table, undo_differences
from truelead.signal.formats.scp_ecg_sections import crc_ccitt, recognise
from truelead.types import LEADS, Ecg


def digital(samples: int = 700, seed: int = 0) -> np.ndarray:
    """int64 (12, T): small steps, escapes of 8 and 16 bits, and both ends of 16 bits."""
    random = np.random.default_rng(seed)
    walk = np.cumsum(random.integers(-9, 10, size=(12, samples)), axis=1)
    walk[:, samples // 2] += 3000
    walk[3, 30:32] = (32767, -32768)
    return walk


def read_bytes(
    folder: Path,
    content: bytes,
    limits: ReadLimits = DEFAULT_LIMITS,
    stated: StatedSignal = NOTHING_STATED,
) -> Ecg:
    path = folder / "one.scp"
    path.write_bytes(content)
    return read(path, limits=limits, stated=stated)


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_way_to_store_samples(tmp_path: Path, coded: bool, order: int) -> None:
    digital_LT = digital()
    content = encoder.twelve_leads(digital_LT, coded=coded, order=order, nanovolts=2500)
    ecg = read_bytes(tmp_path, content)
    np.testing.assert_array_equal(ecg.signal_LT, (digital_LT * 2500 / 1e6).astype(np.float32))
    assert (ecg.sampling_rate, ecg.record_id, ecg.patient_id) == (500.0, "one", "")


def test_the_leads_go_by_their_codes(tmp_path: Path) -> None:
    digital_LT = digital()
    shuffled = np.random.default_rng(3).permutation(12)
    leads = [encoder.plain(digital_LT[row].tolist()) for row in shuffled]
    content = encoder.record(
        {
            3: encoder.lead_section([(1, 700)] * 12, [encoder.CODES[row] for row in shuffled]),
            6: encoder.data_section(leads, nanovolts=1000, microseconds=1000, order=0),
        }
    )
    ecg = read_bytes(tmp_path, content)
    np.testing.assert_array_equal(ecg.signal_LT, (digital_LT / 1000).astype(np.float32))
    assert ecg.sampling_rate == 1000.0


def test_leads_that_are_recorded_one_after_the_other(tmp_path: Path) -> None:
    spans = [(1 + 100 * (lead // 3), 100 + 100 * (lead // 3)) for lead in range(12)]
    rows = digital(100)
    content = encoder.record(
        {
            3: encoder.lead_section(spans, flags=0),
            6: encoder.data_section(
                [encoder.plain(row) for row in rows.tolist()],
                nanovolts=1000,
                microseconds=2000,
                order=0,
            ),
        }
    )
    ecg = read_bytes(tmp_path, content)
    assert ecg.signal_LT.shape == (12, 400)
    for row_T, millivolts_T, (first, last) in zip(ecg.signal_LT, rows / 1000, spans, strict=True):
        np.testing.assert_array_equal(row_T[first - 1 : last], millivolts_T.astype(np.float32))
        assert np.isfinite(row_T).sum() == 100


def test_tables_of_the_file_and_switches_between_them(tmp_path: Path) -> None:
    tables = encoder.custom_tables(
        [
            encoder.code("0", 5),
            encoder.code("10", 0, more_bits=10),
            encoder.code("110", -7),
            encoder.code("111", 2, switch=True),
        ],
        [
            encoder.code("1", 400),
            encoder.code("01", 100, more_bits=4),
            encoder.code("00", 1, switch=True),
        ],
    )
    row = [5, -7, 511, -512, 400, 107, 92, 5]
    bits = "0" + "110" + "10" + format(511, "010b") + "10" + format(-512 & 0x3FF, "010b")
    bits += "111" + "1" + "01" + "0111" + "01" + "1000" + "00" + "0"
    content = encoder.record(
        {
            2: tables,
            3: encoder.lead_section([(1, 8)] * 2, (1, 2)),
            6: encoder.data_section(
                [encoder.packed(bits)] * 2, nanovolts=1000, microseconds=2000, order=0
            ),
        }
    )
    ecg = read_bytes(tmp_path, content)
    assert np.rint(ecg.signal_LT[1] * 1000).tolist() == row
    # III, aVR, aVL and aVF are computed from I and II, which are alike here.
    np.testing.assert_allclose(ecg.signal_LT[2:6], np.outer([0, -1, 0.5, 0.5], ecg.signal_LT[0]))
    assert np.isnan(ecg.signal_LT[6:]).all()


def test_the_reference_beat_is_added_where_it_was_subtracted(tmp_path: Path) -> None:
    whole_LT = digital(600)
    whole_LT[3, 30:32] = 0
    beat_LT = np.cumsum(np.random.default_rng(5).integers(-5, 6, size=(12, 200)), axis=1)
    residual_LT = whole_LT.copy()
    # (type, first, fiducial, last), from 1; the beat's own fiducial point is its sample 80.
    beats = [(0, 21, 90, 180), (1, 200, 280, 370), (0, 350, 400, 460)]
    for kind, first, centre, last in beats:
        if kind == 0:
            begin = 80 - centre + first - 1
            part_LT = beat_LT[:, begin : begin + last - first + 1]
            residual_LT[:, first - 1 : last] -= 2 * part_LT
    zones = struct.pack("<HHH", 400, 80, len(beats))
    zones += b"".join(struct.pack("<HIII", *beat) for beat in beats)
    sections = {
        2: encoder.DEFAULT_TABLES,
        3: encoder.lead_section([(1, 600)] * 12, flags=0x05),
        4: zones,
        5: encoder.data_section(
            [encoder.default_coded(encoder.differences(row, 1)) for row in beat_LT.tolist()],
            nanovolts=2000,
            microseconds=2000,
            order=1,
        ),
        6: encoder.data_section(
            [encoder.default_coded(encoder.differences(row, 2)) for row in residual_LT.tolist()],
            nanovolts=1000,
            microseconds=2000,
            order=2,
        ),
    }
    ecg = read_bytes(tmp_path, encoder.record(sections))
    np.testing.assert_array_equal(ecg.signal_LT, (whole_LT / 1000).astype(np.float32))

    outside = struct.pack("<HHHHIII", 400, 80, 1, 0, 1, 90, 180)
    with pytest.raises(MalformedHeader, match="beat 1: expected a subtraction zone inside"):
        read_bytes(tmp_path, encoder.record({**sections, 4: outside}))
    with pytest.raises(TruncatedSignal, match="section 4"):
        read_bytes(tmp_path, encoder.record({**sections, 4: zones[:-6]}))
    with pytest.raises(MalformedHeader, match="sections 4 and 5"):
        read_bytes(tmp_path, encoder.record({n: s for n, s in sections.items() if n != 5}))
    other_rate = sections[5][:2] + struct.pack("<H", 1000) + sections[5][4:]
    with pytest.raises(UnsupportedFormat, match="at the rate of the rhythm data"):
        read_bytes(tmp_path, encoder.record({**sections, 5: other_rate}))
    bimodal = sections[6][:5] + b"\1" + sections[6][6:]
    with pytest.raises(UnsupportedFormat, match="bimodal"):
        read_bytes(tmp_path, encoder.record({**sections, 6: bimodal}))


def test_limb_leads_that_are_stored_are_not_computed(tmp_path: Path) -> None:
    rows = [[10, 20], [30, 50], [7, 7]]
    content = encoder.record(
        {
            3: encoder.lead_section([(1, 2)] * 3, (1, 2, 61)),
            6: encoder.data_section(
                [encoder.plain(row) for row in rows], nanovolts=1000, microseconds=2000, order=0
            ),
        }
    )
    expected = [[10, 20], [30, 50], [7, 7], [-20, -35], [-5, -5], [25, 40]]
    ecg = read_bytes(tmp_path, content)
    np.testing.assert_allclose(ecg.signal_LT[:6] * 1000, expected, rtol=1e-6)


def test_the_default_table_is_the_standards() -> None:
    words = {
        format(code.prefix, f"0{code.prefix_bits}b"): (code.value, code.value_bits)
        for code in default_table().codes
    }
    expected = {word: (value, 0) for value, word in encoder.DEFAULT_WORDS.items()}
    expected |= {encoder.BYTE_ESCAPE: (0, 8), encoder.WORD_ESCAPE: (0, 16)}
    assert words == expected


def test_the_checksum_is_ccitt() -> None:
    assert crc_ccitt(b"123456789") == encoder.crc(b"123456789") == 0x29B1


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 50])
def test_differences_are_undone_at_every_length(order: int, samples: int) -> None:
    row = np.random.default_rng(order).integers(-32768, 32768, size=samples)
    numbers = np.array(encoder.differences(row.tolist(), order), dtype=np.int64)
    np.testing.assert_array_equal(undo_differences(numbers, order), row)


def test_samples_counted_from_0_where_the_bytes_prove_it(tmp_path: Path) -> None:
    row = digital(100)[0].tolist()
    data = encoder.data_section([encoder.plain(row)], nanovolts=1000, microseconds=1000, order=0)
    sections = {3: encoder.lead_section([(0, 100)], (1,)), 6: data}
    ecg = read_bytes(tmp_path, encoder.record(sections))
    assert np.rint(ecg.signal_LT[0] * 1000).tolist() == row
    with pytest.raises(MalformedHeader, match="lead I: expected samples counted from 1"):
        read_bytes(tmp_path, encoder.record({**sections, 2: encoder.DEFAULT_TABLES}))
    with pytest.raises(MalformedHeader, match="counted from 1"):
        read_bytes(tmp_path, encoder.record({**sections, 3: encoder.lead_section([(0, 99)], (1,))}))


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = encoder.twelve_leads(digital(60))
    for at in range(0, len(content), 29):
        changed = bytearray(content)
        changed[at] ^= 0x10
        with pytest.raises(RecordError):
            read_bytes(tmp_path, bytes(changed))


@pytest.mark.parametrize("kept", [0, 5, 21, 40, 400, -1])
def test_a_cut_file_is_an_error(tmp_path: Path, kept: int) -> None:
    with pytest.raises(RecordError):
        read_bytes(tmp_path, encoder.twelve_leads(digital(60))[:kept])


def test_a_section_whose_own_checksum_is_wrong(tmp_path: Path) -> None:
    content = bytearray(encoder.twelve_leads(digital(60)))
    content[-1] ^= 1
    content[:2] = struct.pack("<H", encoder.crc(bytes(content[2:])))
    with pytest.raises(ChecksumMismatch, match="checksum of section 6"):
        read_bytes(tmp_path, bytes(content))


def two_leads(**changed: bytes) -> dict[int, bytes]:
    row = encoder.default_coded([1, 2, 3, 4])
    sections = {
        2: encoder.DEFAULT_TABLES,
        3: encoder.lead_section([(1, 4)] * 2, (1, 2)),
        6: encoder.data_section([row, row], nanovolts=1000, microseconds=2000, order=0),
    }
    return sections | {int(name[1:]): body for name, body in changed.items()}


@pytest.mark.parametrize(
    ("sections", "kind", "message"),
    [
        (two_leads(s3=encoder.lead_section([(1, 4)] * 2, (1, 31))), LeadError, "a calibration"),
        (two_leads(s3=encoder.lead_section([(1, 4)] * 2, (1, 200))), LeadError, "code 200"),
        (two_leads(s3=encoder.lead_section([(1, 4)] * 2, (1, 1))), LeadError, "I more than once"),
        (two_leads(s3=b"\x05\x04"), MalformedHeader, "section 3"),
        (two_leads(s3=b""), MalformedHeader, "section 3"),
        (two_leads(s3=encoder.lead_section([(5, 4)] * 2, (1, 2))), MalformedHeader, "later last"),
        (two_leads(s3=encoder.lead_section([(1, 3_000_000)] * 2, (1, 2))), RecordTooLarge, "most"),
        (two_leads(s3=encoder.lead_section([(1, 90)] * 2, (1, 2))), TruncatedSignal, "90 samples"),
        (two_leads(s6=b"\0\0"), TruncatedSignal, "section 6"),
        (
            two_leads(s6=encoder.data_section([b""] * 2, nanovolts=0, microseconds=1, order=0)),
            MalformedHeader,
            "above 0",
        ),
        (
            two_leads(s6=encoder.data_section([b""] * 2, nanovolts=1, microseconds=0, order=0)),
            MalformedHeader,
            "above 0",
        ),
        (
            two_leads(s6=encoder.data_section([b""] * 2, nanovolts=1, microseconds=1, order=3)),
            MalformedHeader,
            "order 0 to 2",
        ),
        (two_leads(s6=struct.pack("<HHBBHH", 1, 1, 0, 0, 9, 9)), TruncatedSignal, "28 bytes"),
        (two_leads(s2=struct.pack("<H", 0)), MalformedHeader, "number of Huffman tables"),
        (two_leads(s2=struct.pack("<HH", 1, 4000)), MalformedHeader, "as many codes"),
        (two_leads(s2=struct.pack("<HH", 1, 0)), MalformedHeader, "as many codes"),
        (
            two_leads(s2=encoder.custom_tables([encoder.code("0", 1), encoder.code("01", 2)])),
            MalformedHeader,
            "no code that another begins with",
        ),
        (
            two_leads(s2=encoder.custom_tables([encoder.code("0" * 17, 1)])),
            UnsupportedFormat,
            "1 to 16 bits",
        ),
        (
            two_leads(s2=encoder.custom_tables([encoder.code("1", 2, switch=True)])),
            MalformedHeader,
            "switch to table 1 to 1",
        ),
        (
            two_leads(s2=encoder.custom_tables([encoder.code("0", 1)])),
            MalformedHeader,
            "a code of the Huffman table",
        ),
        (
            two_leads(s2=encoder.custom_tables([encoder.code(b, 1, switch=True) for b in "01"])),
            TruncatedSignal,
            "4 samples",
        ),
    ],
)
def test_what_a_file_claims_is_checked(
    tmp_path: Path, sections: dict[int, bytes], kind: type[RecordError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_bytes(tmp_path, encoder.record({n: body for n, body in sections.items() if body}))


def test_missing_rhythm_data_says_what_there_is(tmp_path: Path) -> None:
    leads = encoder.lead_section([(1, 4)] * 2, (1, 2))
    with pytest.raises(UnsupportedFormat, match="expected rhythm data, found none"):
        read_bytes(tmp_path, encoder.record({3: leads}))
    with pytest.raises(UnsupportedFormat, match="long-term data"):
        read_bytes(tmp_path, encoder.record({3: leads, 12: b"\0\0"}))


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    content = encoder.twelve_leads(digital(60))
    with pytest.raises(RecordTooLarge, match="at most 59"):
        read_bytes(tmp_path, content, ReadLimits(maximum_samples=59))
    with pytest.raises(RecordTooLarge, match="leads: expected at most 11"):
        read_bytes(tmp_path, content, ReadLimits(maximum_leads=11))


def test_a_statement_may_repeat_the_file_but_not_contradict_it(tmp_path: Path) -> None:
    content = encoder.twelve_leads(digital(60))
    order = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    assert order == LEADS
    read_bytes(tmp_path, content, stated=StatedSignal(sampling_rate=500.0, leads=order))
    for stated in (
        StatedSignal(sampling_rate=250.0),
        StatedSignal(leads=order[::-1]),
        StatedSignal(units="uV"),
        StatedSignal(gain=200.0),
        StatedSignal(orientation="leads-by-samples"),
    ):
        with pytest.raises(StatementError):
            read_bytes(tmp_path, content, stated=stated)


def test_bits_at_random_are_read_or_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    content = encoder.twelve_leads(digital(60))
    refused = 0
    for _ in range(80):
        changed = bytearray(content)
        for at in random.integers(6, len(changed), size=random.integers(1, 6)):
            changed[at] = random.integers(256)
        # With valid checksums, so that the parser itself meets what is wrong.
        for start, end in spans(bytes(changed)):
            changed[start : start + 2] = struct.pack(
                "<H", encoder.crc(bytes(changed[start + 2 : end]))
            )
        changed[:2] = struct.pack("<H", encoder.crc(bytes(changed[2:])))
        try:
            assert read_bytes(tmp_path, bytes(changed)).signal_LT.shape[0] == 12
        except RecordError:
            refused += 1
    assert 5 < refused < 80


def spans(content: bytes) -> list[tuple[int, int]]:
    """(start, end) of the sections that section 0 of a sound record points to."""
    found = []
    if recognise(content):
        (length,) = struct.unpack_from("<I", content, 10)
        for at in range(22, 6 + length, 10):
            _, size, index = struct.unpack_from("<HII", content, at)
            if size >= 16 and index >= 7 and index - 1 + size <= len(content):
                found.append((index - 1, index - 1 + size))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("coded", [True, False])
def test_mutated_files_are_read_or_refused(tmp_path: Path, coded: bool) -> None:
    digital_LT = np.cumsum(np.random.default_rng(8).integers(-9, 10, size=(12, 250)), axis=1)
    content = encoder.twelve_leads(digital_LT, coded=coded)
    outcome = run_mutations(FORMAT, content, 100, seed=1, folder=tmp_path)
    assert not outcome.failures, outcome.failures
    assert outcome.refused.total() > 50
