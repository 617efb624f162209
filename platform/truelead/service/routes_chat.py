"""The route of OpenAI's chat completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from truelead.service.body import JSON, read_json, validated
from truelead.service.chat import completion, question_of, stream
from truelead.service.context import Context
from truelead.service.examples import chat_example
from truelead.service.openapi import errors, reference
from truelead.service.wire import AskRequest
from truelead.service.wire_chat import ChatCompletion, ChatRequest

_EVENTS = "text/event-stream"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": reference(ChatRequest), "example": chat_example()}},
    }
}


def chat_routes(context: Context) -> APIRouter:
    """The route, bound to an application's context."""
    router = APIRouter(tags=["openai"], responses=errors())

    @router.post("/v1/chat/completions", response_model=ChatCompletion, openapi_extra=_BODY)
    async def chat_completions(request: Request) -> ChatCompletion | StreamingResponse:
        """A conversation about one or two ECGs; `stream` sends the answer as events."""
        chat = await read_json(request, ChatRequest)
        answered = await context.answer(request, validated(question_of(chat), AskRequest))
        whole = completion(chat, answered)
        if not chat.stream:
            return whole
        return StreamingResponse(
            stream(chat, whole), media_type=_EVENTS, headers={"Cache-Control": "no-store"}
        )

    return router
