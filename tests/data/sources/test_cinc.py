from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.data.sources.conftest import write_cinc_record
from truelead.config import DataConfig
from truelead.data.reading import read_listed
from truelead.data.sources.cinc import load_records
from truelead.data.sources.snomed_codes import SNOMED_CODES
from truelead.errors import DataError, RecordError
from truelead.types import Record

HASH = DataConfig(split_by="hash", development_fraction=0.0, sampling_rate=500)


def load_one(root: Path, *comments: str) -> Record:
    write_cinc_record(root, "A0001", *comments)
    (record,) = load_records(root, HASH)
    return record


def test_every_code_is_kept_and_known_ones_are_statements(tmp_path: Path) -> None:
    record = load_one(
        tmp_path, "#Age: 74", "#Sex: Female", "#Dx: 164889003,59118001,713427006,55930002,12345678"
    )
    assert record.scp_codes == {"AFIB": 100.0, "CRBBB": 100.0}
    assert record.other_codes == {
        "SNOMED:164889003": "atrial fibrillation",
        "SNOMED:59118001": "right bundle branch block",
        "SNOMED:713427006": "complete right bundle branch block",
        "SNOMED:55930002": "s t changes",
        "SNOMED:12345678": "",
    }
    assert record.report.startswith("atrial fibrillation; right bundle branch block; ")
    assert (record.age, record.sex, record.heart_axis) == (74.0, 1, "")


def test_codes_without_a_statement_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(3):
        write_cinc_record(tmp_path, f"A{number}", "# Dx: 164889003,55930002,12345678")
    load_records(tmp_path, HASH)
    assert "SNOMED:55930002 3" in caplog.text
    assert "SNOMED:12345678 3" in caplog.text
    assert "164889003" not in caplog.text


@pytest.mark.parametrize(
    ("codes", "axis"),
    [("39732003", "LAD"), ("47665007", "RAD"), ("39732003,47665007", ""), ("426783006", "")],
)
def test_the_axis_is_a_note_where_it_is_one(tmp_path: Path, codes: str, axis: str) -> None:
    assert load_one(tmp_path, f"#Dx: {codes}").heart_axis == axis


@pytest.mark.parametrize(
    ("comment", "age", "sex"),
    [
        ("# Age: NaN", None, None),
        ("# Age: Unknown", None, None),
        ("#Age: 300", 300.0, None),
        ("# Age: 999", None, None),
        ("# Age: -1", None, None),
        ("#Sex: M", None, 0),
        ("# Sex: Unknown", None, None),
    ],
)
def test_what_is_not_known_is_none(
    tmp_path: Path, comment: str, age: float | None, sex: int | None
) -> None:
    record = load_one(tmp_path, comment, "#Dx: Unknown")
    assert (record.age, record.sex) == (age, sex)
    assert record.scp_codes == record.other_codes == {}


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("#Dx: AFIB", "comment Dx: expected SNOMED CT codes"),
        ("#Age: elderly", "comment Age: expected a number"),
        ("#Sex: neither", "comment Sex: expected male"),
    ],
)
def test_another_comment_is_an_error_without_its_text(
    tmp_path: Path, comment: str, expected: str
) -> None:
    with pytest.raises(DataError, match=rf"A0001\.hea: {expected}") as caught:
        load_one(tmp_path, comment)
    assert comment.split(": ")[1] not in str(caught.value)


def test_a_broken_header_is_listed_and_rejected_with_its_reason(tmp_path: Path) -> None:
    write_cinc_record(tmp_path, "A0001", "#Dx: 164889003")
    (tmp_path / "A0002.hea").write_text("A0002 twelve 500 5000\n", encoding="utf-8")
    good, broken = load_records(tmp_path, HASH)
    assert good.scp_codes == {"AFIB": 100.0}
    assert broken.scp_codes == broken.other_codes == {}
    with pytest.raises(RecordError):
        read_listed(tmp_path, broken)


def test_two_records_of_one_name_are_an_error(tmp_path: Path) -> None:
    write_cinc_record(tmp_path / "one", "A0001")
    write_cinc_record(tmp_path / "two", "A0001")
    with pytest.raises(DataError, match=r"two.A0001\.hea: record: expected each name once"):
        load_records(tmp_path, HASH)


def test_the_table_maps_alike_what_the_challenge_scores_alike() -> None:
    for first, second in (("733534002", "164909002"), ("713427006", "59118001")):
        assert SNOMED_CODES[first].scp_code == SNOMED_CODES[second].scp_code != ""
    assert SNOMED_CODES["427172004"].scp_code == SNOMED_CODES["17338001"].scp_code == "PVC"
    # wider than any statement
    assert SNOMED_CODES["164865005"].scp_code == SNOMED_CODES["6374002"].scp_code == ""


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb's, about its own tables
def test_real_records(real_data: Path) -> None:
    """40 records of Georgia and Ningbo: labels as their headers say, signals as wfdb reads them."""
    import wfdb

    records = load_records(real_data / "cinc2021", HASH)
    assert len(records) == 40
    assert all(record.age is not None and record.sex is not None for record in records)
    assert all(record.other_codes for record in records)
    by_id = {record.record_id: record for record in records}
    assert set(by_id["E07500"].scp_codes) == {"LAO/LAE", "SBRAD"}
    assert set(by_id["JS20000"].scp_codes) == {"PAC", "STACH", "IVCD"}
    assert "SNOMED:55930002" in by_id["JS20000"].other_codes
    for record in records[::8]:
        oracle = wfdb.rdrecord(str(real_data / "cinc2021" / record.path)).p_signal.T
        listed = read_listed(real_data / "cinc2021", record)
        np.testing.assert_allclose(listed.ecg.signal_LT, oracle, atol=1e-6)
