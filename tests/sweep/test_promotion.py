"""ASHA by promotion: who goes on, and that a killed sweep goes on as if it had not been killed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search import Searcher

from truelead.config import parse_recipe
from truelead.errors import ConfigError
from truelead.sweep.journal import STOP, Journal, Report, TrialLog
from truelead.sweep.objective import FAILED
from truelead.sweep.promotion import Job, PromotionSearch, furthest, promotable
from truelead.sweep.scheduler import JournalledScheduler, OneRung, build_scheduler
from truelead.sweep.space import SearchSpace, parse_space

RUNGS = (10, 20, 40)
RECIPE = parse_recipe({"name": "promoted"})
Score = Callable[[int, int], float]


def space(trials: int = 8, **changes: Any) -> SearchSpace:
    return parse_space(
        {
            "name": "promoted",
            "parameters": {"pretrain.learning_rate": {"loguniform": [1e-4, 1e-2]}},
            "trials": trials,
            "max_steps": RUNGS[-1],
            "scheduler": {"name": "asha", "grace_steps": RUNGS[0], "reduction": 2},
            **changes,
        }
    )


class Sweep:
    """A driver with its searcher and scheduler; what its trials score is known beforehand."""

    def __init__(self, space: SearchSpace, folder: Path, score: Score) -> None:
        self.journal = Journal(folder, "key")
        self.search = PromotionSearch(space, RECIPE, self.journal)
        self.scheduler = JournalledScheduler(
            build_scheduler(space, RECIPE), space, self.journal, 40
        )
        self.scheduler.set_search_properties("balanced", "max")
        self._score = score
        self._started = 0

    def start(self) -> tuple[str, Job] | None:
        """The next rung of a trial; None where the sweep waits or is over."""
        name = f"id{self._started}"
        found = self.search.suggest(name)
        if found is None or found == Searcher.FINISHED:
            return None
        self._started += 1
        (steps,) = found["rungs"]
        assert found["values"] == self.journal.trials[found["trial"]].values
        return name, Job(found["trial"], steps)

    def end(self, name: str, job: Job, error: str = "") -> None:
        """A rung was trained and scored, or has failed."""
        report: Report = {
            "steps": float(job.steps),
            "balanced": 0.5,
            "balanced_probability": self._score(job.number, job.steps),
            "confounded": 0.5,
        }
        result = {"steps": job.steps, FAILED: error} if error else report
        trial = Named(job.number)
        assert self.scheduler.on_trial_result(None, trial, result) == STOP
        self.scheduler.on_trial_complete(None, trial, result)
        self.search.on_trial_complete(name, result)

    def run(self, jobs: int | None = None) -> list[Job]:
        """One rung after the other, to the end or until the driver is killed while one trains."""
        done: list[Job] = []
        while (found := self.start()) is not None:
            if len(done) == jobs:
                break
            self.end(*found)
            done.append(found[1])
        return done


class Named:
    """A trial of Ray Tune, as far as the journal's scheduler asks."""

    def __init__(self, number: int) -> None:
        self.config = {"trial": number}


def by_list(*scores: float) -> Score:
    return lambda number, steps: scores[number] + steps / 1000


def test_all_trials_begin_before_the_best_of_them_go_on(tmp_path: Path) -> None:
    done = Sweep(space(8), tmp_path, by_list(0.1, 0.9, 0.3, 0.4, 0.2, 0.6, 0.7, 0.8)).run()
    assert done == [
        *(Job(number, 10) for number in range(8)),
        *(Job(number, 20) for number in (1, 7, 6, 5)),
        *(Job(1, 40), Job(7, 40)),
    ]


