"""A conversation to the one question that the model reads, and its answer to OpenAI's schema.

The model was trained on single questions about one or two ECGs, and its prompt holds no other. So
of a conversation it reads every ECG that was shown, in order, and the words of the last turn;
earlier words, the assistant's answers and system messages are not read, which a note says.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from truelead.errors import ServiceError
from truelead.service import limits
from truelead.service.context import Answered
from truelead.service.wire import AskResponse
from truelead.service.wire_chat import (
    WITHOUT_EFFECT,
    AssistantMessage,
    ChatChoice,
    ChatCompletion,
    ChatRequest,
    ChatUsage,
)

DONE = "data: [DONE]\n\n"


def question_of(chat: ChatRequest) -> dict[str, Any]:
    """The fields of an `AskRequest`.

    Raises:
        ServiceError: the last turn is not the user's or has no words; no ECG or more than two.
    """
    last = chat.messages[-1]
    if last.role != "user":
        raise ServiceError("messages: expected the user's question last")
    for at, message in enumerate(chat.messages):
        if message.ecgs and message.role != "user":
            raise ServiceError(f"messages.{at}: expected ECGs in the user's turns only")
    ecgs = [ecg for message in chat.messages for ecg in message.ecgs]
    if not 1 <= len(ecgs) <= limits.MAXIMUM_ECGS:
        raise ServiceError(
            f"messages: expected 1 to {limits.MAXIMUM_ECGS} ECGs in the conversation, "
            f"found {len(ecgs)}"
        )
    question = "\n".join(text.strip() for text in last.texts if text.strip())
    if not question:
        raise ServiceError("messages: expected words in the last turn, found none")
    return {
        "question": question,
        "options": chat.truelead.options,
        "attribution": chat.truelead.attribution,
        "ecgs": ecgs,
        "model": chat.model,
    }


def notes_on_chat(chat: ChatRequest) -> tuple[str, ...]:
    """What of the request the model did not read, one line each."""
    notes = []
    if any(message.role in ("system", "developer") for message in chat.messages):
        notes.append("messages: system messages are not read by this model")
    earlier = [message for message in chat.messages[:-1] if message.role in ("user", "assistant")]
    if any(text.strip() for message in earlier for text in message.texts):
        notes.append(
            "messages: of earlier turns the model reads the ECGs only; it was trained on single "
            "questions"
        )
    sent = [name for name in WITHOUT_EFFECT if getattr(chat, name) is not None]
    if sent:
        notes.append(f"{', '.join(sent)}: without effect, the answer is the likeliest one")
    return tuple(notes)


def completion(chat: ChatRequest, answered: Answered) -> ChatCompletion:
    """The answer in OpenAI's schema."""
    response, work = answered.response, answered.reply.work
    usage = ChatUsage(
        prompt_tokens=work.prompt_tokens,
        completion_tokens=work.answer_tokens,
        total_tokens=work.prompt_tokens + work.answer_tokens,
    )
    return ChatCompletion(
        id=f"chatcmpl-{response.request_id}",
        created=int(time.time()),
        model=response.model,
        system_fingerprint=f"fp_{response.model_digest[:12]}",
        choices=(
            ChatChoice(
                message=AssistantMessage(content=response.answer),
                finish_reason="length" if work.cut else "stop",
            ),
        ),
        usage=usage,
        truelead=with_notes(response, notes_on_chat(chat)),
    )


def stream(chat: ChatRequest, whole: ChatCompletion) -> Iterator[str]:
    """The answer as server-sent events in OpenAI's schema of chunks.

    Answers are short and found in one batch with others, so they are whole before the first chunk
    leaves; the chunks are their words. The last one carries `truelead`.
    """
    choice = whole.choices[0]
    yield _event(whole, {"role": "assistant", "content": ""})
    for word in re.findall(r"\S+\s*", choice.message.content):
        yield _event(whole, {"content": word})
    yield _event(whole, {}, choice.finish_reason, truelead=whole.truelead.model_dump(mode="json"))
    if chat.stream_options is not None and chat.stream_options.include_usage:
        usage = whole.usage.model_dump(mode="json")
        yield _event(whole, None, usage=usage)
    yield DONE


def with_notes(response: AskResponse, notes: tuple[str, ...]) -> AskResponse:
    """The response with further notes."""
    return response.model_copy(update={"notes": (*response.notes, *notes)})


def _event(
    whole: ChatCompletion, delta: dict[str, str] | None, reason: str | None = None, **fields: Any
) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    chunk = {
        "id": whole.id,
        "object": "chat.completion.chunk",
        "created": whole.created,
        "model": whole.model,
        "system_fingerprint": whole.system_fingerprint,
        "choices": [] if delta is None else [choice],
        **fields,
    }
    return f"data: {json.dumps(chunk)}\n\n"
