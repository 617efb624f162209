"""Progress of a training run, shown by the driver, which reads along in metrics.jsonl."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from truelead.train.metrics import read_metrics

NOTICES = "notices.log"
"""What a user should know of, a line each: saves that failed, damaged checkpoints."""

_console = Console(stderr=True)
_POLL_SECONDS = 0.5
_LINE_SECONDS = 15.0
DIAGNOSTICS = "diagnostics.json"
"""File of a stage's folder that holds what its draw betrays."""
_SHOWN_RATES = {"ecgs": "ECGs", "questions": "questions", "tokens": "tokens"}
_SHOWN_BITS = {"question_severity_bits": "I(Q;S)", "question_answer_bits": "I(Q;A)"}
_BY_STRATUM = "nats_"


def say(message: str) -> None:
    """One line to the user."""
    _console.print(message, highlight=False, markup=False)


def describe(
    title: str,
    row: Mapping[str, float],
    steps: int,
    seconds_left: float,
    drawn: Mapping[str, float] | None = None,
) -> str:
    """One line of progress: step, loss, throughput, bias, and the time left.

    Args:
        row: a line of the metrics.
        drawn: diagnostics of the stage's draw.
    """
    rates = [
        f"{row[f'{name}_per_second']:,.{0 if row[f'{name}_per_second'] >= 10 else 1}f} {shown}/s"
        for name, shown in _SHOWN_RATES.items()
        if f"{name}_per_second" in row
    ]
    if "mfu" in row:
        rates.append(f"MFU {100 * row['mfu']:.1f} %")
    left = time.strftime("%M:%S", time.gmtime(max(0.0, seconds_left)))
    if seconds_left >= 3600:
        left = f"{seconds_left / 3600:.1f} h"
    loss = f"{row['loss']:.4f}" if "loss" in row else "not finite"
    parts = [f"{title} {int(row['step'])}/{steps}", f"loss {loss}", ", ".join(rates)]
    parts += [_bias(row, drawn or {}), f"left {left}"]
    return "  ".join(part for part in parts if part)


def _bias(row: Mapping[str, float], drawn: Mapping[str, float]) -> str:
    """What the draw betrays, the loss by severity, and what the model gains by its ECGs."""
    shown = [f"{name} {drawn[key]:.3f} bit" for key, name in _SHOWN_BITS.items() if key in drawn]
    nats = [f"{value:.2f}" for name, value in row.items() if name.startswith(_BY_STRATUM)]
    if nats:
        shown.append(f"loss by severity {'/'.join(nats)}")
    if "ecg_gain_nats" in row:
        shown.append(f"gain by the ECG {row['ecg_gain_nats']:+.3f}")
    return ", ".join(shown)


def _diagnostics(folder: Path) -> dict[str, float]:
    """Numbers of the stage's draw; empty where it has none (yet)."""
    try:
        found = json.loads((folder / DIAGNOSTICS).read_text(encoding="utf-8"))
        return {name: float(found[name]) for name in _SHOWN_BITS if name in found}
    except (OSError, ValueError, TypeError):
        return {}


def note(folder: Path, message: str) -> None:
    """Leave a line for the user in a stage's folder, from any process; the driver shows it."""
    with suppress(OSError), (folder / NOTICES).open("a", encoding="utf-8") as file:
        file.write(" ".join(message.split()) + "\n")


class Progress:
    """Shows a stage's progress while the block runs: live on a terminal, else a line at times."""

    def __init__(self, title: str, folder: Path, steps: int) -> None:
        self._title = title
        self._folder = folder
        self._steps = steps
        self._stop = threading.Event()
        notices = folder / NOTICES
        self._shown = len(notices.read_text(encoding="utf-8")) if notices.is_file() else 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        say(f"{self._title}: starting workers")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        live = _console.is_terminal
        status = _console.status(f"{self._title}: starting workers") if live else None
        if status is not None:
            status.start()
        last_step, last_line = -1.0, 0.0
        while not self._stop.wait(_POLL_SECONDS):
            self._show_notices()
            rows = read_metrics(self._folder)
            if not rows or rows[-1]["step"] == last_step:
                continue
            row = rows[-1]
            last_step = row["step"]
            # The gain is measured at some lines only: the last one known is shown.
            gains = (old["ecg_gain_nats"] for old in reversed(rows) if "ecg_gain_nats" in old)
            shown = row if (gain := next(gains, None)) is None else {**row, "ecg_gain_nats": gain}
            seconds_left = (self._steps - row["step"]) * row["step_seconds"]
            line = describe(
                self._title, shown, self._steps, seconds_left, _diagnostics(self._folder)
            )
            if status is not None:
                status.update(line)
            elif time.monotonic() - last_line >= _LINE_SECONDS:
                say(line)
                last_line = time.monotonic()
        if status is not None:
            status.stop()
        self._show_notices()

    def _show_notices(self) -> None:
        with suppress(OSError):
            text = (self._folder / NOTICES).read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            for line in whole[self._shown :].splitlines():
                say(f"{self._title}: {line}")
            self._shown = len(whole)
