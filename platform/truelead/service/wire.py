"""What goes over the wire: the request, the answer and the error, as strict frozen schemas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from truelead.service import limits
from truelead.service.wire_base import NOTICE, Wire
from truelead.service.wire_ecg import EcgInput, LeadsInput

Option = Annotated[str, Field(min_length=1, max_length=limits.MAXIMUM_OPTION_CHARACTERS)]


class AskRequest(Wire):
    """A question about one ECG, or about two in the order in which the question speaks of them."""

    question: str = Field(max_length=limits.MAXIMUM_QUESTION_CHARACTERS)
    options: tuple[Option, ...] | None = Field(
        None,
        max_length=limits.MAXIMUM_OPTIONS,
        description="closed set to choose from (2 or more); left out: a free answer",
    )
    ecgs: tuple[EcgInput, ...] = Field(min_length=1, max_length=limits.MAXIMUM_ECGS)
    attribution: bool = Field(
        False, description="also say which leads and stretches of time the answer rests on"
    )
    model: str | None = Field(
        None,
        max_length=limits.MAXIMUM_OPTION_CHARACTERS,
        description="a name of /v1/models; left out: the service's base model",
    )

    @field_validator("question")
    @classmethod
    def _question_has_words(cls, question: str) -> str:
        if not question.strip():
            raise PydanticCustomError("question", "expected words, found none")
        return question

    @field_validator("options")
    @classmethod
    def _options_differ(cls, options: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if options is not None:
            if len(options) < 2:
                raise PydanticCustomError(
                    "options",
                    "expected at least 2, or no such field, found {n}",
                    {"n": len(options)},
                )
            if len(set(options)) != len(options) or not all(map(str.strip, options)):
                raise PydanticCustomError("options", "expected different words in each")
        return options


class CompareRequest(AskRequest):
    """A question about exactly two ECGs, in the order in which the question speaks of them."""

    ecgs: tuple[EcgInput, ...] = Field(min_length=2, max_length=2)


class Reliance(Wire):
    """How much the answer rests on this ECG rather than on the question alone.

    See `truelead.model.reliance` for the number and `truelead.model.reliance_threshold` for the
    bound.
    """

    nats: float | None = Field(
        description="log p(answer | question, this ECG) less that with other patients' ECGs; "
        "null where it was not measured"
    )
    threshold: float | None = Field(description="nats; below it the answer is flagged")
    false_alarm_rate: float | None = Field(
        description="bound on the share of answers given with the right ECG that are flagged"
    )
    rests_on_ecg: bool | None = Field(description="null where it cannot be said")
    verdict: str


class OccludedWindow(Wire):
    """A stretch of time that was put out in all leads."""

    start_seconds: float
    end_seconds: float
    share: float = Field(description="loss of the answer's score")


class EcgAttribution(Wire):
    """What the answer's score loses when parts of one ECG are put out (occlusion)."""

    score: float = Field(
        description="log-odds of the answer with the whole ECG; log-likelihood of a free answer"
    )
    unit: Literal["nats"] = "nats"
    leads: dict[str, float]
    windows: tuple[OccludedWindow, ...]


class EcgSummary(Wire):
    """An ECG as it was read."""

    sampling_rate: float = Field(description="Hz")
    seconds: float
    sha256: str = Field(description="of its float32 millivolts")
    reference: str = Field(
        "",
        description='names this ECG in a further question: {"known": reference}, while it is kept',
    )


class AskResponse(Wire):
    """The answer, how much it rests on the ECG, and which model gave it."""

    answer: str = Field(description="as the model writes it; may be empty")
    answers: tuple[str, ...] = Field(description="its parts")
    option_probabilities: dict[str, float] = Field(
        description="of the options, summing to 1; empty for a free answer"
    )
    reliance: Reliance
    attribution: tuple[EcgAttribution, ...] | None = Field(
        None, description="one an ECG; null where not asked for"
    )
    notes: tuple[str, ...] = Field(
        (), description="what the model could not see of the ECGs, such as missing leads"
    )
    ecgs: tuple[EcgSummary, ...]
    model: str
    model_digest: str = Field(description="SHA-256 of the model's weights")
    data_digest: str | None = Field(
        description="SHA-256 of the shards that the model was trained on; null where not recorded"
    )
    truelead_version: str
    request_id: str
    notice: str = NOTICE


class SamplesResponse(Wire):
    """The ECGs of files as numbers, in millivolts."""

    ecgs: tuple[LeadsInput, ...]
    notice: str = NOTICE


class ModelDescription(Wire):
    """A model that the service answers with."""

    name: str
    digest: str = Field(description="SHA-256 of model.safetensors")
    data_digest: str | None = Field(description="SHA-256 of the shards of its training run")
    parameters: int
    sampling_rate: float = Field(description="Hz that ECGs are brought to")
    seconds: float = Field(description="of each ECG that are read")
    created: int = Field(description="Unix time of the weights' file")
    reliance_calibrated: bool
    false_alarm_rate: float | None = Field(description="that its reliance is calibrated at")
    base_digest: str | None = Field(
        None, description="digest of the model that an adapter is added to; null for a whole model"
    )


class ModelEntry(Wire):
    """A model as OpenAI's list of models has it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["truelead"] = "truelead"


class ModelList(Wire):
    """All models of the service: in OpenAI's schema (`data`), and all that is known of them."""

    object: Literal["list"] = "list"
    data: tuple[ModelEntry, ...]
    models: tuple[ModelDescription, ...]
    notice: str = NOTICE


class Health(Wire):
    """Whether the service lives (healthz) or can answer (readyz)."""

    status: Literal["ok"] = "ok"
    truelead_version: str


class ErrorDetail(Wire):
    """Why there is no answer."""

    status: int
    kind: str = Field(description="such as invalid-request, checksum, unauthorized, overloaded")
    type: str = Field("", description="the kind again, where OpenAI's clients look for it")
    code: str = Field("", description="likewise")
    message: str = Field(description="one line: the field, what was expected, what was found")


class ErrorResponse(Wire):
    """Body of every 4xx and 5xx."""

    error: ErrorDetail
