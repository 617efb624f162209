"""Which record goes into which shard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.conftest import listed
from truelead.config import DataConfig
from truelead.data.plan import ShardJob, agree_with_folder, make_plan, write_plan
from truelead.errors import DataError
from truelead.types import Record

DATA = DataConfig(records_per_shard=3)


def records(count: int = 20) -> list[Record]:
    splits = ("train", "valid", "train", "test")
    return [listed(f"r{i}", f"a/r{i}", splits[i % 4], patient=f"p{i}") for i in range(count)]


def test_every_record_once_in_order_and_no_shard_of_two_splits() -> None:
    listing = records()
    plan = make_plan(listing, DATA)
    assert sorted(p for job in plan.jobs for p in job.positions) == list(range(len(listing)))
    for job in plan.jobs:
        assert {record.split for record in job.records} == {job.split}
        assert list(job.positions) == sorted(job.positions)
        assert [listing[p] for p in job.positions] == list(job.records)
        assert 1 <= len(job.records) <= DATA.records_per_shard
    assert plan == make_plan(listing, DATA)


def test_a_job_travels_as_text() -> None:
    for job in make_plan(records(), DATA).jobs:
        assert ShardJob.from_json(job.to_json()) == job
        assert ShardJob.from_json(job.to_json()).digest == job.digest


def test_any_changed_label_is_another_job() -> None:
    listing = records()
    before = make_plan(listing, DATA)
    listing[5] = replace(listing[5], scp_codes={"NORM": 100.0})
    after = make_plan(listing, DATA)
    assert sum(a.digest != b.digest for a, b in zip(before.jobs, after.jobs, strict=True)) == 1
    assert before.summary.records_sha256 != after.summary.records_sha256


def change(**fields: object) -> list[Record]:
    listing = records()
    return [*listing[:-1], replace(listing[-1], **fields)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ([], "expected at least 1"),
        (change(record_id="r0"), "'r0': record_id: expected once"),
        (change(split="dev"), "split: expected one of train, development, valid, test"),
        (change(path="../outside"), "expected a path inside the set's folder"),
        (change(path="/etc/passwd"), "expected a path inside the set's folder"),
        (change(path=""), "expected a path inside the set's folder"),
        (change(patient_id="p0"), "expected every patient in one split, found 1 in several"),
    ],
)
def test_listings_that_are_refused(listing: list[Record], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_plan(listing, DATA)


def test_unknown_patients_may_be_in_several_splits() -> None:
    listing = [replace(record, patient_id="") for record in records()]
    assert make_plan(listing, DATA).summary.listed == len(listing)


def test_a_folder_keeps_to_one_plan(tmp_path: Path) -> None:
    summary = make_plan(records(), DATA).summary
    assert not agree_with_folder(tmp_path / "none yet", summary)
    assert not agree_with_folder(tmp_path, summary)
    write_plan(tmp_path, summary)
    assert agree_with_folder(tmp_path, summary)
    other = make_plan(records(), DataConfig(records_per_shard=3, sampling_rate=500)).summary
    with pytest.raises(DataError, match=r"sampling_rate: expected 100.0 .* found 500.0"):
        agree_with_folder(tmp_path, other)
    with pytest.raises(DataError, match=r"listed: expected 20 .* found 16"):
        agree_with_folder(tmp_path, make_plan(records(16), DATA).summary)
    with pytest.raises(DataError, match="records_sha256: expected the records of the earlier"):
        agree_with_folder(tmp_path, make_plan(change(age=1.0), DATA).summary)


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="expected an empty folder"):
        agree_with_folder(tmp_path, make_plan(records(), DATA).summary)
