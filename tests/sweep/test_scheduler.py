"""Early stopping: who is stopped where, and that a decision once written down stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from truelead.config import TrainConfig, parse_recipe
from truelead.errors import ResourceError
from truelead.sweep.distributions import parse_distribution
from truelead.sweep.journal import Journal
from truelead.sweep.objective import FAILED
from truelead.sweep.population import within
from truelead.sweep.resources import trial_resources
from truelead.sweep.scheduler import (
    SCHEDULERS,
    JournalledScheduler,
    build_scheduler,
    report_of,
)
from truelead.sweep.space import SchedulerConfig, SearchSpace, parse_space
from truelead.train.resources import check_resources


def space(name: str, by: str = "answers") -> SearchSpace:
    kind = {"type": "stopping"} if name == "asha" else {}
    return parse_space(
        {
            "name": "stops",
            "parameters": {"severity": {"choice": ["ptbxl"]}},
            "trials": 3,
            "max_steps": 40,
            "scheduler": {
                "name": name,
                "grace_steps": 10,
                "reduction": 2,
                "samples": 2,
                "by": by,
                **kind,
            },
        }
    )


Scores = list[dict[int, float]]


class FakeTrial(SimpleNamespace):
    """A trial as schedulers know it."""

    __hash__ = object.__hash__


def trial_of(number: int) -> Any:
    return FakeTrial(trial_id=str(number), config={"trial": number})


class Controller:
    """What the median rule asks: whether another trial waits."""

    def get_live_trials(self) -> list[Any]:
        return []


def result_of(steps: int, score: float, sure: float = 0.5) -> dict[str, float]:
    """What a trial reports, as far as it is looked at here."""
    return {
        "steps": steps,
        "balanced": score,
        "balanced_probability": sure,
        "confounded": 0.5,
    }


def scheduler_of(journal: Journal, space: SearchSpace) -> JournalledScheduler:
    inner = build_scheduler(space, parse_recipe({"name": "stops"}))
    scheduler = JournalledScheduler(inner, space, journal, 40)
    scheduler.set_search_properties("balanced", "max")
    return scheduler


def decisions(
    name: str, scores: Scores, folder: Path, sure: Sequence[float] = (), by: str = "answers"
) -> list[dict[int, str]]:
    """What the scheduler says to each trial's reports, one trial after the other.

    Args:
        sure: of each trial, the probability that it gives to what is right.
    """
    journal = Journal(folder, "key")
    scheduler = scheduler_of(journal, space(name, by))
    said = []
    for number, reports in enumerate(scores):
        trial = trial_of(number)
        journal.begin_trial(number, {})
        scheduler.on_trial_add(None, trial)
        said_here: dict[int, str] = {}
        result: dict[str, float] = {}
        for steps, score in reports.items():
            result = result_of(steps, score, sure[number] if sure else 0.5)
            said_here[steps] = scheduler.on_trial_result(Controller(), trial, result)
            if said_here[steps] == "STOP":
                break
        scheduler.on_trial_complete(None, trial, result)
        said.append(said_here)
    return said


def test_the_names_of_the_space_are_the_schedulers() -> None:
    assert set(SCHEDULERS) == set(SchedulerConfig.model_fields["name"].annotation.__args__)  # type: ignore[union-attr]


GOOD = {10: 0.6, 20: 0.7, 40: 0.8}


def test_asha_stops_the_worse_trial_early(tmp_path: Path) -> None:
    assert decisions("asha", [GOOD, {10: 0.5, 20: 0.9, 40: 0.9}], tmp_path / "a") == [
        {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"},
        {10: "STOP"},
    ]
    later = decisions("asha", [GOOD, {10: 0.65, 20: 0.6, 40: 0.9}], tmp_path / "b")
    assert later[1] == {10: "CONTINUE", 20: "STOP"}
    better = decisions("asha", [GOOD, {10: 0.65, 20: 0.75, 40: 0.9}], tmp_path / "c")
    assert better[1] == {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"}


def test_asha_tells_trials_apart_that_answer_alike(tmp_path: Path) -> None:
    alike = {10: 0.6, 20: 0.6, 40: 0.6}
    tied = decisions("asha", [alike, alike, alike], tmp_path / "tied")
    assert [sorted(said) for said in tied] == [[10, 20, 40]] * 3
    told = decisions("asha", [alike, alike, alike], tmp_path / "told", [0.53, 0.51, 0.55])
    assert [sorted(said) for said in told] == [[10, 20, 40], [10], [10, 20, 40]]
    # A right answer more outweighs any certainty.
    more = decisions("asha", [alike, {10: 0.601, 20: 0.601, 40: 0.6}], tmp_path / "m", [0.9, 0.5])
    assert sorted(more[1]) == [10, 20, 40]
    assert report_of({"steps": 10, "balanced_probability": 0.53})["balanced_probability"] == 0.53


def test_by_default_the_certainty_of_what_is_right_outweighs_the_answers(tmp_path: Path) -> None:
    scores = [{10: 0.50, 20: 0.6, 40: 0.7}, {10: 0.53, 20: 0.6, 40: 0.7}]
    assert SchedulerConfig().by == "probability"
    said = decisions("asha", scores, tmp_path / "a", [0.52, 0.50], by="probability")
    assert [sorted(one) for one in said] == [[10, 20, 40], [10]]
    said = decisions("asha", scores, tmp_path / "b", [0.52, 0.50])
    assert [sorted(one) for one in said] == [[10, 20, 40], [10, 20]], "equal at 20"
    said = decisions(
        "median", scores[:1] * 2 + scores, tmp_path / "c", [0.52] * 3 + [0.5], by="probability"
    )
    assert [sorted(one) for one in said] == [[10, 20, 40]] * 3 + [[10]]


def test_the_median_rule_stops_what_is_below_the_others_means(tmp_path: Path) -> None:
    bad, fair = {10: 0.4, 20: 0.5, 40: 0.9}, {10: 0.65, 20: 0.66, 40: 0.9}
    said = decisions("median", [GOOD, GOOD, bad, fair], tmp_path)
    assert said[0] == said[1] == {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"}
    assert said[2] == {10: "STOP"}
    assert said[3] == {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"}


def test_none_stops_no_trial_before_its_end(tmp_path: Path) -> None:
    assert decisions("none", [{40: 0.8}, {40: 0.1}], tmp_path) == [{40: "STOP"}, {40: "STOP"}]


def test_a_decision_of_the_journal_stands_though_the_order_is_another(tmp_path: Path) -> None:
    worse = {10: 0.5, 20: 0.9, 40: 0.9}
    said = decisions("asha", [worse, GOOD], tmp_path)
    assert said[0] == {10: "CONTINUE", 20: "CONTINUE", 40: "STOP"}, "it came first"
    journal = Journal(tmp_path, "key")
    scheduler = scheduler_of(journal, space("asha"))
    for number, scores in ((1, GOOD), (0, worse)):  # now the other way round
        scheduler.on_trial_add(None, trial_of(number))
        for steps, score in scores.items():
            result = result_of(steps, score)
            decision = scheduler.on_trial_result(None, trial_of(number), result)
            assert decision == said[number][steps]
            if decision == "STOP":
                break
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert sum('"report"' in line for line in lines) == 5, "each score once"


def test_an_error_of_ours_ends_the_trial_and_a_retry_counts_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "key")
    journal.begin_trial(0, {})
    scheduler = scheduler_of(journal, space("asha"))
    scheduler.on_trial_add(None, trial_of(0))
    result = result_of(10, 0.6)
    assert scheduler.on_trial_result(None, trial_of(0), result) == "CONTINUE"
    assert scheduler.on_trial_result(None, trial_of(0), result) == "CONTINUE", "its second try"
    failed = {"steps": 20, FAILED: "loss not finite"}
    assert scheduler.on_trial_result(None, trial_of(0), failed) == "STOP"
    scheduler.on_trial_complete(None, trial_of(0), failed)
    assert (journal.trials[0].status, journal.trials[0].error) == ("failed", "loss not finite")
    assert list(journal.trials[0].reports) == [10]


def test_changed_values_stay_in_their_ranges() -> None:
    keep = within(
        {
            "a": parse_distribution("a", {"loguniform": [1, 4]}),
            "b": parse_distribution("b", {"randint": [1, 4]}),
        }
    )
    config = {"member": {"value:a": 4.8, "value:b": 0.8}}
    assert keep(config) == {"member": {"value:a": 4.0, "value:b": 1}}


@pytest.mark.parametrize(
    ("cpus", "train", "wanted", "expected"),
    [
        (4, TrainConfig(cpus_per_worker=1), None, 2),
        (3, TrainConfig(cpus_per_worker=1), None, 1),
        (4, TrainConfig(workers=2, cpus_per_worker=0.5), None, 2),
        (64, TrainConfig(), None, 5),
        (64, TrainConfig(), 3, 3),
        (64, TrainConfig(), 9, 5),
        (2, TrainConfig(in_process=True), None, 2),
        (2, TrainConfig(in_process=True, cpus_per_worker=0.5), None, 4),
    ],
)
def test_as_many_trials_at_once_as_fit(
    monkeypatch: pytest.MonkeyPatch, cpus: int, train: TrainConfig, wanted: int, expected: int
) -> None:
    from truelead.sweep import resources

    cluster_of(monkeypatch, [{"CPU": cpus}])
    assert resources.concurrent_trials(train, 5, wanted) == expected


@pytest.mark.parametrize(("cpus", "wanted"), [(2, None), (4, 3)])
def test_trials_that_would_wait_for_ever_are_refused(
    monkeypatch: pytest.MonkeyPatch, cpus: int, wanted: int | None
) -> None:
    from truelead.sweep import resources

    cluster_of(monkeypatch, [{"CPU": cpus}])
    with pytest.raises(ResourceError) as caught:
        resources.concurrent_trials(TrainConfig(cpus_per_worker=1), 5, wanted)
    assert "\n" not in str(caught.value)
    assert "sweep" in str(caught.value)


def cluster_of(monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, float]]) -> None:
    from truelead.sweep import resources

    monkeypatch.setattr(
        resources, "check_cluster", lambda train, **more: check_resources(train, nodes, **more)
    )


@pytest.mark.parametrize(
    ("share", "in_process", "expected"),
    [(1.0, False, 2), (0.5, False, 4), (0.5, True, 4), (0.3, True, 6)],
)
def test_trials_share_gpus(
    monkeypatch: pytest.MonkeyPatch, share: float, in_process: bool, expected: int
) -> None:
    from truelead.sweep import resources

    cluster_of(monkeypatch, [{"CPU": 16, "GPU": 1}, {"CPU": 16, "GPU": 1}])
    train = TrainConfig(
        use_gpu=True, gpus_per_worker=share, in_process=in_process, cpus_per_worker=1
    )
    assert resources.concurrent_trials(train, 9, None) == expected
    assert trial_resources(train) == ({"CPU": 1, "GPU": share} if in_process else {"CPU": 0.01})
    with pytest.raises(ResourceError, match=f"{share:g}.*GPU"):
        resources.concurrent_trials(train, 9, 9)


def test_workers_of_one_trial_have_whole_gpus() -> None:
    with pytest.raises(ValueError, match="gpus_per_worker: expected 1 with 2 workers"):
        TrainConfig(use_gpu=True, workers=2, gpus_per_worker=0.5)


def test_a_population_that_does_not_fit_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from truelead.sweep import resources

    cluster_of(monkeypatch, [{"CPU": 3}])
    with pytest.raises(ResourceError, match=r"4 trial\(s\) at once"):
        resources.concurrent_trials(TrainConfig(), 4, None, together=True)
    # Members that train in their own processes take turns.
    assert resources.concurrent_trials(TrainConfig(in_process=True), 4, None, together=True) == 3
