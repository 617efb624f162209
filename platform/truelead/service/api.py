"""The HTTP interface, apart from Ray: routes, their documents, and errors in one form."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from truelead import __version__
from truelead.errors import RecordError, ServiceError, TrueLeadError
from truelead.service import limits
from truelead.service.access import Access
from truelead.service.ecg_input import decode_request, notes_on
from truelead.service.exchange import Inquiry, Reply
from truelead.service.gate import Gate, error_response
from truelead.service.upload import UploadedFile, pair_files
from truelead.service.wire import (
    NOTICE,
    AskRequest,
    AskResponse,
    ErrorResponse,
    Health,
    ModelDescription,
    ModelList,
)
from truelead.service.wire_errors import first_line

_LOGGER = logging.getLogger("truelead.service")

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": description}
    for status, description in {
        400: "the body is no JSON or no form",
        401: "no bearer token",
        403: "wrong token, or no token and not on this machine",
        413: "the body is too large",
        422: "a field or an ECG is not what was expected",
        503: "overloaded or not ready; try again after Retry-After seconds",
        504: "no answer in time",
    }.items()
}


class Backend(Protocol):
    """What answers: a model, wherever it runs."""

    async def answer(self, inquiry: Inquiry) -> Reply:
        """The answer to one question.

        Raises:
            TrueLeadError: the question cannot be answered.
            ServiceError: no answer now (503) or not in time (504).
        """

    async def describe(self) -> ModelDescription:
        """The model.

        Raises:
            ServiceError: it is not ready (503).
        """


def create_api(
    backend: Backend,
    access: Access,
    *,
    maximum_body_bytes: int = limits.MAXIMUM_BODY_BYTES,
) -> FastAPI:
    """The application of one model.

    Args:
        backend: answers the questions.
        access: who may ask.
        maximum_body_bytes: of one request.
    """
    # FastAPI's own document pages load scripts from elsewhere; /openapi.json needs nothing.
    api = FastAPI(
        title="TrueLead",
        version=__version__,
        description=f"Questions about one or two 12-lead ECGs. {NOTICE}",
        docs_url=None,
        redoc_url=None,
    )
    api.add_middleware(Gate, access=access, maximum_body_bytes=maximum_body_bytes)
    _add_error_handlers(api)

    @api.get("/healthz", tags=["health"])
    async def healthz() -> Health:
        """The service lives."""
        return Health(truelead_version=__version__)

    @api.get("/readyz", tags=["health"], responses={503: _ERRORS[503]})
    async def readyz() -> Health:
        """A model is loaded and reachable."""
        await backend.describe()
        return Health(truelead_version=__version__)

    @api.get("/v1/models", tags=["models"], responses=_ERRORS)
    async def models() -> ModelList:
        """The models that answer, with the digests of their weights."""
        return ModelList(models=(await backend.describe(),))

    @api.post("/v1/ask", tags=["ask"], responses=_ERRORS)
    async def ask(request: AskRequest) -> AskResponse:
        """Ask about one ECG, or about two to compare; samples as numbers or as WFDB files."""
        return await _answer(backend, request)

    @api.post("/v1/ask/files", tags=["ask"], responses=_ERRORS)
    async def ask_files(
        question: Annotated[str, Form()],
        files: Annotated[list[UploadFile], File(description="one or two .hea with their .dat")],
        options: Annotated[list[str] | None, Form()] = None,
    ) -> AskResponse:
        """The same with WFDB files as a form, for example from curl's -F."""
        uploaded = [UploadedFile(file.filename or "", await file.read()) for file in files]
        ecgs = await run_in_threadpool(pair_files, uploaded)
        try:
            request = AskRequest.model_validate(
                {"question": question, "options": options or None, "ecgs": ecgs}
            )
        except ValidationError as error:
            raise ServiceError(first_line(error.errors(include_input=False))) from None
        return await _answer(backend, request)

    return api


async def _answer(backend: Backend, request: AskRequest) -> AskResponse:
    inquiry = await run_in_threadpool(decode_request, request)
    reply = await backend.answer(inquiry)
    return AskResponse(
        answer=reply.text,
        answers=reply.answers,
        option_probabilities=reply.option_probabilities,
        notes=notes_on(inquiry.ecgs, reply.model),
        model=reply.model.name,
        model_digest=reply.model.digest,
        truelead_version=__version__,
    )


def _add_error_handlers(api: FastAPI) -> None:
    """Every refusal in one form, and never the values that were sent."""

    @api.exception_handler(TrueLeadError)
    async def of_user(_: Request, error: TrueLeadError) -> Response:
        if isinstance(error, ServiceError):
            return error_response(error.status, str(error))
        kind = error.reason if isinstance(error, RecordError) else ""
        return error_response(422, str(error), kind)

    @api.exception_handler(RequestValidationError)
    async def of_schema(_: Request, error: RequestValidationError) -> Response:
        return error_response(422, first_line(error.errors()))

    @api.exception_handler(HTTPException)
    async def of_framework(_: Request, error: HTTPException) -> Response:
        if error.status_code == 400:
            return error_response(400, "body: expected JSON, or a form with files")
        return error_response(error.status_code, f"request: {error.detail}")

    @api.exception_handler(Exception)
    async def of_program(_: Request, error: Exception) -> JSONResponse:
        # Its text may hold what was sent: only its kind is logged.
        _LOGGER.error("unexpected %s while answering", type(error).__name__)
        return error_response(500, "service: an unexpected error; it has been logged")
