"""Routes that answer a question: /v1/ask, /v1/compare, and the files' ECGs as samples."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from truelead.service.body import FORM, JSON, read_body, read_files, validated
from truelead.service.client import to_wire
from truelead.service.context import Context
from truelead.service.examples import ask_example, compare_example
from truelead.service.openapi import errors, form_schema, reference
from truelead.service.wire import AskRequest, AskResponse, CompareRequest, SamplesResponse
from truelead.service.wire_base import Wire
from truelead.service.wire_ecg import EcgInput


class _Ecgs(Wire):
    """ECGs as a request has them."""

    ecgs: tuple[EcgInput, ...]


def ask_routes(context: Context) -> APIRouter:
    """The routes, bound to an application's context."""
    router = APIRouter(tags=["ask"], responses=errors())

    @router.post("/v1/ask", openapi_extra=_body(AskRequest, ask_example()))
    async def ask(request: Request) -> AskResponse:
        """Ask about one ECG, or about two to compare: JSON, or a form with files."""
        return (await context.answer(request, await read_body(request, AskRequest))).response

    @router.post("/v1/ask/files", openapi_extra={"requestBody": _form_body()})
    async def ask_files(request: Request) -> AskResponse:
        """The same as `/v1/ask` with a form, for example from curl's -F."""
        return (await context.answer(request, await read_body(request, AskRequest))).response

    @router.post("/v1/compare", openapi_extra=_body(CompareRequest, compare_example()))
    async def compare(request: Request) -> AskResponse:
        """Ask about exactly two ECGs, the earlier first."""
        return (await context.answer(request, await read_body(request, CompareRequest))).response

    @router.post(
        "/v1/samples",
        response_model=SamplesResponse,
        openapi_extra={"requestBody": _form_body(question=False)},
    )
    async def samples(request: Request) -> Response:
        """The ECGs of files as numbers, to draw them; no question is asked."""
        ecgs = await read_files(request)

        def read() -> bytes:
            sent = validated({"ecgs": ecgs}, _Ecgs).ecgs
            read = context.known.read
            found = [read(one, where=f"ecgs.{at}").ecg for at, one in enumerate(sent)]
            # Text here, in the thread: two long ECGs are millions of numbers.
            response = {"ecgs": [to_wire(ecg) for ecg in found]}
            return SamplesResponse.model_validate(response).model_dump_json().encode()

        return Response(await run_in_threadpool(read), media_type=JSON)

    return router


def _body(schema: type[Wire], example: dict[str, Any]) -> dict[str, Any]:
    content = {JSON: {"schema": reference(schema), "example": example}}
    return {"requestBody": {"required": True, "content": {**content, **_form_body()["content"]}}}


def _form_body(*, question: bool = True) -> dict[str, Any]:
    return {"required": True, "content": {FORM: {"schema": form_schema(question=question)}}}
