"""The line of progress: throughput, time left, and the bias diagnostics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from truelead.train import progress
from truelead.train.metrics import MetricsWriter
from truelead.train.progress import DIAGNOSTICS, Progress, describe

ROW = {
    "step": 40.0,
    "loss": 1.25,
    "step_seconds": 0.5,
    "ecgs_per_second": 8.25,
    "questions_per_second": 115.4,
    "tokens_per_second": 2900.0,
    "model_flops_per_second": 1e12,
    "nats_normal": 0.4,
    "nats_severe": 0.756,
    "ecg_gain_nats": 0.12,
    "mfu": 0.3141,
}
DRAWN = {"question_severity_bits": 0.0123, "question_answer_bits": 0.4}


def test_a_line_tells_speed_bias_and_time_left() -> None:
    assert describe("debiased: pretrain", ROW, 100, 65, DRAWN) == (
        "debiased: pretrain 40/100  loss 1.2500  "
        "8.2 ECGs/s, 115 questions/s, 2,900 tokens/s, MFU 31.4 %  "
        "I(Q;S) 0.012 bit, I(Q;A) 0.400 bit, loss by severity 0.40/0.76, gain by the ECG +0.120  "
        "left 01:05"
    )
    assert describe("encoder", {"step": 1.0}, 9, 7200) == "encoder 1/9  loss not finite  left 2.0 h"


def test_what_the_stage_wrote_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    (tmp_path / DIAGNOSTICS).write_text(json.dumps({**DRAWN, "strata": {}}), encoding="utf-8")
    writer = MetricsWriter(tmp_path, 0, ())
    later = {name: value for name, value in ROW.items() if name not in ("ecg_gain_nats", "step")}
    with Progress("tuning", tmp_path, 100) as shown:
        writer.log(40, {name: value for name, value in ROW.items() if name != "step"})
        writer.log(50, later)
        for _ in range(500):
            if any("50/100" in line for line in said):
                break
            shown._stop.wait(0.01)
    writer.close()
    line = next(line for line in said if "50/100" in line)
    assert "I(Q;S) 0.012 bit" in line
    assert "gain by the ECG +0.120" in line, "the last one known"
    assert line.endswith("left 00:25")
