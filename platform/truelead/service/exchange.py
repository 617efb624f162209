"""What the ingress and the model's replicas hand each other.

Values without torch: the ingress neither loads it nor waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from truelead.service.wire import EcgAttribution, ModelDescription, Reliance
from truelead.types import Ecg

EmbeddingKind = Literal["encoder", "projector"]

EcgKey = tuple[str, float]
"""SHA-256 of the float32 millivolts, and the sampling rate in Hz."""


@dataclass(frozen=True)
class NamedEcg:
    """An ECG named by its content, with its samples only where they are needed.

    Attributes:
        key: of the ECG as it was sent to the service.
        ecg: None where the replicas are thought to have read it already.
        fitted: whether `ecg` has been brought to a model's own rate and length, which is what that
            model sees of it.
    """

    key: EcgKey
    ecg: Ecg | None = None
    fitted: bool = False


@dataclass(frozen=True)
class MissingEcgs:
    """In place of a reply: the replica has not read these ECGs, or not as its model sees them.

    Attributes:
        sampling_rate, seconds: what the model wants.
    """

    sampling_rate: float
    seconds: float


@dataclass(frozen=True)
class Inquiry:
    """A checked question with its ECGs.

    Attributes:
        ecgs: one or two, in the order in which the question speaks of them.
        question: the words.
        options: the closed set to choose from; empty for a free answer.
        attribution: whether to say which leads and stretches of time the answer rests on.
        model: name of the adapter that is asked; empty: the base model.
    """

    ecgs: tuple[Ecg | NamedEcg, ...]
    question: str
    options: tuple[str, ...] = ()
    attribution: bool = False
    model: str = ""


@dataclass(frozen=True)
class Work:
    """How an answer came about, for metrics and for OpenAI's `usage`.

    Attributes:
        prompt_tokens: with the places of the ECGs. answer_tokens: with the end.
        cut: whether a free answer was as long as the model may write.
        batch_size: questions answered together. waited_seconds: for them and for their turn.
        worked_seconds: that the model spent on all of them.
        cached_ecgs, encoded_ecgs: of the question's ECGs, found in the cache or not.
        prefix_cached: whether the language model had read these ECGs before.
    """

    prompt_tokens: int
    answer_tokens: int
    cut: bool = False
    batch_size: int = 1
    waited_seconds: float = 0.0
    cached_ecgs: int = 0
    encoded_ecgs: int = 0
    prefix_cached: bool = False
    worked_seconds: float = 0.0


@dataclass(frozen=True)
class Reply:
    """The model's answer, as `truelead.model.answering.Answer` has it, and what it rests on.

    Attributes:
        text: as written; may be empty.
        answers: its parts.
        option_probabilities: of the options, summing to 1; empty for a free answer.
        model: that gave it; during an update, replicas may differ.
        reliance: how much it rests on the ECG.
        work: how it came about.
        attribution: one an ECG; None where not asked for.
    """

    text: str
    answers: tuple[str, ...]
    option_probabilities: dict[str, float]
    model: ModelDescription
    reliance: Reliance
    work: Work
    attribution: tuple[EcgAttribution, ...] | None = None


@dataclass(frozen=True)
class Embedded:
    """Vectors of ECGs.

    Attributes:
        vectors: one an ECG, all of one length.
        model: that they are of.
    """

    vectors: tuple[tuple[float, ...], ...]
    model: ModelDescription
