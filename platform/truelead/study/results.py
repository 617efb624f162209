"""What is left of a study: study.json (everything), study.md (the tables with their verdicts)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from truelead.data.durable import write_durable_text
from truelead.study.plan import Run, StudyPlan
from truelead.study.table import BALANCED, CONFOUNDED, ConditionTable, Row, Value
from truelead.study.training import RunRecord

RESULTS, TABLE = "study.json", "study.md"
_SCHEMA = 1
_NOTICE = "Not for clinical use."


@dataclass(frozen=True)
class StudyResult:
    """A study as far as it has come.

    Attributes:
        tables: one for each condition.
        records: of the runs that were started; the budget may have left others out.
        parallel: runs at the same time.
        seconds: wall time of the trainings and the judging in this start of the study.
    """

    plan: StudyPlan
    tables: tuple[ConditionTable, ...]
    records: Mapping[Run, RunRecord]
    parallel: int
    seconds: float

    @property
    def folder(self) -> Path:
        """Where study.json and study.md lie."""
        return self.plan.folder

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are finished, failed and left."""
        finished = sum(record.is_finished for record in self.records.values())
        failed = len(self.records) - finished
        return {
            "finished": finished,
            "failed": failed,
            "left": len(self.plan.runs) - len(self.records),
        }


def write_results(result: StudyResult) -> None:
    """Write both files into the study's folder."""
    plan = result.plan
    tree = {
        "schema": _SCHEMA,
        "notice": _NOTICE,
        "study": plan.study.model_dump(mode="json"),
        "counts": result.counts,
        "parallel": result.parallel,
        "seconds": round(result.seconds, 1),
        "conditions": [asdict(table) for table in result.tables],
        "runs": [
            {
                "condition": run.condition,
                "arm": run.arm,
                "seed": run.seed,
                "folder": run.folder.relative_to(plan.folder).as_posix(),
                **(
                    {"status": "left"} if run not in result.records else asdict(result.records[run])
                ),
            }
            for run in plan.runs
        ],
    }
    write_durable_text(result.folder / RESULTS, json.dumps(tree, indent=1) + "\n")
    write_durable_text(result.folder / TABLE, markdown(result))


def markdown(result: StudyResult) -> str:
    """The tables with what is needed to read them."""
    study = result.plan.study
    counts = ", ".join(f"{count} {name}" for name, count in result.counts.items())
    lines = [
        f"# Study {study.name}",
        "",
        f"{len(result.plan.runs)} runs ({counts}). Numbers are % right answers of patients and "
        "wordings never trained on, with 95 % intervals over patients and seeds; ECE and "
        "the difference from do(Q) are in percentage points, the divergence in hundredths of a "
        "nat. The second line of an arm is its paired difference to the baseline in percentage "
        "points, of errors how many times smaller they are. ◆ marks the Pareto front of "
        "(confounded, balanced) by the estimates. A verdict is what the intervals show: 'not "
        f"worse' where they leave out a loss beyond the margin ({study.margin_points:g} percentage "
        "point), 'no difference shown' where they decide nothing. The intervals are not widened "
        f"for the number of arms. Seconds are those of one training. {_NOTICE}",
    ]
    for table in result.tables:
        lines += ["", f"## {table.name}", ""]
        if table.overrides:
            given = ", ".join(f"`{path}={value}`" for path, value in table.overrides.items())
            lines += [f"Set: {given}.", ""]
        if table.reason:
            lines += [f"Not judged: {table.reason}.", ""]
        if table.report:
            seeds = ", ".join(str(seed) for seed in table.seeds)
            asked = "; ".join(
                f"{title}: {questions} questions, {patients} patients"
                for title, (questions, patients) in table.questions.items()
            )
            lines += [
                f"Seeds {seeds}. {asked}. [The judge's report]({table.report}/report.html).",
                "",
            ]
        head = columns(table)
        lines += ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        for row in rows(table):
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |")
        failures = [f"- {row.arm}: {reason}" for row in table.rows for reason in row.reasons]
        if failures:
            lines += ["", "Failed runs:", "", *failures]
    return "\n".join(lines) + "\n"


def columns(table: ConditionTable) -> list[str]:
    """The table's head."""
    return ["arm", *table.questions, "seconds", "runs", "verdict"]


def rows(table: ConditionTable) -> list[list[str]]:
    """The table's cells: a line for each arm, and one for its differences to the baseline."""
    lines = []
    for row in table.rows:
        lines.append(
            [
                row.arm + (" ◆" if row.on_front else ""),
                *(_number(row.values.get(title)) for title in table.questions),
                "-" if row.training_seconds is None else f"{row.training_seconds:.0f}",
                _runs(row),
                row.verdict,
            ]
        )
        if row.differences or row.reductions:
            against = [
                _times(row.reductions[title])
                if title in row.reductions
                else _points(row.differences.get(title))
                for title in table.questions
            ]
            lines.append([f"against {table.baseline}", *against, "", "", ""])
    return lines


def _number(value: Value | None) -> str:
    if value is None:
        return "-"
    text = f"{100 * value.estimate:.1f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _times(value: Value) -> str:
    text = f"{value.estimate:.2f} times smaller"
    if value.low is None or value.high is None:
        return text
    return f"{text} ({value.low:.2f} to {value.high:.2f})"


def _points(value: Value | None) -> str:
    if value is None:
        return ""
    text = f"{100 * value.estimate:+.1f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} ({100 * value.low:+.1f} to {100 * value.high:+.1f})"


def _runs(row: Row) -> str:
    failed = f", {row.failed} failed" if row.failed else ""
    return f"{row.finished}/{row.seeds}{failed}"


def summary(table: ConditionTable) -> list[str]:
    """One line an arm that is not the baseline: its verdict with the two differences."""
    lines = []
    for row in table.rows[1:]:
        parts = [
            f"{column.title} {_points(row.differences.get(column.title))}"
            for column in (BALANCED, CONFOUNDED)
            if column.title in row.differences
        ]
        lines.append(f"{row.arm}: {row.verdict}" + (f" ({'; '.join(parts)})" if parts else ""))
    return lines
