"""A tiny model of the built-in kind, ECGs of noise, and groups of questions about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from truelead.config import Recipe, parse_recipe
from truelead.model.build import build_model
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.types import Ecg, Question

CORPUS = (
    "Is there any sign of infarction?",
    "Does this ECG show atrial fibrillation or flutter?",
    "Which leads show noise?",
    "What changed between the two ECGs?",
    "yes",
    "no",
    "not sure",
    "lead I; lead aVR",
)


def tiny_recipe(**changes: Any) -> Recipe:
    tree: dict[str, Any] = {
        "name": "tiny",
        "encoder": {"name": "resnet1d", "options": {"width": 16}},
        "projector": {"name": "mlp", "options": {"tokens": 5}},
        "language_model": {"hidden_size": 32, "layers": 2, "heads": 2, "vocabulary_size": 300},
    }
    return parse_recipe(tree | changes)


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Recipe]:
    return tiny_recipe


@pytest.fixture(scope="session")
def corpus() -> tuple[str, ...]:
    return CORPUS


@pytest.fixture
def built() -> tuple[Any, TrueLeadProcessor]:
    """A fresh tiny model in evaluation mode, and its processor."""
    model, processor = build_model(tiny_recipe(), None, CORPUS)
    return model.eval(), processor


@pytest.fixture(scope="session")
def ecgs() -> list[Ecg]:
    rng = np.random.default_rng(3)
    return [
        Ecg(rng.normal(0, 0.3, (12, 1000)).astype(np.float32), 100.0, str(index))
        for index in range(6)
    ]


def make_question(
    text: str,
    answers: tuple[str, ...] = ("yes",),
    options: tuple[str, ...] = ("yes", "no", "not sure"),
    question_type: str = "single-verify",
    severity: int = 1,
) -> Question:
    return Question(
        text, answers, options, ("0",), question_type, 1, f"1:{text[:9]}", "0", severity
    )


@pytest.fixture(scope="session")
def question() -> Callable[..., Question]:
    return make_question


@pytest.fixture(scope="session")
def groups() -> list[GroupInput]:
    """One-ECG and two-ECG groups with 1 to 4 questions of several lengths."""
    first = make_question(CORPUS[0])
    second = make_question(CORPUS[1], ("not sure",))
    third = make_question(CORPUS[2], ("lead I", "lead aVR"), (), "single-query")
    fourth = make_question(CORPUS[3], ("none",), (), "comparison_consecutive-query")
    return [
        GroupInput((2,), (first, second, third), (1.0, 2.0, 0.5)),
        GroupInput((0, 3), (fourth,)),
        GroupInput((1,), (third, first, second, first)),
        GroupInput((3, 0), (fourth, second)),
    ]
