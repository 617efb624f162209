"""The report as the sections look at it: results by name, titles, scales and colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.page.blocks import Mark, Track, Value
from truelead.evaluate.page.numbers import whole
from truelead.evaluate.report import Report
from truelead.evaluate.results import CellResult, Comparison

ARM_COLOURS = 8
"""Number of CSS variables --arm-0, --arm-1, ... for models; baselines are drawn faint."""

OWN_ECG_SUITES = ("observed", "balanced-do-question", "ecg-qa")
"""Suites that show each question's own ECG, once, in the wordings that count."""

BALANCED = "balanced/test-wordings"
QUESTION_ONLY = "question-only"

_TITLES = {
    "confounded": "Questions as observed",
    "balanced": "Balanced do(Q)",
    "balanced-same-severity": "Balanced within one severity",
    "official": "Official ECG-QA rows",
    "noise": "Official noise rows",
    "zero-shot": "Statements never asked in training",
    "interventional": "Planted truth",
    "train-wordings": "training wordings",
    "test-wordings": "new wordings",
    "template": "template wording",
    "template-wordings": "the template's wording",
    "paraphrased": "paraphrases",
    "new-paraphrased": "new paraphrases",
    "random-ecg": "another patient's ECG",
    "same-severity": "another's, equally ill",
    "same-severity-ecg": "another's, equally ill",
    "opposite-severity": "another's, opposite severity",
    "opposite-severity-ecg": "another's, opposite severity",
    "gaussian-noise": "Gaussian noise",
    "flat": "a flat line",
    "no-ecg": "no ECG",
}


@dataclass(frozen=True)
class View:
    """A report with what several sections ask of it."""

    report: Report

    @property
    def arms(self) -> tuple[str, ...]:
        """The models."""
        return self.report.examination.arms

    @property
    def baselines(self) -> tuple[str, ...]:
        """What stands beside the models."""
        return self.report.examination.baselines

    @property
    def names(self) -> tuple[str, ...]:
        """Models, then baselines."""
        return (*self.arms, *self.baselines)

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """Every result."""
        return self.report.examination.cells

    @property
    def runs(self) -> int:
        """The most runs that any model has."""
        return max((arm.runs for arm in self.report.arms), default=1)

    def colours(self) -> dict[str, str]:
        """Name -> CSS colour."""
        found = {arm: f"var(--arm-{i % ARM_COLOURS})" for i, arm in enumerate(self.arms)}
        return found | dict.fromkeys(self.baselines, "var(--faint)")

    def sets(self, suites: Iterable[str]) -> list[tuple[str, str]]:
        """(suite, cell) of the suites that have results, in the report's order."""
        wanted = tuple(suites)
        return list(
            dict.fromkeys((one.suite, one.cell) for one in self.cells if one.suite in wanted)
        )

    def result(self, suite: str, cell: str, name: str) -> CellResult | None:
        """One result, None where there is none."""
        return self.report.examination.cell(suite, cell, name)

    def results(self, suite: str, cell: str) -> list[CellResult]:
        """The results of all names on a cell, models first."""
        found = (self.result(suite, cell, name) for name in self.names)
        return [one for one in found if one is not None]

    def own(self, cell: str, name: str) -> CellResult | None:
        """The result of a cell that shows the questions' own ECGs, whichever suite has it."""
        for suite in (*OWN_ECG_SUITES, "wording"):
            found = self.result(suite, cell, name)
            if found is not None:
                return found
        return None

    def difference(self, suite: str, cell: str, first: str, second: str) -> Comparison | None:
        """A paired difference, None where it was not taken."""
        return self.report.examination.comparison(suite, cell, first, second)


def title(cell: str) -> str:
    """A cell's name in words: "balanced/test-wordings" is "Balanced do(Q), new wordings"."""
    return ", ".join(_TITLES.get(part, part.replace("-", " ")) for part in cell.split("/"))


def size(result: CellResult) -> str:
    """What a result rests on."""
    return f"{result.questions:,} questions, {result.patients:,} patients"


def reference(cell: str) -> float | None:
    """What a model that ignores the ECG scores, where that is known."""
    return 0.5 if cell.startswith("balanced") else None


def dot(name: str, interval: Interval, about: float | None = None) -> Track:
    """A track with one model's share."""
    words = f"{name}: {whole(Value(interval))} percent"
    return Track((Mark(name, interval),), words, reference=about)


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def measure_value(name: str, interval: Interval) -> Value:
    """A suite's measure: a share, or a signed change of one."""
    if "drop" in name:
        return Value(interval, "loss")
    return Value(interval, "points" if name == "movement" else "percent")
