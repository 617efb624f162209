"""What goes over the wire: the request, the answer and the error, as strict frozen schemas."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from truelead.service import limits
from truelead.types import LEADS

NOTICE = "Not for clinical use: research software, no medical device."

SAMPLES_TAG, WFDB_TAG = "samples-of-leads", "wfdb-pair"
"""Names of the two forms of an ECG in the schema; they are no part of a request."""


class Wire(BaseModel):
    """Immutable; a field that the schema lacks is refused by name, with those it has."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data:
                if name not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_field",
                        "expected only the fields {known}, found {name}",
                        {"known": ", ".join(cls.model_fields), "name": shown_name(name)},
                    )
        return data


def shown_name(name: object) -> str:
    """A field's name fit for a one-line message; anything longer or stranger is not repeated."""
    text = str(name)
    plain = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return f"'{text}'" if plain and len(text) <= 40 else "another"


def _from_base64(value: object) -> object:
    """Bytes of base64 text; bytes (of an uploaded file) stay as they are."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("base64", "expected base64 text")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "expected base64 text, found another") from None


Base64Content = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]

Sample = Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
LeadSamples = Annotated[
    list[Sample],
    Field(min_length=1, max_length=limits.MAXIMUM_SAMPLES, fail_fast=True),
]


class LeadsInput(Wire):
    """An ECG as numbers: all 12 leads by name, each of the same length.

    null stands for a sample that was not recorded; null in place of a list for a lead that was not.
    """

    sampling_rate: Annotated[float, Field(strict=True)] = Field(
        ge=limits.MINIMUM_SAMPLING_RATE,
        le=limits.MAXIMUM_SAMPLING_RATE,
        description="samples a second (Hz)",
    )
    units: Literal["mV", "uV"]
    leads: dict[str, LeadSamples | None] = Field(
        description=f"samples of each of {', '.join(LEADS)}"
    )

    @field_validator("leads", mode="before")
    @classmethod
    def _the_twelve_leads(cls, leads: Any) -> Any:
        """Names are checked first, so that no unknown name is ever repeated in a message."""
        from truelead.errors import LeadError
        from truelead.signal import canonical_lead_name

        if not isinstance(leads, dict):
            raise PydanticCustomError("leads", "expected an object: lead name to samples")
        found: dict[str, Any] = {}
        unknown = 0
        for name, samples in leads.items():
            try:
                lead = canonical_lead_name(name)
            except LeadError:
                unknown += 1
                continue
            if lead in found:
                raise PydanticCustomError(
                    "leads", "expected each lead once, found {lead} twice", {"lead": lead}
                )
            found[lead] = samples
        missing = [lead for lead in LEADS if lead not in found]
        if missing or unknown:
            parts = [f"{', '.join(missing)} missing"] if missing else []
            parts += [f"{unknown} of another name"] if unknown else []
            raise PydanticCustomError(
                "leads",
                "expected the 12 leads {leads} (null where not recorded), found {found}",
                {"leads": ", ".join(LEADS), "found": "; ".join(parts)},
            )
        return found


class WfdbPair(Wire):
    """The two files of a WFDB record, as they lie on disk."""

    header: Base64Content = Field(description="the .hea file, base64")
    signal: Base64Content = Field(description="the signal file (.dat, .mat), base64")

    @field_validator("header")
    @classmethod
    def _header_is_small(cls, header: bytes) -> bytes:
        if len(header) > limits.MAXIMUM_HEADER_BYTES:
            raise PydanticCustomError(
                "header",
                "expected at most {most} bytes, found {found}",
                {"most": limits.MAXIMUM_HEADER_BYTES, "found": len(header)},
            )
        return header


class WfdbInput(Wire):
    """An ECG as a WFDB record of one signal file that holds the 12 leads."""

    wfdb: WfdbPair


def _form_of_ecg(value: Any) -> str:
    if isinstance(value, WfdbInput) or (isinstance(value, dict) and "wfdb" in value):
        return WFDB_TAG
    return SAMPLES_TAG


EcgInput = Annotated[
    Annotated[LeadsInput, Tag(SAMPLES_TAG)] | Annotated[WfdbInput, Tag(WFDB_TAG)],
    Discriminator(_form_of_ecg),
]
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


class AskResponse(Wire):
    """The answer, and which model gave it."""

    answer: str = Field(description="as the model writes it; may be empty")
    answers: tuple[str, ...] = Field(description="its parts")
    option_probabilities: dict[str, float] = Field(
        description="of the options, summing to 1; empty for a free answer"
    )
    notes: tuple[str, ...] = Field(
        (), description="what the model could not see of the ECGs, such as missing leads"
    )
    model: str
    model_digest: str = Field(description="SHA-256 of the model's weights")
    truelead_version: str
    notice: str = NOTICE


class ModelDescription(Wire):
    """A model that the service answers with."""

    name: str
    digest: str = Field(description="SHA-256 of model.safetensors")
    parameters: int
    sampling_rate: float = Field(description="Hz that ECGs are brought to")
    seconds: float = Field(description="of each ECG that are read")


class ModelList(Wire):
    """All models of the service."""

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
    message: str = Field(description="one line: the field, what was expected, what was found")


class ErrorResponse(Wire):
    """Body of every 4xx and 5xx."""

    error: ErrorDetail
