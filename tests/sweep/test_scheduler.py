"""ASHA stops the worse trial at the rung where it falls behind, and only there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from truelead.config import TrainConfig, parse_recipe
from truelead.errors import ResourceError
from truelead.sweep.scheduler import SCHEDULERS, build_scheduler
from truelead.sweep.space import SchedulerConfig, SearchSpace, parse_space
from truelead.train.resources import check_resources


def space(name: str) -> SearchSpace:
    return parse_space(
        {
            "name": "stops",
            "parameters": {"severity": {"choice": ["ptbxl"]}},
            "trials": 3,
            "max_steps": 40,
            "scheduler": {"name": name, "grace_steps": 10, "reduction": 2},
        }
    )


def decisions(name: str, scores: list[dict[int, float]]) -> list[dict[int, str]]:
    """What the scheduler says to each trial's reports, one trial after the other."""
    recipe = parse_recipe({"name": "stops"})
    scheduler = build_scheduler(space(name), recipe)
    scheduler.set_search_properties("balanced", "max")
    said = []
    for number, reports in enumerate(scores):
        trial = SimpleNamespace(trial_id=str(number))
        scheduler.on_trial_add(None, trial)
        found: dict[int, str] = {}
        for steps, score in reports.items():
            found[steps] = scheduler.on_trial_result(
                None, trial, {"steps": steps, "balanced": score}
            )
            if found[steps] == "STOP":
                break
        said.append(found)
    return said


def test_the_names_of_the_space_are_the_schedulers() -> None:
    assert set(SCHEDULERS) == set(SchedulerConfig.model_fields["name"].annotation.__args__)  # type: ignore[union-attr]


def test_asha_stops_the_worse_trial_early() -> None:
    good = {10: 0.6, 20: 0.7, 40: 0.8}
    assert decisions("asha", [good, {10: 0.5, 20: 0.9, 40: 0.9}]) == [
        {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"},
        {10: "STOP"},
    ]
    later = decisions("asha", [good, {10: 0.65, 20: 0.6, 40: 0.9}])
    assert later[1] == {10: "CONTINUE", 20: "STOP"}
    better = decisions("asha", [good, {10: 0.65, 20: 0.75, 40: 0.9}])
    assert better[1] == {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"}


def test_none_stops_no_trial() -> None:
    said = decisions("none", [{40: 0.8}, {40: 0.1}])
    assert said == [{40: "CONTINUE"}, {40: "CONTINUE"}]


@pytest.mark.parametrize(
    ("cpus", "train", "wanted", "expected"),
    [
        (4, TrainConfig(cpus_per_worker=1), None, 2),
        (3, TrainConfig(cpus_per_worker=1), None, 1),
        (4, TrainConfig(workers=2, cpus_per_worker=0.5), None, 2),
        (64, TrainConfig(), None, 5),
        (64, TrainConfig(), 3, 3),
        (64, TrainConfig(), 9, 5),
    ],
)
def test_as_many_trials_at_once_as_fit(
    monkeypatch: pytest.MonkeyPatch, cpus: int, train: TrainConfig, wanted: int, expected: int
) -> None:
    from truelead.sweep import resources

    monkeypatch.setattr(resources, "check_cluster", lambda t: check_resources(t, [{"CPU": cpus}]))
    assert resources.concurrent_trials(train, 5, wanted) == expected


@pytest.mark.parametrize(("cpus", "wanted"), [(2, None), (4, 3)])
def test_trials_that_would_wait_for_ever_are_refused(
    monkeypatch: pytest.MonkeyPatch, cpus: int, wanted: int | None
) -> None:
    from truelead.sweep import resources

    monkeypatch.setattr(resources, "check_cluster", lambda t: check_resources(t, [{"CPU": cpus}]))
    with pytest.raises(ResourceError) as caught:
        resources.concurrent_trials(TrainConfig(cpus_per_worker=1), 5, wanted)
    assert "\n" not in str(caught.value)
    assert "sweep" in str(caught.value)