def test_proposals_learn_from_those_that_went_on_while_others_are_to_begin(tmp_path: Path) -> None:
    proposed = space(4, search={"name": "optuna"})
    done = Sweep(proposed, tmp_path, by_list(0.1, 0.2, 0.3, 0.4)).run()
    assert done == [
        *(Job(0, 10), Job(1, 10), Job(1, 20)),  # the better of two
        *(Job(2, 10), Job(2, 20), Job(2, 40)),
        *(Job(3, 10), Job(3, 20), Job(3, 40)),
    ]
    fair = Sweep(proposed, tmp_path / "fair", by_list(0.4, 0.3, 0.2, 0.1)).run()
    assert fair == [
        *(Job(0, 10), Job(1, 10), Job(0, 20), Job(2, 10), Job(3, 10)),
        *(Job(1, 20), Job(0, 40)),  # who is behind never goes on, though it came early
    ]


def test_fewer_trials_than_the_reduction_still_leave_a_whole_one(tmp_path: Path) -> None:
    wide = space(2, scheduler={"name": "asha", "grace_steps": 10, "reduction": 4})
    sweep = Sweep(wide, tmp_path, by_list(0.3, 0.4))
    assert sweep.run() == [Job(0, 10), Job(1, 10), Job(1, 40)]
    statuses = [sweep.journal.trials[number].status for number in (0, 1)]
    assert statuses == ["stopped early", "finished"]


@pytest.mark.parametrize(("by", "better"), [("probability", 0), ("answers", 1)])
def test_by_what_a_rung_is_ranked(tmp_path: Path, by: str, better: int) -> None:
    logs = {number: TrialLog({}) for number in range(2)}
    for number, right, sure in ((0, 0.50, 0.55), (1, 0.53, 0.51)):
        logs[number].reports[10] = {"balanced": right, "balanced_probability": sure}
    ranked = space(scheduler={"name": "asha", "grace_steps": 10, "reduction": 2, "by": by})
    search = PromotionSearch(ranked, RECIPE, Journal(tmp_path, "key"))
    assert promotable(logs, RUNGS, search._score, 2) == Job(better, 20)
    assert furthest(logs, RUNGS, search._score) == Job(better, 20)
    assert furthest({}, RUNGS, search._score) is None


@settings(deadline=None, max_examples=40)  # every line of a journal is flushed
@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=24),
    reduction=st.sampled_from([2.0, 2.5, 3.0, 4.0]),
    data=st.data(),
)
def test_a_kill_anywhere_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float], reduction: float, data: Any
) -> None:
    scheduler = {"name": "asha", "grace_steps": 10, "reduction": reduction}
    small = space(len(scores), scheduler=scheduler)
    folder = tmp_path_factory.mktemp("kills")
    undisturbed = Sweep(small, folder / "whole", by_list(*scores))
    whole = undisturbed.run()
    assert len(set(whole)) == len(whole), "a rung is trained once"
    done: list[Job] = []
    for _ in range(data.draw(st.integers(1, 3))):
        left = len(whole) - len(done) - 1
        if left < 0:
            break
        killed = data.draw(st.integers(0, left))
        done += Sweep(small, folder / "killed", by_list(*scores)).run(killed)
    again = Sweep(small, folder / "killed", by_list(*scores))
    done += again.run()
    assert done == whole
    for number, log in undisturbed.journal.trials.items():
        other = again.journal.trials[number]
        assert (other.values, other.reports, other.status) == (log.values, log.reports, log.status)


