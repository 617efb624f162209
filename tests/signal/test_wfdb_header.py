from __future__ import annotations

import contextlib
import datetime
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from truelead.errors import MalformedHeader, RecordError, RecordTooLarge
from truelead.signal import ReadLimits, read_header
from truelead.signal.wfdb_header import parse_header

SIGNAL = "r.dat 16 1000(0)/mV 16 0 5 -7 0 I"


def test_every_field_of_both_lines() -> None:
    header = parse_header(
        b"# first comment\n"
        b"rec_1 2 500.5/250(-3.5) 5000 12:30:01.25 01/02/1999\n"
        b"a.dat 212x2:7+24 807.5(-1)/uV 12 4 -9 -17 256 lead I\r\n"
        b"\n"
        b"b.dat 16\n"
        b"# Dx: secret\n"
    )
    assert (header.name, header.lead_count, header.samples) == ("rec_1", 2, 5000)
    assert (header.sampling_rate, header.counter_rate, header.base_counter) == (500.5, 250, -3.5)
    assert header.base_time == datetime.time(12, 30, 1, 250000)
    assert header.base_date == datetime.date(1999, 2, 1)
    assert header.comments == ("first comment", "Dx: secret")
    assert "secret" not in repr(header)
    assert "1999" not in repr(header)
    first, second = header.signals
    assert (first.file_name, first.storage_format) == ("a.dat", "212")
    assert (first.samples_per_frame, first.skew, first.byte_offset) == (2, 7, 24)
    assert (first.gain, first.baseline, first.units) == (807.5, -1, "uV")
    assert (first.adc_resolution, first.adc_zero, first.initial_value) == (12, 4, -9)
    assert (first.checksum, first.block_size, first.description) == (-17, 256, "lead I")
    # What header(5) says of missing fields.
    assert (second.gain, second.baseline, second.units) == (200.0, 0, "mV")
    assert (second.checksum, second.byte_offset, second.description) == (None, None, "")


def test_defaults_of_the_record_line() -> None:
    header = parse_header(f"r 1\n{SIGNAL}".encode())
    assert (header.sampling_rate, header.samples) == (250.0, None)
    assert parse_header(f"r 1 100 0\n{SIGNAL}".encode()).samples is None


@pytest.mark.parametrize(
    ("text", "gain", "baseline", "units"),
    [
        ("0", 200.0, 3, "mV"),
        ("0/uV", 200.0, 3, "uV"),
        ("(12)", 200.0, 12, "mV"),
        ("1e3(5)", 1000.0, 5, "mV"),
        ("-200/V", -200.0, 3, "V"),
    ],
)
def test_gain_baseline_and_units(text: str, gain: float, baseline: int, units: str) -> None:
    """Gain 0 means 200 and a missing baseline is the ADC's zero (header(5))."""
    signal = parse_header(f"r 1\nr.dat 16 {text} 16 3".encode()).signals[0]
    assert (signal.gain, signal.baseline, signal.units) == (gain, baseline, units)


def test_dates_as_some_sets_write_them_do_not_hinder_reading() -> None:
    header = parse_header(f"r 1 500 10 05-Feb-2020 11:39:16\n{SIGNAL}".encode())
    assert header.base_date == datetime.date(2020, 2, 5)
    assert header.base_time == datetime.time(11, 39, 16)
    assert parse_header(f"r 1 500 10 noon today\n{SIGNAL}".encode()).base_time is None


def test_segments() -> None:
    header = parse_header(b"m/3 2 500 30\nlayout 0\ns1 20\n~ 10\n")
    assert [(s.name, s.samples) for s in header.segments] == [("layout", 0), ("s1", 20), ("~", 10)]
    assert header.signals == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "r",
        "r x",
        "r -1",
        "r 1 0",
        "r 1 -5",
        "r 1 nan",
        "r 1 500 ten\n" + SIGNAL,
        "r 2\n" + SIGNAL,
        "r 1\n" + SIGNAL + "\n" + SIGNAL,
        "r 1\nr.dat",
        "r 1\nr.dat sixteen",
        "r 1\nr.dat 16x0",
        "r 1\nr.dat 16 gain",
        "r 1\nr.dat 16 1e-9",
        "r 1\nr.dat 16 1e300",
        "r 1\nr.dat 16 200 1_0",
        "r 1\nr.dat 16 200 16 0 0 ٣",
        "r 1\nr.dat 16 200 16 0 0 " + "9" * 40,
        "r/2 1\ns1 ten\ns2 20",
        "a/b/c 1\n" + SIGNAL,
    ],
)
def test_malformed_headers_are_refused(text: str) -> None:
    with pytest.raises(MalformedHeader) as caught:
        parse_header(text.encode(), where="set/r.hea")
    message = str(caught.value)
    assert message.startswith("set/r.hea: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    "name", ["../r.dat", "/etc/passwd", "..", ".", "-", "a/b.dat", "..\\r.dat", "C:r.dat", "a\0b"]
)
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(MalformedHeader, match="a plain file name beside the header"):
        parse_header(f"r 1\n{name} 16".encode())
    with pytest.raises(MalformedHeader, match="a plain file name beside the header"):
        parse_header(f"r/1 1 100 5\n{name} 5".encode())


@pytest.mark.parametrize(
    "text",
    [
        "r 12 500 1000001",
        "r 65 500 1000",
        "r 999999999999 500 999999999999999",
        "r 1 500 10\nr.dat 16x9999999",
        "r/1001 1 500 10",
        "r/1 1 500 10\ns 99999999999",
        "r 1 500 10\n" + SIGNAL + "\n#" + "c" * 70_000,
    ],
)
def test_claims_above_the_limits_are_refused(text: str) -> None:
    with pytest.raises(RecordTooLarge):
        parse_header(text.encode())


def test_limits_are_the_callers() -> None:
    text = f"r 1 500 11\n{SIGNAL}".encode()
    assert parse_header(text, limits=ReadLimits(maximum_samples=11)).samples == 11
    with pytest.raises(RecordTooLarge, match="number of samples: expected at most 10, found 11"):
        parse_header(text, limits=ReadLimits(maximum_samples=10))


def test_a_large_header_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "r.hea"
    with path.open("wb") as file:
        file.truncate(2**33)  # a hole of 8 GiB, no disk is used
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(RecordTooLarge, match="expected at most 65536 bytes, found 8589934592"):
        read_header(path)
    assert time.perf_counter() - begun < 1
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


_line = st.text(
    alphabet=st.sampled_from("0123456789 .:/()x+-~\t#\nrdatmVIe\x00é"), min_size=0, max_size=60
)
_TOKENS = (
    "r r/2 12 500 0 1e9 -1 r.dat ../x 16 212x3:4+5 1000(0)/mV 99999999999999 I ~ # 1/2(3) ٣ nan inf"
)
_tokens = st.lists(st.sampled_from([*_TOKENS.split(), "\n"]), max_size=60).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=400), _line.map(str.encode), _tokens.map(str.encode)))
@example(b"\xff\xfe\x00")
@example(b"r 12 1e999")
@example(b"r 1 5e-324\nr.dat 16")
def test_any_bytes_give_a_header_or_a_record_error(content: bytes) -> None:
    tracemalloc.start()
    with contextlib.suppress(RecordError):
        header = parse_header(content)
        assert len(header.signals) in (0, header.lead_count)
        assert 0 < header.sampling_rate <= 1e6
        assert (header.samples or 0) <= ReadLimits().maximum_samples
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
