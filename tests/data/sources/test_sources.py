"""What every source promises, over the whole dict: a new source is tested by being listed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pytest

from tests.data.sources.conftest import WRITERS
from truelead.config import DataConfig
from truelead.data.plan import SPLITS, make_plan
from truelead.data.reading import read_listed
from truelead.data.schema import record_row, row_record
from truelead.data.sources import QUESTIONS, SOURCES, ecg_qa, ecg_qa_mimic, question_loader
from truelead.data.sources.cinc import PREFIX
from truelead.data.sources.code15 import SCP_CODES as CODE15_CODES
from truelead.data.sources.ludb import SCP_CODES as LUDB_CODES
from truelead.data.sources.snomed_codes import HEART_AXES, SNOMED_CODES
from truelead.data.sources.splitting import split_by_hash
from truelead.errors import DataError
from truelead.questions.notes import heart_axis
from truelead.questions.scp import SCP_STATEMENTS
from truelead.types import Record


class WrittenSet(NamedTuple):
    """A small set on disk."""

    name: str
    root: Path
    data: DataConfig


@pytest.fixture(scope="module", params=list(SOURCES))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WrittenSet:
    root = tmp_path_factory.mktemp(request.param)
    return WrittenSet(request.param, root, WRITERS[request.param](root))


def load(written: WrittenSet, **changes: object) -> list[Record]:
    return SOURCES[written.name].load_records(written.root, written.data.model_copy(update=changes))


def test_records_are_listed_whole_and_alike_each_time(written: WrittenSet) -> None:
    records = load(written)
    assert len(records) >= 12
    assert len({record.record_id for record in records}) == len(records)
    assert {record.source for record in records} == {written.name}
    assert all(record.patient_id for record in records)
    assert records == load(written)
    assert make_plan(records, written.data).summary.listed == len(records)
    assert [row_record(record_row(record)) for record in records] == records


def test_every_record_can_be_read(written: WrittenSet) -> None:
    for record in load(written):
        path = PurePosixPath(record.path)
        assert not path.is_absolute()
        assert ".." not in path.parts
        listed = read_listed(written.root, record)
        assert np.isfinite(listed.ecg.signal_LT).all()
        assert len(listed.source_sha256) == 64


def test_patients_stand_in_one_split_and_development_comes_from_train(written: WrittenSet) -> None:
    plain, divided = load(written, development_fraction=0.0), load(written)
    split_of: dict[str, str] = {}
    for record in divided:
        assert record.split in SPLITS
        assert split_of.setdefault(record.patient_id, record.split) == record.split
    assert "development" not in {record.split for record in plain}
    for before, after in zip(plain, divided, strict=True):
        assert after.split in (before.split, "development")
        assert before.split == "train" or after.split == before.split


def test_the_limit_keeps_the_first_records_as_they_are(written: WrittenSet) -> None:
    assert load(written, limit=3) == load(written)[:3]


def test_a_way_to_split_that_a_set_does_not_have_is_refused(written: WrittenSet) -> None:
    other = "strat_fold" if written.data.split_by == "hash" else "hash"
    with pytest.raises(DataError, match=r"data\.split_by: expected .* for data\.source"):
        load(written, split_by=other)


@pytest.mark.parametrize("name", list(SOURCES))
def test_an_empty_folder_is_an_error_of_one_line(name: str, tmp_path: Path) -> None:
    data = DataConfig(split_by="strat_fold" if name == "ptbxl" else "hash")
    with pytest.raises(DataError, match="expected") as caught:
        SOURCES[name].load_records(tmp_path, data)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_mapped_code_is_a_statement_that_questions_know() -> None:
    mapped = {code.scp_code for code in SNOMED_CODES.values() if code.scp_code}
    assert mapped | set(CODE15_CODES.values()) | set(LUDB_CODES.values()) <= set(SCP_STATEMENTS)
    assert set(HEART_AXES) <= set(SNOMED_CODES)
    for word in HEART_AXES.values():
        assert heart_axis(Record("", "", "", "", heart_axis=word)) is not None
    assert all(code.isdigit() for code in SNOMED_CODES)
    assert PREFIX == "SNOMED:"


def test_the_hash_gives_each_split_its_share_and_moves_nobody() -> None:
    data = DataConfig(valid_fraction=0.1, test_fraction=0.2)
    split = [split_by_hash(f"p{number}", data) for number in range(5000)]
    shares = [split.count(name) / len(split) for name in ("train", "valid", "test")]
    # five standard deviations of a share of 5000
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.035)
    wider = DataConfig(valid_fraction=0.2, test_fraction=0.2)
    for number, before in enumerate(split):
        after = split_by_hash(f"p{number}", wider)
        assert after == before or (before, after) == ("train", "valid")


def test_questions_are_read_by_the_loader_of_their_set() -> None:
    assert question_loader({"ptbxl"}) is ecg_qa.load_questions
    assert question_loader({"mimic_iv_ecg"}) is ecg_qa_mimic.load_questions
    assert question_loader({"hand-made"}) is ecg_qa.load_questions
    assert set(QUESTIONS) <= set(SOURCES)
    with pytest.raises(DataError, match="expected ECGs of one set"):
        question_loader({"ptbxl", "mimic_iv_ecg"})
