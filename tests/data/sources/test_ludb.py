from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.data.sources.conftest import LUDB_ROW, millivolts, write_csv
from truelead.config import DataConfig
from truelead.data.reading import read_listed
from truelead.data.sources.ludb import load_records, scp_code
from truelead.data.sources.ludb_delineation import Wave, load_delineation, waves_of_marks
from truelead.errors import DataError, MissingFile, RecordError
from truelead.signal import write_record
from truelead.types import LEADS, Ecg, Record

HASH = DataConfig(split_by="hash", development_fraction=0.0, sampling_rate=500)


def load_one(root: Path, **changes: str) -> Record:
    write_csv(root / "ludb.csv", [{**LUDB_ROW, **changes}])
    (record,) = load_records(root, HASH)
    return record


def test_a_row_becomes_a_record(tmp_path: Path) -> None:
    record = load_one(tmp_path)
    assert set(record.scp_codes) == {"SBRAD", "PAC", "LVH", "ISCIN"}
    assert set(record.other_codes.values()) == {
        "Left ventricular overload",
        "Stemi: lateral wall",
    }
    assert (record.path, record.age, record.sex, record.heart_axis) == ("data/1", 51.0, 1, "LAD")
    assert record.report.splitlines()[:2] == [
        "Sinus bradycardia",
        "Electric axis of the heart: left axis deviation",
    ]


def test_an_age_above_89_is_written_as_ptbxl_does(tmp_path: Path) -> None:
    assert load_one(tmp_path, Age=">89\n").age == 300.0


@pytest.mark.parametrize(
    ("column", "value"), [("ID", "one"), ("Sex", "X"), ("Age", "old"), ("Age", "90")]
)
def test_a_wrong_cell_names_file_line_and_column(tmp_path: Path, column: str, value: str) -> None:
    with pytest.raises(DataError, match=rf"ludb\.csv: line \d+: {column}: expected"):
        load_one(tmp_path, **{column: value})


@pytest.mark.parametrize(
    ("diagnosis", "code"),
    [
        ("Ventricular extrasystole, localisation: rvot, anterior wall", "PVC"),
        ("Atrial extrasystole: sa-nodal extrasystole", "PAC"),
        ("Iii degree av-block", "3AVB"),
        ("Left atrial hypertrophy", ""),
        ("Ischemia: apical", ""),
        ("Stemi: anterior wall", ""),
    ],
)
def test_a_diagnosis_is_a_statement_only_where_it_says_the_same(diagnosis: str, code: str) -> None:
    assert scp_code(diagnosis) == code


@pytest.mark.parametrize(
    ("marks", "waves"),
    [
        ("(p)", [Wave("P", 0, 1, 2)]),
        ("(p)(N)(t)", [Wave("P", 0, 1, 2), Wave("QRS", 3, 4, 5), Wave("T", 6, 7, 8)]),
        # what LUDB's files hold besides
        ("N)(t)", [Wave("QRS", None, 0, 1), Wave("T", 2, 3, 4)]),
        ("N()", [Wave("QRS", 1, 0, 2)]),
        ("()(t)", [Wave("unknown", 0, None, 1), Wave("T", 2, 3, 4)]),
        ("()N", [Wave("unknown", 0, None, 1), Wave("QRS", None, 2, None)]),
        # what a file could hold
        ("N(t)", [Wave("QRS", None, 0, None), Wave("T", 1, 2, 3)]),
        ("(N(t)", [Wave("QRS", 0, 1, None), Wave("T", 2, 3, 4)]),
        ("pN", [Wave("P", None, 0, None), Wave("QRS", None, 1, None)]),
        ("((p)", [Wave("unknown", 0, None, None), Wave("P", 1, 2, 3)]),
        (")", [Wave("unknown", None, None, 0)]),
        ("", []),
    ],
)
def test_marks_are_waves_and_none_is_lost(marks: str, waves: list[Wave]) -> None:
    found = waves_of_marks(enumerate(marks))
    assert found == waves
    places = [p for w in found for p in (w.onset, w.peak, w.offset) if p is not None]
    assert sorted(places) == list(range(len(marks)))


CODES = {"N": 1, "V": 5, "p": 24, "t": 27, "(": 39, ")": 40}


