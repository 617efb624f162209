"""A part without Ray: what is read, what is answered, and that damage is found."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.predict.conftest import QUESTIONS, noise
from truelead.data.store import open_store
from truelead.errors import DataError, ModelError
from truelead.model.answering import Answer, Answerer, Ask, as_question
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest, signal_digest
from truelead.model.reliance import RelianceMeter
from truelead.predict.listing import list_files, list_stored
from truelead.predict.part_answering import AnsweringRules, PartAnswerer, PredictingModel
from truelead.predict.part_file import NOTICE, SCHEMA, read_part, write_part
from truelead.predict.part_reading import ReadingRules, part_of, read, read_row
from truelead.predict.stream import entry_of
from truelead.signal.formats.base import StatedSignal
from truelead.signal.formats.reading import read_ecg, write_ecg
from truelead.types import LEADS


def rules(model: Path, output: Path, **others: object) -> AnsweringRules:
    given = AnsweringRules(model, model_digest(model), "data", QUESTIONS, output, batch_size=4)
    return replace(given, **others)


def test_answers_are_the_answerers_own(
    model_folder: Path, ecg_folder: Path, tmp_path: Path
) -> None:
    [job] = list_files([ecg_folder]).parts(100, "plan")
    part = read(job, ReadingRules(model_folder))
    rows = PredictingModel(rules(model_folder, tmp_path)).rows(part)
    readable = [file for file in job.files if file.record_id != "1/e07.hea"]
    assert [row["record_id"] for row in rows] == [
        file.record_id for file in readable for _ in QUESTIONS
    ]
    answerer = Answerer.from_pretrained(model_folder)
    ecgs = [read_ecg(file.path) for file in readable]
    asks = [Ask((ecg,), one.text, one.options) for ecg in ecgs for one in QUESTIONS]
    for row, answer in zip(rows, answerer.answer(asks), strict=True):
        assert row["answer"] == answer.text
        assert dict(row["option_probabilities"]) == pytest.approx(
            answer.option_probabilities, abs=1e-5
        )
        assert row["reliance"] is row["reliance_threshold"] is row["rests_on_ecg"] is None
        assert row["reliance_verdict"] == "not calibrated for this model"


def test_what_cannot_be_read_or_seen_is_said(model_folder: Path, ecg_folder: Path) -> None:
    [job] = list_files([ecg_folder]).parts(100, "plan")
    part = read(job, ReadingRules(model_folder))
    [rejected] = part.rejected
    assert (rejected.record_id, rejected.reason) == ("1/e07.hea", "truncated")
    assert str(ecg_folder) not in rejected.message
    notes = {ecg.record_id: ecg.notes for ecg in part.ecgs if ecg.notes}
    assert notes == {
        "1/e05.hea": "4 s long, the model was trained on 10 s",
        "0/e06.hea": "not recorded: V3",
    }
    assert [ecg.position for ecg in part.ecgs] == [
        position for position, file in enumerate(job.files) if file.record_id != rejected.record_id
    ]


def test_signals_that_no_ecg_has_are_set_aside(model_folder: Path, tmp_path: Path) -> None:
    large, short, empty = noise(1), noise(2, seconds=0.5), noise(3)
    large.signal_LT[0, 0] = 40.0
    empty.signal_LT[:] = np.nan
    for name, ecg in (("large", large), ("short", short), ("empty", empty)):
        write_ecg(ecg, tmp_path / f"{name}.npy")
    [job] = list_files([tmp_path], format="npy").parts(9, "plan")
    stated = StatedSignal(
        sampling_rate=100.0, units="mV", orientation="leads-by-samples", leads=LEADS
    )
    part = read(job, ReadingRules(model_folder, format="npy", stated=stated))
    assert part.ecgs == ()
    assert {one.record_id: one.message.split("expected ")[1] for one in part.rejected} == {
        "empty.npy": "a recorded sample, found none",
        "large.npy": "at most +-32.767 mV, found 40 mV",
        "short.npy": "at least 1 s, found 0.5 s",
    }


def test_stored_ecgs_are_those_of_the_store(model_folder: Path, shard_folder: Path) -> None:
    store = open_store(shard_folder)
    processor = Answerer.from_pretrained(model_folder).processor
    listing = list_stored(shard_folder)
    seen = Counter[str]()
    for job in listing.parts(4, "plan"):
        row = read_row({"job": job.model_dump_json()}, ReadingRules(model_folder, shard_folder))
        part = part_of(row)
        assert part.rejected == ()
        for ecg, standardised_LT in zip(part.ecgs, part.standardised_NLT, strict=True):
            stored = store.signal(ecg.record_id)
            np.testing.assert_array_equal(standardised_LT, processor.standardise(stored))
            assert ecg.sha256 == signal_digest(stored.signal_LT)
            seen[ecg.record_id] += 1
    assert seen == Counter(store.ids())


def test_a_shard_that_changed_since_it_was_listed_stops_the_part(
    model_folder: Path, shard_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(shard_folder, folder)
    job = list_stored(folder).parts(4, "plan")[0]
    path = folder / job.stored[0].shard
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="expected the shard that was listed"):
        read(job, ReadingRules(model_folder, folder))
    row = read_row({"job": job.model_dump_json()}, ReadingRules(model_folder, folder))
    assert "expected the shard that was listed" in row["fault"]


def test_reliance_is_the_meters_with_its_threshold_and_verdict(
    calibrated_folder: Path, ecg_folder: Path, tmp_path: Path
) -> None:
    [job] = list_files([ecg_folder / "0"]).parts(100, "plan")
    part = read(job, ReadingRules(calibrated_folder))
    rows = PredictingModel(rules(calibrated_folder, tmp_path)).rows(part)
    answerer = Answerer.from_pretrained(calibrated_folder)
    asked = tuple(as_question(one.text, one.options) for one in QUESTIONS)
    groups = [GroupInput((n,), asked, with_answers=False) for n in range(len(part.ecgs))]
    ecg_NLT = np.array(part.standardised_NLT)
    answers = answerer.answer_groups(groups, ecgs=ecg_NLT)
    meter = RelianceMeter(answerer, ReferenceEcgs.load(calibrated_folder))
    found = meter.measure(groups, answers, ecgs=ecg_NLT)
    verdicts = set()
    for row, one in zip(rows, found, strict=True):
        if one is None:
            assert row["answer"] == ""
            assert row["reliance"] is None
            continue
        assert row["reliance"] == pytest.approx(one.reliance, abs=1e-4)
        if row["options"]:
            assert row["reliance_threshold"] == 0.0
            if abs(one.reliance) > 1e-3:
                assert row["rests_on_ecg"] == (one.reliance > 0)
            verdicts.add(row["reliance_verdict"])
        else:
            assert row["rests_on_ecg"] is None
            assert row["reliance_verdict"] == "not calibrated for this model"
    assert "the answer rests on this ECG" in verdicts


def test_a_part_holds_the_same_whatever_its_actor_answered_before(
    calibrated_folder: Path, ecg_folder: Path, tmp_path: Path
) -> None:
    jobs = list_files([ecg_folder]).parts(5, "plan")
    parts = [read(job, ReadingRules(calibrated_folder)) for job in jobs]
    one, other = (PredictingModel(rules(calibrated_folder, tmp_path)) for _ in range(2))
    forwards = [one.rows(part) for part in parts]
    backwards = [other.rows(part) for part in reversed(parts)]
    assert forwards == backwards[::-1]


def test_a_part_is_written_once_and_damage_is_found(
    model_folder: Path, ecg_folder: Path, tmp_path: Path
) -> None:
    job = list_files([ecg_folder]).parts(8, "plan")[1]  # with the damaged one
    reading = ReadingRules(model_folder)
    answerer = PartAnswerer(rules(model_folder, tmp_path))
    out = answerer(read_row({"job": job.model_dump_json()}, reading))
    assert out["fault"] == ""
    path = tmp_path / job.name
    table = pq.read_table(path)
    assert table.schema.remove_metadata().equals(SCHEMA)
    assert set(table["notice"].to_pylist()) == {NOTICE}
    assert set(table["model_digest"].to_pylist()) == {model_digest(model_folder)}
    found = read_part(tmp_path, job, len(QUESTIONS))
    assert found is not None
    entry, rejected = found
    assert entry.model_dump_json() == out["entry"]
    assert (entry.listed, entry.rejected, entry.rows) == (4, 1, 9)
    assert [one.reason for one in rejected] == ["truncated"]
    assert read_part(tmp_path, job, len(QUESTIONS) + 1) is None
    assert read_part(tmp_path, job.model_copy(update={"plan": "other"}), len(QUESTIONS)) is None
    changed = table.to_pylist()
    changed[0]["answer"] = "?"
    pq.write_table(
        table.from_pylist(changed, schema=table.schema), path
    )  # the old receipt, other rows
    assert read_part(tmp_path, job, len(QUESTIONS)) is None
    path.write_bytes(path.read_bytes()[:-9])
    assert read_part(tmp_path, job, len(QUESTIONS)) is None
    # Written anew from the same rows, it is the same content.
    again = PartAnswerer(rules(model_folder, tmp_path))(
        read_row({"job": job.model_dump_json()}, reading)
    )
    assert again == out


def test_faults_come_back_as_one_line(model_folder: Path, ecg_folder: Path, tmp_path: Path) -> None:
    job = list_files([ecg_folder]).parts(2, "plan")[0]
    row = read_row({"job": job.model_dump_json()}, ReadingRules(model_folder))
    (tmp_path / job.name).mkdir()
    out = PartAnswerer(rules(model_folder, tmp_path))(row)
    assert out["entry"] == ""
    assert out["fault"].startswith(f"{tmp_path / job.name}: expected to write this part")
    assert not list(tmp_path.glob(".*"))
    other = PartAnswerer(rules(model_folder, tmp_path, model_digest="0" * 64))(row)
    assert "expected the model 000000000000 that was listed" in other["fault"]
    with pytest.raises(DataError, match="expected to write this part"):
        entry_of(out)
    with pytest.raises(ModelError, match="that was listed"):
        entry_of(other)
    broken = read_row({"job": job.model_dump_json()}, ReadingRules(tmp_path))
    with pytest.raises(ModelError, match="processor_config"):
        entry_of(PartAnswerer(rules(model_folder, tmp_path))(broken))


def test_likelihoods_that_are_not_finite_are_an_error(
    model_folder: Path, ecg_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = list_files([ecg_folder]).parts(2, "plan")[0]
    part = read(job, ReadingRules(model_folder))
    model = PredictingModel(rules(model_folder, tmp_path))

    def spoiled(self: Answerer, groups: object, **given: object) -> object:
        count = sum(len(group.questions) for group in groups)  # type: ignore[attr-defined]
        return [Answer("yes", ("yes",), {"yes": float("nan"), "no": 0.5})] * count

    monkeypatch.setattr(Answerer, "answer_groups", spoiled)
    with pytest.raises(ModelError, match="expected finite likelihoods"):
        model.rows(part)


def test_write_part_of_nothing_is_whole(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("nothing")
    job = list_files([tmp_path / "bad.csv"]).parts(2, "plan")[0]
    part = read(job, ReadingRules(model_folder))
    assert part.ecgs == ()
    entry = write_part(job, [], part.rejected, tmp_path)
    assert (entry.rows, entry.rejected) == (0, 1)
    assert read_part(tmp_path, job, 3) == (entry, part.rejected)
