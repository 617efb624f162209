"""What is trained, in which folders, in which order, and what is shared."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from truelead.errors import ResourceError
from truelead.study.definition import load_study
from truelead.study.plan import Run, StudyPlan, make_plan
from truelead.study.schedule import Schedule


def test_every_condition_seed_and_arm_is_one_run_in_a_folder_of_its_own(plan: StudyPlan) -> None:
    assert len(plan.runs) == 2 * 2 * 3
    assert len({run.folder for run in plan.runs}) == len(plan.runs)
    first = plan.runs[0]
    assert first.folder == plan.folder / "strong-confounding" / "seed-0" / "erm"
    assert plan.folder.parts[-3:] == ("run", "study", "compared")
    assert {run.recipe.seed for run in plan.runs} == {0, 1}
    assert {run.recipe.severity for run in plan.runs if "random" in str(run.folder)} == {"random"}
    # A study that is cut short has whole seeds.
    assert [run.seed for run in plan.runs] == sorted(run.seed for run in plan.runs)


def test_conditions_that_only_ask_otherwise_share_the_recipes_own_inputs(plan: StudyPlan) -> None:
    assert {condition.inputs for condition in plan.conditions} == {plan.folder.parents[1]}
    assert len(plan.inputs) == 1


def test_a_condition_with_other_ecgs_has_inputs_of_its_own(written: Callable[..., Path]) -> None:
    conditions = [
        {"name": "as is"},
        {"name": "short", "overrides": {"data.duration_seconds": 5.0}},
        {
            "name": "short and random",
            "overrides": {"data.duration_seconds": 5.0, "severity": "random"},
        },
    ]
    plan = make_plan(load_study(written(conditions=conditions)))
    own, short, both = (condition.inputs for condition in plan.conditions)
    assert own == plan.folder.parents[1]
    assert short == both
    assert short.parent == plan.folder
    assert plan.inputs[short].data.duration_seconds == 5.0
    assert plan.inputs[short].output == short


def test_levels_of_confounding_share_one_planted_set(written: Callable[..., Path]) -> None:
    planted = {"planted": {"ecgs": 50}, "questions.setup": "planted", "severity": "planted"}
    conditions = [
        {"name": "strong", "overrides": {"planted.confounding": 1.0}},
        {"name": "none", "overrides": {"planted.confounding": 0.0, "planted.positivity": 0.3}},
        {"name": "noisy", "overrides": {"planted.noise": 0.9}},
    ]
    plan = make_plan(load_study(written(overrides=planted, conditions=conditions)))
    strong, none, noisy = plan.conditions
    assert strong.inputs == none.inputs != noisy.inputs
    assert none.recipe.planted is not None
    assert none.recipe.planted.confounding == 0.0


def test_the_command_line_changes_the_recipe(written: Callable[..., Path], tmp_path: Path) -> None:
    plan = make_plan(
        load_study(written()),
        [f"output={tmp_path / 'elsewhere'}", "pretrain.learning_rate=1.0e-05"],
    )
    assert plan.folder == tmp_path / "elsewhere" / "study" / "compared"
    assert {run.recipe.pretrain.learning_rate for run in plan.runs} == {1e-5}


def test_small_numbers_survive_as_overrides(written: Callable[..., Path]) -> None:
    plan = make_plan(load_study(written(overrides={"pretrain.learning_rate": 1e-05})))
    assert plan.runs[0].recipe.pretrain.learning_rate == 1e-5


def test_folds_of_the_wordings_are_conditions(written: Callable[..., Path]) -> None:
    plan = make_plan(load_study(written(wording_folds=2)))
    assert [condition.name for condition in plan.conditions] == [
        f"{name}, wordings {fold} of 2"
        for name in ("Strong confounding", "Random strata")
        for fold in (1, 2)
    ]
    folds = [condition.recipe.questions.wording_fold for condition in plan.conditions]
    assert folds == [0, 1, 0, 1]
    assert {condition.recipe.questions.wording_folds for condition in plan.conditions} == {2}


def test_a_run_is_void_when_its_own_configuration_or_its_inputs_change(
    plan: StudyPlan, written: Callable[..., Path], tmp_path: Path
) -> None:
    inputs = tmp_path / "run"
    (inputs / "shards").mkdir(parents=True)
    (inputs / "encoder").mkdir()
    (inputs / "shards" / "manifest.json").write_text(json.dumps({"digest": "d"}))
    (inputs / "encoder" / "done.json").write_text(json.dumps({"key": "k"}))
    keys = [run.key(inputs) for run in plan.runs]
    assert len(set(keys)) == len(keys)
    same = make_plan(load_study(written(parallel=1)), ["evaluate.split=test", "train.workers=2"])
    assert [run.key(inputs) for run in same.runs] == keys
    longer = make_plan(load_study(written(overrides={"finetune.steps": 5})))
    assert not {run.key(inputs) for run in longer.runs} & set(keys)
    (inputs / "encoder" / "done.json").write_text(json.dumps({"key": "another"}))
    assert not {run.key(inputs) for run in plan.runs} & set(keys)


def in_flight(schedule: Schedule, parallel: int) -> list[Run]:
    started = []
    while len(schedule.running) < parallel and (run := schedule.take()) is not None:
        started.append(run)
    return started


def test_no_pretraining_is_trained_twice_at_once(plan: StudyPlan) -> None:
    schedule = Schedule(plan.runs)
    order: list[Run] = []
    while (started := in_flight(schedule, 4)) or schedule.running:
        order += started
        groups = [run.pretraining for run in schedule.running if not finished(run, order, schedule)]
        assert len(groups) == len(set(groups))
        schedule.ended(schedule.running[0], pretrained=True)
    assert len(order) == len(plan.runs)
    assert schedule.waiting == 0


def finished(run: Run, order: list[Run], schedule: Schedule) -> bool:
    """Whether a run of the same pre-training has ended before."""
    ended = [other for other in order if other not in schedule.running]
    return any(other.pretraining == run.pretraining for other in ended)


def test_the_second_arm_tries_itself_where_the_first_has_failed(plan: StudyPlan) -> None:
    erm, tuned = (run for run in plan.runs[:3] if run.arm in ("erm", "tuned"))
    assert erm.pretraining == tuned.pretraining
    schedule = Schedule([erm, tuned])
    assert schedule.take() is erm
    assert schedule.take() is None, "it waits for the pre-training"
    schedule.ended(erm, pretrained=False)
    assert schedule.take() is tuned


def test_pretrainings_of_other_seeds_and_conditions_are_not_shared(plan: StudyPlan) -> None:
    alike = [run for run in plan.runs if run.arm in ("erm", "tuned")]
    for one, other in itertools.combinations(alike, 2):
        together = (one.condition, one.seed) == (other.condition, other.seed)
        assert (one.pretraining == other.pretraining) == together


def test_as_many_runs_at_once_as_the_cluster_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from truelead.config import TrainConfig
    from truelead.study import driver
    from truelead.train.resources import check_resources

    monkeypatch.setattr(
        driver, "check_cluster", lambda train: check_resources(train, [{"CPU": 3.0}])
    )
    train = TrainConfig(workers=1, cpus_per_worker=1.0)
    assert driver.concurrent_runs(train, 10, None) == 2, "two workers, and one CPU for Ray Data"
    assert driver.concurrent_runs(train, 1, None) == 1
    with pytest.raises(ResourceError, match=r"study: 3 run\(s\) at once do not fit"):
        driver.concurrent_runs(train, 10, 3)
    with pytest.raises(ResourceError, match=r"study: 1 run\(s\) at once do not fit"):
        driver.concurrent_runs(TrainConfig(workers=4), 10, None)
