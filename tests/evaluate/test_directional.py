"""A model that measures rate and voltage moves as it must; one that reads them upside down never.

The signals are really changed: the models see nothing but `changed` samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.evaluate.test_changes import RATE, beats, peaks
from truelead.evaluate.changes import NO_ECG, changed
from truelead.evaluate.examination import Examination, examine
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites import SUITES, SuiteContext
from truelead.types import Question, Record

RATES = {"a": 0.9, "b": 1.2, "c": 1.9, "d": 1.1}


def ask(name: str, code: str, answer: str) -> Question:
    return Question(
        f"{code}?", (answer,), ("no", "yes"), (name,), "single-verify", 2, f"2:{code}", "w"
    )


class Measures:
    """P(yes) from the beats counted and the millivolts measured; `sign` -1 reads them reversed."""

    def __init__(self, sign: float = 1.0) -> None:
        self._sign = sign

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [self._prediction(trial) for trial in trials]

    def _prediction(self, trial: Trial) -> Prediction:
        if trial.change == NO_ECG:
            return Prediction(("no",), {"no": 0.5, "yes": 0.5})
        name = trial.shown[0]
        signal_LT = changed(beats(RATES[name]), RATE, trial.change, name)
        rate, voltage = peaks(signal_LT) / 10 - 1.3, float(np.nanmax(np.abs(signal_LT))) - 1.2
        axis = float(np.nanmean(signal_LT[0]))
        evidence = {
            "STACH": rate, "SBRAD": -rate, "LVH": voltage, "LVOLT": -voltage,
            "normal heart axis": 20 * axis, "IMI": 0.0,
        }[trial.question.question_id[2:]]  # fmt: skip
        yes = 1 / (1 + np.exp(-self._sign * evidence))
        return Prediction(("yes" if yes > 0.5 else "no",), {"no": 1 - yes, "yes": float(yes)})


@pytest.fixture(scope="module")
def context() -> SuiteContext:
    codes = ("STACH", "SBRAD", "LVH", "LVOLT", "normal heart axis", "IMI")
    questions = tuple(
        ask(name, code, "yes" if (number + place) % 2 else "no")
        for number, name in enumerate(RATES)
        for place, code in enumerate(codes)
    )
    records = {name: Record(name, f"patient-{name}", "made", "") for name in RATES}
    return SuiteContext({"balanced/test-wordings": questions}, records, lambda *_: None)


@pytest.fixture(scope="module")
def examination(context: SuiteContext) -> Examination:
    arms = {"measures": [Measures], "reversed": [lambda: Measures(-1.0)]}
    return examine(context, arms, (), samples=100)


def test_only_what_a_change_bears_on_is_asked(context: SuiteContext) -> None:
    cells = SUITES["directional"]().cells(context)
    asked = {
        cell.rpartition("/")[2]: {trial.question.question_id[2:] for trial in trials}
        for cell, trials in cells.items()
    }
    assert asked == {
        "faster": {"STACH", "SBRAD"},
        "slower": {"STACH", "SBRAD"},
        "voltage-doubled": {"LVH", "LVOLT"},
        "voltage-halved": {"LVH", "LVOLT"},
        "limb-leads-inverted": {"normal heart axis"},
    }
    turned = cells["balanced/test-wordings/limb-leads-inverted"]
    assert {trial.question.answers for trial in turned} == {("yes",)}


def test_who_measures_moves_as_it_must(examination: Examination) -> None:
    cells = {result.cell for result in examination.cells if result.suite == "directional"}
    assert len(cells) == 5
    for cell in cells:
        right = examination.cell("directional", cell, "measures")
        wrong = examination.cell("directional", cell, "reversed")
        assert right is not None
        assert wrong is not None
        assert right.measures["moves as it must"].estimate == 1.0, cell
        assert right.measures["movement"].estimate > 0.02
        assert wrong.measures["moves as it must"].estimate == 0.0
        assert wrong.measures["movement"].estimate < -0.02
