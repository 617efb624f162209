"""Training step with the shared prefix beside one question a row, same model, same questions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from truelead.config import Recipe, parse_recipe
from truelead.model.build import build_model
from truelead.model.processing import GroupInput
from truelead.types import Question

COMMAND = "make bench SECTION=spine"
ECGS, QUESTIONS, ROUNDS = 8, 14, 9
FEATURE_SHAPE = (63, 128)


def rows() -> list[dict[str, Any]]:
    """Ratio of the two step times, median over the rounds with its range."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    recipe: Recipe = parse_recipe({"name": "bench"})
    questions = [_question(number) for number in range(QUESTIONS)]
    model, processor = build_model(recipe, None, [q.text for q in questions])
    features_NPD = np.random.default_rng(0).normal(size=(ECGS, *FEATURE_SHAPE)).astype(np.float32)
    shared = processor.batch(
        [GroupInput((ecg,), tuple(questions)) for ecg in range(ECGS)], features=features_NPD
    )
    alone = processor.batch(
        [GroupInput((ecg,), (question,)) for ecg in range(ECGS) for question in questions],
        features=features_NPD,
    )

    def step(batch: Any) -> Callable[[], float]:
        def run() -> float:
            model.zero_grad()
            loss = model(batch=batch)
            value = loss.loss_B.sum() / loss.tokens_B.sum()
            value.backward()
            return float(value.detach())

        return run

    losses = step(shared)(), step(alone)()
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    ratios = sorted(_seconds(step(alone)) / _seconds(step(shared)) for _ in range(ROUNDS))
    return [
        {
            "name": f"training step, {QUESTIONS} questions an ECG: speed of the shared prefix",
            "value": ratios[ROUNDS // 2],
            "unit": "times",
            "goal": 1.0,
            "holds": ratios[0] > 1.0,
            "peer": "one question a row, the same model",
            "interval": [ratios[0], ratios[-1]],
            "command": COMMAND,
        }
    ]


def _seconds(step: Callable[[], float]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def _question(number: int) -> Question:
    return Question(
        text=f"Does this ECG show finding number {number} of the list?",
        answers=("yes" if number % 2 else "no",),
        options=("yes", "no"),
        ecg_ids=("ecg",),
        question_type="single-verify",
        template_id=2,
        question_id=f"2:{number}",
        wording_id="train-0",
    )
