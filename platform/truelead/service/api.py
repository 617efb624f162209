"""The HTTP interface, apart from Ray: the routes in their order, and errors in one form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from truelead import __version__
from truelead.errors import RecordError, ServiceError, TrueLeadError
from truelead.service import limits
from truelead.service.access import Access
from truelead.service.arriving import Arriving
from truelead.service.audit import AuditTrail
from truelead.service.chosen_model import chosen_model
from truelead.service.context import DEADLINE_HEADER, Backend, Context
from truelead.service.gate import Gate, error_response
from truelead.service.known_ecgs import KnownEcgs
from truelead.service.metrics import CONTENT_TYPE, ServiceMetrics
from truelead.service.openapi import document_bodies, errors
from truelead.service.page import page_routes
from truelead.service.request_record import RequestRecord
from truelead.service.routes_ask import ask_routes
from truelead.service.routes_catalogue import catalogue_routes
from truelead.service.routes_chat import chat_routes
from truelead.service.routes_embeddings import embedding_routes
from truelead.service.traces import Traces
from truelead.service.wire import Health, ModelEntry, ModelList
from truelead.service.wire_base import NOTICE
from truelead.service.wire_errors import first_line


def create_api(
    backend: Backend,
    access: Access,
    *,
    maximum_body_bytes: int = limits.MAXIMUM_BODY_BYTES,
    maximum_in_flight: int = limits.MAXIMUM_IN_FLIGHT,
    allowed_origins: Collection[str] = (),
    audit: AuditTrail | None = None,
    known: KnownEcgs | None = None,
    arriving: Arriving | None = None,
    on_close: Callable[[], object] = lambda: None,
    tracer: Any = None,
) -> FastAPI:
    """The application of a model, and perhaps adapters of it.

    Args:
        backend: answers the questions.
        access: who may ask.
        maximum_body_bytes: of one request.
        maximum_in_flight: requests that wait or are answered; more are answered 429.
        allowed_origins: web origins whose pages may ask; none but the service's own by default.
        audit: keeps the digests of each answer.
        known: keeps the ECGs that were sent last.
        arriving: counts the requests that have not reached the model yet.
        tracer: of OpenTelemetry; a span a request.
        on_close: called when the application ends, before what it keeps is written.
    """

    @asynccontextmanager
    async def until_closed(_: FastAPI) -> AsyncIterator[None]:
        yield
        on_close()
        if audit is not None:
            audit.close()

    # FastAPI's own document pages load scripts from elsewhere; /openapi.json needs nothing.
    api = FastAPI(
        title="TrueLead",
        version=__version__,
        description=f"Questions about one or two 12-lead ECGs. {NOTICE}",
        docs_url=None,
        redoc_url=None,
        lifespan=until_closed,
    )
    context = Context(backend, ServiceMetrics(), audit, known or KnownEcgs())
    _add_status_routes(api, context)
    routers = (
        ask_routes(context),
        chat_routes(context),
        embedding_routes(context),
        catalogue_routes(),
    )
    for router in routers:
        api.include_router(router)
    page_routes(api)
    document_bodies(api)
    _add_error_handlers(api)
    if tracer is not None:
        api.add_middleware(Traces, tracer=tracer)
    # The last one added is the outermost.
    api.add_middleware(
        Gate,
        access=access,
        maximum_body_bytes=maximum_body_bytes,
        maximum_in_flight=maximum_in_flight,
        allowed_origins=allowed_origins,
        arriving=arriving,
    )
    if allowed_origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", DEADLINE_HEADER],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    api.add_middleware(RequestRecord, metrics=context.metrics, routes=_paths(api.router, *routers))
    return api


def _add_status_routes(api: FastAPI, context: Context) -> None:
    @api.get("/healthz", tags=["health"])
    async def healthz() -> Health:
        """The service lives."""
        return Health(truelead_version=__version__)

    @api.get("/readyz", tags=["health"], responses=errors(503))
    async def readyz() -> Health:
        """A model is loaded and reachable."""
        await context.backend.describe()
        return Health(truelead_version=__version__)

    @api.get("/metrics", tags=["health"], response_class=Response, responses=errors(401, 403))
    async def metrics() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(context.metrics.text(), media_type=CONTENT_TYPE)

    @api.get("/v1/models", tags=["models"], responses=errors(401, 403, 503))
    async def models() -> ModelList:
        """The models that answer, with the digests of their weights."""
        found = await context.backend.models()
        entries = tuple(ModelEntry(id=one.name, created=one.created) for one in found)
        return ModelList(data=entries, models=found)

    @api.get("/v1/models/{name:path}", tags=["models"], responses=errors(401, 403, 404, 503))
    async def one_model(name: str) -> ModelEntry:
        """One model in OpenAI's schema."""
        found = chosen_model(name, await context.backend.models())
        return ModelEntry(id=found.name, created=found.created)


def _paths(*routers: APIRouter) -> frozenset[str]:
    """Patterns of the routes without parameters."""
    paths = (getattr(route, "path", "{") for router in routers for route in router.routes)
    return frozenset(path for path in paths if "{" not in path)


def _add_error_handlers(api: FastAPI) -> None:
    """Every refusal in one form, and never the values that were sent.

    What nobody expected is `RequestRecord`'s: a handler here would raise it again for the server,
    which logs its text.
    """

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
