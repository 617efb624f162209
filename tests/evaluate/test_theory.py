"""The judge judged: models whose scores theory gives get exactly these, in every suite.

The questions are those of the real set-ups about hand-made labels; the models are one that reads
the labels, one that always says no, and one that goes by the question alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from truelead.config import QuestionsConfig
from truelead.debias.setup.base import Setup
from truelead.debias.setup.ecg_qa import EcgQaSetup
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SEVERITIES
from truelead.evaluate.asked import answers_by_labels
from truelead.evaluate.examination import Examination, examine
from truelead.evaluate.metrics import is_correct
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.results import CellResult
from truelead.evaluate.suites import SUITES, SuiteContext
from truelead.types import Question, Record

CODES = ("IMI", "LVH", "CLBBB", "STACH", "SBRAD", "AFIB")
DESTROYED = ("gaussian-noise", "flat", "none")
FORMS = ("random-ecg", "same-severity", "opposite-severity")


def make_records(count: int = 240) -> list[Record]:
    """Two ECGs a patient that differ; every third patient is tested."""
    random = np.random.default_rng(1)
    records = []
    for index in range(count):
        burden = random.choice([0.1, 0.3, 0.6])
        codes = {code: 100.0 for code in CODES if random.random() < burden}
        codes = codes or {"NORM": 100.0}
        patient = index // 2
        records.append(
            Record(
                str(index), str(patient), "made", f"{index}", scp_codes=codes,
                split="valid" if patient % 3 == 0 else "train",
                recorded_at=f"2020-01-{1 + index % 2:02d}T00:00:00",
            )
        )  # fmt: skip
    return records


def context_of(setup: Setup, sets: dict[str, tuple[Question, ...]], most: int) -> SuiteContext:
    strata = {name: setup.stratum((name,)) for name in setup.records}
    return SuiteContext(
        sets, setup.records, answers_by_labels(setup), strata=strata, further_questions=most
    )


@pytest.fixture(scope="module")
def context() -> SuiteContext:
    """Statements, CLBBB among them held out; and comparisons in the place of official rows."""
    records = make_records()
    severity = SEVERITIES["label-count"]
    statements = PtbxlSeveritySetup.build(
        records,
        QuestionsConfig(minimum_positives=10, held_out_codes=("CLBBB",)),
        severity,
        test_split="valid",
    )
    comparisons = EcgQaSetup.build(
        records,
        QuestionsConfig(minimum_positives=10, templates=(*range(43, 50), *range(57, 64))),
        severity,
        ecg_qa=None,
        test_split="valid",
    )
    pairs = comparisons.test_sets()
    sets = {
        **statements.test_sets(),
        "official/template": pairs["balanced/template-wordings"],
        "official/paraphrased": pairs["balanced/test-wordings"],
    }
    of_statements, of_pairs = answers_by_labels(statements), answers_by_labels(comparisons)

    def true_answers(question: Question, shown: tuple[str, ...]) -> tuple[str, ...] | None:
        return (of_statements if len(shown) == 1 else of_pairs)(question, shown)

    return SuiteContext(
        sets,
        statements.records,
        true_answers,
        strata={name: statements.stratum((name,)) for name in statements.records},
        further_questions=150,
    )


class Labels:
    """Reads the labels of the ECGs shown; where nothing can be read it finds nothing."""

    def __init__(self, context: SuiteContext) -> None:
        self._context = context

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [Prediction(self._answer(trial)) for trial in trials]

    def _answer(self, trial: Trial) -> tuple[str, ...]:
        if trial.change in DESTROYED:
            return ("no",)
        if trial.shown == trial.question.ecg_ids:
            return trial.question.answers
        return self._context.true_answers(trial.question, trial.shown) or ("no",)


class AlwaysNo:
    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [Prediction(("no",), {"no": 0.9, "yes": 0.1})] * len(trials)


class Blind:
    """Goes by what is asked, never by the ECG."""

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [
            Prediction(("yes",) if zlib.crc32(t.question.question_id.encode()) % 2 else ("no",))
            for t in trials
        ]


@pytest.fixture(scope="module")
def examination(context: SuiteContext) -> Examination:
    arms: dict[str, Any] = {
        "labels": [lambda: Labels(context)], "always-no": [AlwaysNo], "blind": [Blind]
    }  # fmt: skip
    return examine(context, arms, (), samples=100)


@pytest.fixture(scope="module")
def plan(context: SuiteContext) -> dict[tuple[str, str], tuple[Trial, ...]]:
    return {
        (name, cell): trials
        for name, suite in SUITES.items()
        for cell, trials in suite().cells(context).items()
    }


def of_arm(examination: Examination, arm: str) -> list[CellResult]:
    return [result for result in examination.cells if result.arm == arm]


def test_every_suite_is_examined(examination: Examination) -> None:
    # Only planted truth has an interventional error.
    assert {result.suite for result in examination.cells} == set(SUITES) - {"interventional"}


def test_every_answer_of_the_labels_is_right(examination: Examination, plan: Any) -> None:
    for result in of_arm(examination, "labels"):
        form = result.cell.rpartition("/")[2]
        trials = plan[result.suite, result.cell]
        if result.suite != "random-ecg":
            assert result.micro.estimate == 1.0, result.cell
            for name in ("flips", "wording flips", "wording drop", "template drop"):
                if name in result.measures and result.suite != "order-swap":
                    assert result.measures[name].estimate == 0.0
            continue
        drop, flips = result.measures["drop"].estimate, result.measures["flips"].estimate
        assert drop == pytest.approx(1 - result.micro.estimate)
        assert flips == drop
        if form in FORMS:
            follows = result.measures.get("follows the shown ECG")
            if follows is not None and not result.cell.startswith("official"):
                assert follows.estimate == 1.0
        else:
            negative = [trial.question.answers == ("no",) for trial in trials]
            assert result.micro.estimate == pytest.approx(np.mean(negative))


def test_the_labels_follow_the_order_of_two_ecgs(examination: Examination) -> None:
    swapped = examination.cell("order-swap", "official/template/swapped", "labels")
    mirrored = examination.cell("order-swap", "official/template/mirrored", "labels")
    assert swapped is not None
    assert mirrored is not None
    assert swapped.measures["follows the order"].estimate == 1.0
    assert swapped.measures["flips"].estimate > 0.2
    assert mirrored.measures["agrees"].estimate == 1.0


def test_always_no_scores_the_share_of_no(examination: Examination, plan: Any) -> None:
    for result in of_arm(examination, "always-no"):
        trials = plan[result.suite, result.cell]
        negative = [is_correct(trial.question.answers, ("no",)) for trial in trials]
        assert result.micro.estimate == pytest.approx(np.mean(negative)), result.cell
        still = ("drop", "flips", "wording flips", "wording drop", "template flips",
                 "moves as it must", "movement")  # fmt: skip
        for name in still:
            if name in result.measures and result.suite != "order-swap":
                assert result.measures[name].estimate == 0.0, (result.cell, name)
    for suite, cell in (
        ("balanced-do-question", "balanced/test-wordings"),
        ("balanced-do-question", "balanced-same-severity/test-wordings"),
        ("zero-shot", "zero-shot/test-wordings"),
        ("wording", "balanced/template-wordings"),
        ("invariance", "balanced/test-wordings/time-shift"),
        ("random-ecg", "balanced/test-wordings/no-ecg"),
    ):
        found = examination.cell(suite, cell, "always-no")
        assert found is not None
        assert found.micro.estimate == 0.5
    mirrored = examination.cell("order-swap", "official/template/mirrored", "always-no")
    assert mirrored is not None
    assert mirrored.measures["agrees"].estimate == 1.0


def test_who_goes_by_the_question_alone_scores_one_half(examination: Examination) -> None:
    for result in of_arm(examination, "blind"):
        if result.suite in ("balanced-do-question", "invariance", "zero-shot"):
            assert result.micro.estimate == 0.5, result.cell
        for name in ("drop", "flips", "wording drop", "wording flips", "moves as it must"):
            if name in result.measures and result.suite != "order-swap":
                assert result.measures[name].estimate == 0.0, (result.cell, name)
    swapped = examination.cell("order-swap", "official/template/swapped", "blind")
    assert swapped is not None
    assert swapped.measures["flips"].estimate == 0.0


def test_the_official_rows_are_scored_by_type_and_template(examination: Examination) -> None:
    result = examination.cell("ecg-qa", "official/template", "labels")
    assert result is not None
    assert set(result.per_type) == {
        f"comparison_{kind}-{form}"
        for kind in ("consecutive", "irrelevant")
        for form in ("verify", "query")
    }
    assert {int(name) for name in result.per_template} == {*range(43, 50), *range(57, 64)}
    assert {value.estimate for value in result.per_template.values()} == {1.0}


def test_further_questions_stay_balanced_and_are_the_same_for_every_suite(
    context: SuiteContext, plan: Any
) -> None:
    further = context.further("balanced/test-wordings")
    assert len(further) <= 170
    for suite, form in (
        ("random-ecg", "gaussian-noise"), ("random-ecg", "no-ecg"), ("invariance", "gain-plus-20")
    ):  # fmt: skip
        trials = plan[suite, f"balanced/test-wordings/{form}"]
        assert tuple(trial.question for trial in trials) == further


def test_severity_of_substitutes(context: SuiteContext, plan: Any) -> None:
    ends = (min(context.strata.values()), max(context.strata.values()))
    for form in ("same-severity", "opposite-severity"):
        trials = plan["random-ecg", f"balanced/test-wordings/{form}"]
        assert trials
        for trial in trials:
            own, shown = (context.strata[name] for name in (*trial.question.ecg_ids, *trial.shown))
            farthest = max(abs(own - end) for end in ends)
            assert abs(own - shown) == (0 if form == "same-severity" else farthest)