def write_marks(folder: Path, lead: str, marks: str, places: list[int] | None = None) -> None:
    """An annotation file as annot(5) describes it, with the rate as LUDB states it."""
    places = places or [100 * i for i in range(1, len(marks) + 1)]
    rate = b"## time resolution: 500"
    words = [22 << 10, 63 << 10 | len(rate)]
    content = b"".join(word.to_bytes(2, "little") for word in words) + rate + b"\0"
    for symbol, before, place in zip(marks, [0, *places], places, strict=False):
        interval = place - before
        if interval >= 1024:
            content += (59 << 10).to_bytes(2, "little")
            content += (interval >> 16).to_bytes(2, "little")
            content += (interval & 0xFFFF).to_bytes(2, "little")
            interval = 0
        content += (CODES[symbol] << 10 | interval).to_bytes(2, "little")
    (folder / f"1.{lead.lower()}").write_bytes(content + bytes(2))


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A set with one record and the same marks in each lead."""
    write_record(tmp_path / "data", Ecg(millivolts(0, 5000), 500.0), name="1")
    for lead in LEADS:
        write_marks(tmp_path / "data", lead, "(p)(N)(t)")
    return tmp_path


def test_annotation_files_are_read_for_each_lead(marked: Path) -> None:
    write_marks(marked / "data", "aVL", "(N)", [7, 8, 9])
    delineation = load_delineation(marked, "1")
    assert tuple(delineation) == LEADS
    assert delineation["aVL"] == [Wave("QRS", 7, 8, 9)]
    assert delineation["V6"] == [
        Wave("P", 100, 200, 300),
        Wave("QRS", 400, 500, 600),
        Wave("T", 700, 800, 900),
    ]


def test_what_is_no_delineation_is_a_typed_error(marked: Path) -> None:
    with pytest.raises(DataError, match="record_id: expected a whole number"):
        load_delineation(marked, "../1")
    with pytest.raises(MissingFile):
        load_delineation(marked, "2")
    write_marks(marked / "data", "V3", "(V)")
    with pytest.raises(RecordError, match=r"1\.v3: mark 2: expected one of"):
        load_delineation(marked, "1")
    write_marks(marked / "data", "V3", "(N)", [10, 20, 6000])
    with pytest.raises(RecordError, match=r"1\.v3: mark 3: expected a sample below 5000"):
        load_delineation(marked, "1")
    (marked / "data" / "1.v3").write_bytes(bytes(2**20 + 2))
    with pytest.raises(RecordError, match=r"1\.v3: annotations: expected at most"):
        load_delineation(marked, "1")
    (marked / "data" / "1.v3").unlink()
    with pytest.raises(MissingFile, match=r"1\.v3: annotations"):
        load_delineation(marked, "1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "an end mark"),
        (b"\xff", "an end mark"),
        (b"\x01\x04", "an end mark"),
        (b"\x00\xec\x01", "4 bytes behind a skip"),
        (b"\xff\xff\x00\x00", "an end mark"),
        (b"\x00\x00N", "nothing behind the end mark"),
    ],
)
def test_a_damaged_annotation_file_is_a_typed_error(
    marked: Path, content: bytes, expected: str
) -> None:
    (marked / "data" / "1.ii").write_bytes(content)
    with pytest.raises(RecordError, match=rf"1\.ii: annotations: expected {expected}"):
        load_delineation(marked, "1")


def test_another_rate_is_refused(marked: Path) -> None:
    path = marked / "data" / "1.ii"
    path.write_bytes(path.read_bytes().replace(b": 500", b": 250"))
    with pytest.raises(RecordError, match=r"1\.ii: rate: expected 500 Hz, found 250 Hz"):
        load_delineation(marked, "1")


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb's, about its own tables
def test_real_records(real_data: Path) -> None:
    """20 records: each mark of wfdb's own reading is in one wave, and nothing else is."""
    import wfdb

    root = real_data / "ludb"
    records = load_records(root, HASH)
    assert len(records) == 200  # the table is whole, 20 of its records are here
    here = [record for record in records if (root / f"{record.path}.dat").is_file()]
    assert len(here) == 20
    kinds: Counter[str] = Counter()
    for record in here:
        for lead, waves in load_delineation(root, record.record_id).items():
            kinds.update(wave.kind for wave in waves)
            if record.record_id in ("1", "7", "8") and lead in ("I", "V2", "V5"):
                oracle = wfdb.rdann(str(root / record.path), lead.lower())
                places = [p for w in waves for p in (w.onset, w.peak, w.offset) if p is not None]
                assert sorted(places) == oracle.sample.tolist()
    assert kinds == {"QRS": 2049, "T": 1810, "P": 1699, "unknown": 2}
    assert read_listed(root, here[0]).ecg.signal_LT.shape == (12, 5000)
