"""The two forms of the shared prefix, and one question a row: tokens, and time of a training step.

The default small language model, with questions in ECG-QA's wordings about ECGs of random features.
CPU time of forward and backward, round by round in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from truelead.config import TrainConfig, parse_recipe
from truelead.model.batch import Batch
from truelead.model.build import build_model
from truelead.model.packing import pack
from truelead.model.processing import GroupInput
from truelead.questions.scp import SCP_STATEMENTS
from truelead.questions.templates import TEMPLATES
from truelead.train.packing import longest_group, make_packer
from truelead.types import Question

COMMAND = "make bench SECTION=data"
ROUNDS = 9
FEATURE_SHAPE = (63, 128)


@dataclass(frozen=True)
class _Setting:
    ecg_tokens: int
    questions: int
    ecgs: int


# The first and the last are outside of what `auto` packs.
SETTINGS = (
    _Setting(63, 2, 16),
    _Setting(16, 8, 16),
    _Setting(63, 14, 8),
    _Setting(120, 25, 4),
    _Setting(16, 60, 2),
)
SHARING = _Setting(120, 25, 4)
"""Of which the tokens are told, with their goal."""


def rows() -> list[dict[str, Any]]:
    """Tokens a question, and ratios of step times with the range over the rounds."""
    torch.set_num_threads(1)
    found = []
    for setting in SETTINGS:
        torch.manual_seed(0)
        found += _rows(setting)
    return found


def _rows(setting: _Setting) -> list[dict[str, Any]]:
    recipe = parse_recipe(
        {"name": "bench", "projector": {"options": {"tokens": setting.ecg_tokens}}}
    )
    questions = tuple(_question(number) for number in range(setting.questions))
    model, processor = build_model(recipe, None, [q.text for q in questions])
    rng = np.random.default_rng(0)
    features = rng.normal(size=(setting.ecgs, *FEATURE_SHAPE)).astype(np.float32)
    groups = [GroupInput((ecg,), questions) for ecg in range(setting.ecgs)]
    cached = processor.batch(groups, features=features)
    alone = processor.batch(
        [GroupInput((ecg,), (question,)) for ecg in range(setting.ecgs) for question in questions],
        features=features,
    )
    packed = pack(cached, max(256, longest_group(cached)))
    packer = make_packer(TrainConfig(), model, reads_options=False)
    assert packer is not None
    chosen = "cache" if packer(cached).layout is None else "packed"
    steps = {
        "packed": _step(model, packed),
        "cache": _step(model, cached),
        "one question a row": _step(model, alone),
    }
    losses = [step() for step in steps.values()]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            seconds[name].append(_seconds(step))
    what = f"{setting.questions} questions an ECG of {setting.ecg_tokens} tokens"
    assert packed.layout is not None
    tokens = packed.layout.tokens / cached.rows
    tokens_alone = float(alone.prefix_mask_GP.sum() + alone.mask_BS.sum()) / alone.rows
    shared = {
        "name": f"tokens a question, {what}: fewer than one question a row",
        "value": tokens_alone / tokens,
        "unit": "times",
        "goal": ">= 4",
        "holds": tokens_alone >= 4 * tokens,
        "peer": f"{tokens:.1f} shared, {tokens_alone:.1f} with one question a row",
        "command": COMMAND,
    }
    return [
        *([shared] if setting == SHARING else []),
        _ratio(
            f"training step, {what}: speed of packed (auto: {chosen})", seconds, "packed", "cache"
        ),
        *(
            _ratio(f"training step, {what}: speed of {form}", seconds, form, "one question a row")
            for form in ("packed", "cache")
        ),
    ]


def _ratio(name: str, seconds: dict[str, list[float]], form: str, peer: str) -> dict[str, Any]:
    ratios = np.array(seconds[peer]) / seconds[form]
    return {
        "name": name,
        "value": float(np.median(ratios)),
        "unit": "times",
        "peer": f"{peer}, the same model: {1000 * np.median(seconds[peer]):.0f} ms",
        "interval": [float(ratios.min()), float(ratios.max())],
        "command": COMMAND,
    }


def _step(model: Any, batch: Batch) -> Callable[[], float]:
    def run() -> float:
        model.zero_grad()
        output = model(batch=batch)
        loss = output.loss_B.sum() / output.tokens_B.sum()
        loss.backward()
        return float(loss.detach())

    return run


def _seconds(step: Callable[[], float]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def _question(number: int) -> Question:
    name = list(SCP_STATEMENTS.values())[number].name
    wordings = TEMPLATES[2].wordings.train
    return Question(
        text=wordings[number % len(wordings)].format(a=name),
        answers=("yes" if number % 2 else "no",),
        options=("yes", "no"),
        ecg_ids=("ecg",),
        question_type="single-verify",
        template_id=2,
        question_id=f"2:{name}",
        wording_id="train-0",
    )