@settings(deadline=None, max_examples=40)  # every line of a journal is flushed
@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=24),
    together=st.integers(1, 5),
    may_fail=st.booleans(),
    data=st.data(),
)
def test_several_at_a_time_account_for_every_trial(
    tmp_path_factory: pytest.TempPathFactory,
    scores: list[float],
    together: int,
    may_fail: bool,
    data: Any,
) -> None:
    sweep = Sweep(space(len(scores)), tmp_path_factory.mktemp("many"), by_list(*scores))
    running: list[tuple[str, Job]] = []
    failed: set[int] = set()
    jobs: list[Job] = []
    while True:
        while len(running) < together and (found := sweep.start()) is not None:
            running.append(found)
        if not running:
            break
        assert len({job.number for _, job in running}) == len(running), "one rung at a time"
        name, job = running.pop(data.draw(st.integers(0, len(running) - 1)))
        fails = may_fail and data.draw(st.integers(0, 9)) == 0
        failed |= {job.number} if fails else set()
        jobs.append(job)
        sweep.end(name, job, "a loss that is not finite" if fails else "")
    logs = sweep.journal.trials
    assert len(logs) == len(scores)
    for number, log in logs.items():
        ended = "finished" if 40 in log.reports else "stopped early"
        assert log.status == ("failed" if number in failed else ended)
    well = [log for log in logs.values() if log.status != "failed"]
    assert not well or any(log.status == "finished" for log in well)
    for steps, above in itertools.pairwise(RUNGS):
        there = [log for log in well if steps in log.reports]
        gone = sum(log.promoted_to >= above for log in there)
        assert gone >= len(there) // 2, "nobody who has earned it was left behind"
    if not failed:
        alone = Sweep(space(len(scores)), tmp_path_factory.mktemp("one"), by_list(*scores)).run()
        assert set(jobs) == set(alone), "no more is trained than by one trial at a time"


def test_a_failed_trial_is_tried_once_more_at_the_next_start(tmp_path: Path) -> None:
    first = Sweep(space(2), tmp_path, by_list(0.2, 0.4))
    jobs = []
    while (found := first.start()) is not None:
        jobs.append(found[1])
        first.end(*found, "not finite" if found[1] == Job(1, 20) else "")
    assert jobs == [Job(0, 10), Job(1, 10), Job(1, 20), Job(0, 20), Job(0, 40)]
    assert first.journal.trials[1].status == "failed"
    again = Sweep(space(2), tmp_path, by_list(0.2, 0.4)).run()
    assert again == [Job(1, 20), Job(1, 40)], "and is the better of two at 20"


def test_more_trials_may_join_a_sweep_that_has_ended(tmp_path: Path) -> None:
    scores = by_list(0.1, 0.2, 0.9, 0.8)
    Sweep(space(2), tmp_path, scores).run()
    done = Sweep(space(4), tmp_path, scores).run()
    assert [job for job in done if job.steps == 10] == [Job(2, 10), Job(3, 10)]
    assert Job(2, 40) in done


def test_patience_and_budget_keep_new_trials_from_beginning(tmp_path: Path) -> None:
    patient = Sweep(space(8, patience=2), tmp_path / "a", by_list(0.9, *[0.1] * 7))
    done = patient.run()
    assert {job.number for job in done} == {0, 1, 2}
    assert Job(0, 40) in done, "who has earned it still goes on"
    assert "no better" in patient.search.stopped
    assert not Sweep(space(8, budget_hours=1e-15), tmp_path / "b", by_list()).run()


def test_tpe_is_told_again_of_a_trial_that_went_on(tmp_path: Path) -> None:
    proposed = space(10, search={"name": "optuna", "startup_trials": 3})

    def score(number: int, steps: int) -> float:
        return abs(math.sin(number)) + steps / 1000

    whole = Sweep(proposed, tmp_path / "whole", score)
    jobs = whole.run()
    killed = Sweep(proposed, tmp_path / "killed", score).run(9)
    again = Sweep(proposed, tmp_path / "killed", score)
    assert killed + again.run() == jobs
    assert [log.values for log in again.journal.trials.values()] == [
        log.values for log in whole.journal.trials.values()
    ]
    # What a higher rung has shown moves the proposals.
    other = Sweep(
        proposed, tmp_path / "other", lambda n, s: score(n, s) if s == 10 else 1 / (n + 1)
    )
    other.run()
    assert [log.values for log in other.journal.trials.values()] != [
        log.values for log in whole.journal.trials.values()
    ]


def test_only_asha_has_types() -> None:
    assert isinstance(build_scheduler(space(), RECIPE), OneRung)
    with pytest.raises(ConfigError, match="type: expected only with the scheduler asha, found med"):
        space(scheduler={"name": "median", "type": "stopping"})
