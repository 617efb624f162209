"""Judges the finished runs of a condition by one report, and keeps every run's answers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelead.data.durable import file_sha256, write_durable_text
from truelead.errors import TrueLeadError
from truelead.evaluate.predictions import Prediction, Predictor, Trial
from truelead.study.plan import Condition, Run, StudyPlan
from truelead.study.training import RunRecord
from truelead.train.progress import say
from truelead.train.stage import Stage

ANSWERS = "answers.json"


@dataclass(frozen=True)
class Judged:
    """What was judged of a condition.

    Attributes:
        report: the report's folder; None where nothing could be judged.
        arms, seeds: the arms of the report, each with all of these seeds.
        reason: why there is no report, in one line.
    """

    report: Path | None
    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    reason: str = ""


def judge_condition(
    plan: StudyPlan, condition: Condition, records: Mapping[Run, RunRecord]
) -> Judged:
    """The judge's report over all arms and seeds that are finished, in the condition's folder.

    It is made again only where other runs are finished or the judge's configuration has changed.
    """
    from truelead.evaluate.judge import evaluate_runs

    runs = {
        (run.arm, run.seed): run
        for run, record in records.items()
        if run.condition == condition.name and record.is_finished
    }
    arms = [arm.name for arm in condition.recipe.arms]
    finished = {arm: [seed for seed in plan.study.seeds if (arm, seed) in runs] for arm in arms}
    if not finished[arms[0]]:
        return Judged(None, reason=f"no run of the baseline {arms[0]} is finished")
    seeds = comparable_seeds(finished, arms[0])
    whole = tuple(arm for arm in arms if set(seeds) <= set(finished[arm]))
    folders = {arm: [runs[arm, seed].folder / "finetune" for seed in seeds] for arm in whole}
    keys = {arm: [records[runs[arm, seed]].key for seed in seeds] for arm in whole}
    tree = condition.recipe.model_dump(mode="json")
    stage = Stage(
        condition.folder / "report",
        {"runs": keys, "evaluate": tree["evaluate"], "questions": tree["questions"]},
    )
    if not stage.is_finished():
        stage.begin(condition.recipe)
        try:
            evaluate_runs(
                condition.recipe,
                folders,
                output=stage.folder,
                keep=KeptAnswers,
                progress=lambda message: say(f"judging {condition.name}: {message}"),
            )
        except TrueLeadError as error:
            return Judged(None, reason=str(error))
        stage.finish({"arms": list(whole), "seeds": list(seeds)})
    return Judged(stage.folder, whole, seeds)


def comparable_seeds(finished: Mapping[str, Sequence[int]], baseline: str) -> tuple[int, ...]:
    """The seeds to compare over, so that every arm judged has all of them, paired one by one.

    Where runs have failed or are not done yet, the largest number of runs decides, and of equal
    ones the larger number of arms; arms that lack one of the seeds are left out.
    """
    own = list(finished[baseline])
    sets = {tuple(seed for seed in own if seed in seeds) for seeds in finished.values()} - {()}

    def covered(seeds: tuple[int, ...]) -> int:
        return sum(set(seeds) <= set(found) for found in finished.values())

    return max(sorted(sets), key=lambda seeds: (covered(seeds) * len(seeds), covered(seeds)))


class KeptAnswers:
    """A predictor that remembers, in its model's folder, what it has answered to these trials."""

    def __init__(self, folder: Path, load: Callable[[], Predictor]) -> None:
        """Args:
        folder: of the model; its files' digest is part of what the answers belong to.
        load: makes the predictor; only called where trials are not answered yet.
        """
        self._folder = folder
        self._load = load

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """One prediction for each trial, from the file if it holds just these."""
        key = self._key(trials)
        path = self._folder / ANSWERS
        kept = _kept(path, key)
        if kept is None:
            kept = self._load().predict(trials)
            rows = [dataclasses.asdict(prediction) for prediction in kept]
            write_durable_text(path, json.dumps({"key": key, "answers": rows}))
            kept = _kept(path, key)  # as a later start reads them
            assert kept is not None, "just written"
        return kept

    def _key(self, trials: Sequence[Trial]) -> str:
        digest = hashlib.sha256(file_sha256(self._folder / "model.safetensors").encode())
        for trial in trials:
            asked = (dataclasses.astuple(trial.question), trial.shown, trial.change)
            digest.update(repr(asked).encode())
        return digest.hexdigest()


def _kept(path: Path, key: str) -> list[Prediction] | None:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if tree["key"] != key:
        return None
    return [
        Prediction(**{name: _frozen(value) for name, value in row.items()})
        for row in tree["answers"]
    ]


def _frozen(value: Any) -> Any:
    """JSON's lists as the tuples that were written."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
