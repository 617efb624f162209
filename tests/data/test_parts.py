"""What claims a folder, and what in a listing would be new in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.conftest import listed
from truelead.config import DataConfig
from truelead.data.manifest import PlanSummary
from truelead.data.parts import PLAN_NAME, HeldRecords, check_agreement, read_plans, write_plans
from truelead.data.plan import make_plan
from truelead.data.schema import record_row
from truelead.data.storage import open_folder
from truelead.errors import DataError
from truelead.types import Record

DATA = DataConfig(records_per_shard=3)


def records(count: int = 20) -> list[Record]:
    return [listed(f"r{i}", f"a/r{i}", patient=f"p{i}") for i in range(count)]


def test_plans_claim_a_folder(tmp_path: Path) -> None:
    assert read_plans(open_folder(tmp_path / "none yet")) == ()
    folder = open_folder(tmp_path)
    assert read_plans(folder) == ()
    first = make_plan(records(), DATA).summary
    second = make_plan(records(4), DATA, part=1).summary
    write_plans(folder, [first, second])
    assert read_plans(folder) == (first, second)


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="expected an empty folder"):
        read_plans(open_folder(tmp_path))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"schema_version": 1, "listed": 3}, "schema_version: expected 2, found 1 and no manifest"),
        ({"schema_version": 2, "parts": [{"listed": 3}]}, "Field required"),
        ({"schema_version": 2, "parts": 3}, "parts: expected a list"),
    ],
)
def test_damaged_plans(tmp_path: Path, tree: dict[str, object], message: str) -> None:
    (tmp_path / PLAN_NAME).write_text(json.dumps(tree))
    with pytest.raises(DataError, match=message):
        read_plans(open_folder(tmp_path))


def test_what_differs_is_named(tmp_path: Path) -> None:
    folder, first = open_folder(tmp_path), make_plan(records(), DATA).summary
    every = PlanSummary.model_fields
    check_agreement(folder, first, first, names=every, hint="")
    other = make_plan(records(), DataConfig(records_per_shard=3, sampling_rate=500)).summary
    with pytest.raises(DataError, match=r"sampling_rate: expected 100.0 .* found 500.0: so what"):
        check_agreement(folder, other, first, names=every, hint="so what")
    check_agreement(folder, other, first, names=["listed"], hint="")
    fewer = make_plan(records(16), DATA).summary
    with pytest.raises(DataError, match=r"listed: expected 20 .* found 16"):
        check_agreement(folder, fewer, first, names=every, hint="")
    changed = [*records()[:-1], replace(records()[-1], age=1.0)]
    with pytest.raises(DataError, match="records_sha256: expected the records of the earlier"):
        check_agreement(folder, make_plan(changed, DATA).summary, first, names=every, hint="")


def test_held_records_are_told_from_new_and_from_changed_ones(tmp_path: Path) -> None:
    known = records(4)
    stored = {record.record_id: record_row(record) for record in known[:3]}
    held = HeldRecords(open_folder(tmp_path), stored, {"r3": (known[3].path, "train")})
    assert held.without(known) == []
    assert held.without(records(6)) == records(6)[4:]
    with pytest.raises(DataError, match=r"'r1': expected the labels that are stored.* in age, sex"):
        held.without([replace(known[1], age=5.0, sex=None)])
    with pytest.raises(DataError, match=r"'r1': record_id: .*sources 'hand-made' and 'other'"):
        held.without([replace(known[1], source="other")])
    with pytest.raises(DataError, match="'r3': expected the path and split under which"):
        held.without([replace(known[3], split="test")])
