"""Which record goes into which shard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.data.conftest import listed
from truelead.config import DataConfig
from truelead.data.plan import ShardJob, make_plan
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


def test_a_pseudonym_names_a_patient_inside_its_source() -> None:
    listing = change(patient_id="p0", source="elsewhere")
    assert make_plan(listing, DATA).summary.listed == len(listing)


def test_a_further_part_goes_on_where_the_earlier_ended() -> None:
    listing = records()
    first = make_plan(listing[:8], DATA)
    second = make_plan(listing[8:], DATA, part=1, first_position=8)
    assert not {job.name for job in first.jobs} & {job.name for job in second.jobs}
    places = [p for plan in (first, second) for job in plan.jobs for p in job.positions]
    assert sorted(places) == list(range(len(listing)))
    assert all(
        listing[p] == r for j in second.jobs for p, r in zip(j.positions, j.records, strict=True)
    )
    assert [job.name for job in second.jobs[:2]] == [
        "train-001-00000.parquet",
        "train-001-00001.parquet",
    ]


def test_a_plan_can_be_compared_with_one_of_an_earlier_version() -> None:
    """A record that says nothing in the newer columns is the record that it always was."""
    now, before = make_plan(records(), DATA), make_plan(records(), DATA, schema_version=1)
    assert (now.summary.schema_version, before.summary.schema_version) == (2, 1)
    assert now.summary.records_sha256 != before.summary.records_sha256
    assert now.jobs == before.jobs
    coded = change(other_codes={"426783006": "sinus rhythm"})
    other = make_plan(coded, DATA, schema_version=1).summary.records_sha256
    assert other != before.summary.records_sha256
