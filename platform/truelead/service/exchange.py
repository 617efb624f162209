"""What the ingress and the model's replicas hand each other.

Values without torch: the ingress neither loads it nor waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from truelead.service.wire import ModelDescription
from truelead.types import Ecg


@dataclass(frozen=True)
class Inquiry:
    """A checked question with its ECGs.

    Attributes:
        ecgs: one or two, in the order in which the question speaks of them.
        question: the words.
        options: the closed set to choose from; empty for a free answer.
    """

    ecgs: tuple[Ecg, ...]
    question: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """The model's answer, as `truelead.model.answering.Answer` has it.

    Attributes:
        text: as written; may be empty.
        answers: its parts.
        option_probabilities: of the options, summing to 1; empty for a free answer.
        model: that gave it; during an update, replicas may differ.
    """

    text: str
    answers: tuple[str, ...]
    option_probabilities: dict[str, float]
    model: ModelDescription
