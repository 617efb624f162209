"""What the training benchmarks train: one model, its questions, and the order of its steps.

Questions are in ECG-QA's wordings, as many of each ECG as its train split asks in the mean (14), or
fewer; ECGs are random numbers, since only time and the sameness of losses are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.config import parse_recipe
from truelead.debias.adjustment import DrawnQuestion
from truelead.model.build import build_model
from truelead.model.processing import TrueLeadProcessor
from truelead.questions.scp import SCP_STATEMENTS
from truelead.questions.templates import TEMPLATES
from truelead.train.optimizer import Optimization
from truelead.train.plan import Plan
from truelead.types import Question


@dataclass(frozen=True)
class Setting:
    """Sizes of the model and of a step, and what it runs on.

    Attributes:
        device: "cpu", in float32, or "cuda", in bfloat16.
        packing, attention: of this package's form of the training.
    """

    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    ecg_tokens: int = 63
    questions: int = 14
    ecgs_per_step: int = 8
    ecgs: int = 64
    vocabulary: int = 1024
    device: str = "cpu"
    packing: str = "auto"
    attention: str = "auto"


class Built(NamedTuple):
    """The model, its processor, and the encoder's output for every ECG."""

    model: Any
    processor: TrueLeadProcessor
    ecg_NLT: NDArray[np.float32]
    features_NPD: NDArray[np.float16]


def build(setting: Setting) -> Built:
    """Always the same model and ECGs."""
    recipe = parse_recipe(
        {
            "name": "bench",
            "projector": {"options": {"tokens": setting.ecg_tokens}},
            "language_model": {
                "hidden_size": setting.hidden_size,
                "layers": setting.layers,
                "heads": setting.heads,
                "vocabulary_size": setting.vocabulary,
            },
        }
    )
    texts = [question.text for question in questions("0", setting)]
    model, processor = build_model(recipe, None, texts)
    model.requires_grad_(True)
    model.encoder.requires_grad_(False)
    rng = np.random.default_rng(0)
    ecg_NLT = rng.normal(size=(setting.ecgs, 12, 1000)).astype(np.float32)
    with torch.inference_mode():
        features_NPD = model.encode(torch.from_numpy(ecg_NLT)).numpy().astype(np.float16)
    return Built(model.train(), processor, ecg_NLT, features_NPD)


def questions(ecg: str, setting: Setting) -> tuple[Question, ...]:
    """The questions about one ECG."""
    wordings = TEMPLATES[2].wordings.train
    names = [statement.name for statement in SCP_STATEMENTS.values()]
    return tuple(
        Question(
            text=wordings[(number + int(ecg)) % len(wordings)].format(a=names[number]),
            answers=("yes" if (number + int(ecg)) % 3 else "no",),
            options=("yes", "no"),
            ecg_ids=(ecg,),
            question_type="single-verify",
            template_id=2,
            question_id=f"2:{names[number]}",
            wording_id=f"train-{number % len(wordings)}",
        )
        for number in range(setting.questions)
    )


def plan_of(setting: Setting) -> Plan[tuple[str, ...], tuple[DrawnQuestion, ...]]:
    """Each ECG once an epoch, with all its questions."""

    def draw(group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        return tuple(DrawnQuestion(q, 1.0, 0) for q in questions(group[0], setting))

    groups = [(str(number),) for number in range(setting.ecgs)]
    return Plan(groups, draw, size=setting.ecgs_per_step, seed=0)


def optimization(steps: int) -> Optimization:
    """AdamW with warm-up and cosine, the default rates of a stage."""
    return Optimization(
        learning_rate=1e-3, weight_decay=0.05, warmup_steps=max(1, steps // 10), steps=steps
    )


class Memory:
    """A reader of arrays in memory."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def __call__(self, record_ids: Any) -> NDArray[Any]:
        return self._values[[int(name) for name in record_ids]]
