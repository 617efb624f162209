"""OpenAI's chat completions on the wire, with ECGs as content parts.

Schema: OpenAI API reference, "Create chat completion". What the model cannot do is refused by name
(tools, several choices, ...); what has no effect on an answer that is never sampled is accepted,
and said in `truelead.notes`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from truelead.service import limits
from truelead.service.wire import AskResponse, Option
from truelead.service.wire_base import Wire
from truelead.service.wire_ecg import EcgInput

WITHOUT_EFFECT = (
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "user",
    "metadata",
    "store",
)
"""Fields that clients send and that change nothing here."""

_LONGEST_TEXT = 4 * limits.MAXIMUM_QUESTION_CHARACTERS
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]


class TextPart(Wire):
    """Words."""

    type: Literal["text"]
    text: Text


class EcgPart(Wire):
    """An ECG."""

    type: Literal["input_ecg"]
    input_ecg: EcgInput


def _kind_of_part(value: Any) -> str:
    found = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "input_ecg" if found == "input_ecg" else "text"


ContentPart = Annotated[
    Annotated[TextPart, Tag("text")] | Annotated[EcgPart, Tag("input_ecg")],
    Discriminator(_kind_of_part),
]


class ChatMessage(Wire):
    """One turn. Of the assistant's own turns the model reads nothing; see `chat`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | tuple[ContentPart, ...]
    name: str | None = Field(None, max_length=limits.MAXIMUM_OPTION_CHARACTERS, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, data: Any) -> Any:
        """Clients send a turn of the assistant back with all its empty fields."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None and value != []}

    @property
    def texts(self) -> tuple[str, ...]:
        """The words of the turn, part by part."""
        if isinstance(self.content, str):
            return (self.content,)
        return tuple(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def ecgs(self) -> tuple[EcgInput, ...]:
        """The ECGs of the turn."""
        if isinstance(self.content, str):
            return ()
        return tuple(part.input_ecg for part in self.content if isinstance(part, EcgPart))


class StreamOptions(Wire):
    """What a stream also holds."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ChatOptions(Wire):
    """TrueLead's own part of a request (`extra_body` of OpenAI's client)."""

    options: tuple[Option, ...] | None = Field(
        None, description="closed set to choose from; left out: a free answer"
    )
    attribution: bool = False


class ChatRequest(Wire):
    """A conversation about one or two ECGs whose last turn is the user's question."""

    model: str = Field(max_length=limits.MAXIMUM_OPTION_CHARACTERS)
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=limits.MAXIMUM_MESSAGES)
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    truelead: ChatOptions = ChatOptions()
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = Field(None, repr=False)
    metadata: dict[str, Any] | None = Field(None, repr=False)
    store: bool | None = None


class AssistantMessage(Wire):
    """The answer as a turn."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(Wire):
    """The one answer."""

    index: Literal[0] = 0
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatUsage(Wire):
    """Tokens of the model's prompt, places of the ECGs included, and of its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Wire):
    """The answer in OpenAI's schema; all that TrueLead says of it is under `truelead`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: tuple[ChatChoice, ...]
    usage: ChatUsage
    truelead: AskResponse
