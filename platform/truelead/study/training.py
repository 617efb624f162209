"""One run of a study: both stages of one arm, as a Ray task, and the record it leaves."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from truelead.data.durable import write_durable_text
from truelead.errors import TrueLeadError
from truelead.study.plan import Run
from truelead.train.metrics import read_metrics
from truelead.train.stage import CHECKPOINTS

RECORD, TRACE = "run.json", "failure.txt"
STAGES: tuple[Literal["pretrain", "finetune"], ...] = ("pretrain", "finetune")

Status = Literal["finished", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """What became of a run.

    Attributes:
        key: `Run.key` when it was started; another key makes the record void.
        reason: one line, of a failed run.
        seconds: wall time of this try; a resumed run's earlier tries are not in it.
        training_seconds: of both stages, their mean step time by their steps. A pre-training that
            was copied from another arm counts as if it had been trained.
    """

    key: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    training_seconds: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether the models are there."""
        return self.status == "finished"


def read_record(run: Run) -> RunRecord | None:
    """The record in the run's folder; None where there is none that can be read."""
    try:
        return RunRecord(**json.loads((run.folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(run: Run, record: RunRecord) -> None:
    """Leave the record in the run's folder."""
    run.folder.mkdir(parents=True, exist_ok=True)
    write_durable_text(run.folder / RECORD, json.dumps(asdict(record), indent=1) + "\n")


def train(run: Run, key: str) -> RunRecord:
    """Train both stages, unless they are finished, and leave the record; the body of a Ray task.

    The inputs are linked into the run's output before.

    Raises:
        TrueLeadError: what the stages raise.
    """
    from truelead.train import language_stage
    from truelead.train.environment import prepare_worker

    start = time.monotonic()
    prepare_worker(run.recipe.train.threads_per_worker)
    for stage in STAGES:
        folder = language_stage.run(run.recipe, run.arm, stage)
        # The finished model is kept; what it would resume from is many times as large.
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    cost = sum(training_seconds(run.folder / stage) for stage in STAGES)
    record = RunRecord(
        key, "finished", seconds=round(time.monotonic() - start, 1), training_seconds=round(cost, 1)
    )
    (run.folder / TRACE).unlink(missing_ok=True)
    write_record(run, record)
    return record


def record_failure(run: Run, key: str, error: BaseException) -> RunRecord:
    """Leave the record of a run whose task has raised `error`, with the whole trace beside it."""
    record = RunRecord(key, "failed", one_line(error))
    write_record(run, record)
    write_durable_text(run.folder / TRACE, "".join(traceback.format_exception(error)))
    return record


def training_seconds(folder: Path) -> float:
    """Cost of a stage by its own log: mean step time by the last step."""
    rows = [row for row in read_metrics(folder) if "step_seconds" in row]
    if not rows:
        return 0.0
    return sum(row["step_seconds"] for row in rows) / len(rows) * rows[-1]["step"]


def progress_of(run: Run) -> tuple[str, int, int]:
    """Stage, step and steps of a run under way."""
    for stage in reversed(STAGES):
        rows = read_metrics(run.folder / stage)
        if rows:
            return stage, int(rows[-1]["step"]), getattr(run.recipe, stage).steps
    return STAGES[0], 0, run.recipe.pretrain.steps


def one_line(error: BaseException) -> str:
    """Our own error behind one that crossed processes, or the last line of a foreign one."""
    chain: list[BaseException] = []
    current: Any = error
    while isinstance(current, BaseException) and current not in chain:
        chain.append(current)
        current = getattr(current, "cause", None) or current.__cause__
    for found in reversed(chain):
        # Ray raises a class of both kinds, whose text holds the trace: the cause itself is meant.
        if isinstance(found, TrueLeadError) and not hasattr(found, "cause"):
            return str(found)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
