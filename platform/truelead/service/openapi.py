"""The OpenAPI document: errors, examples, and the schemas of bodies that routes read themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from truelead.service.wire import AskRequest, CompareRequest, ErrorResponse
from truelead.service.wire_base import Wire
from truelead.service.wire_chat import ChatRequest
from truelead.service.wire_ecg import FileContent
from truelead.service.wire_embeddings import EmbeddingRequest

_REFERENCE = "#/components/schemas/{model}"
_BODIES: tuple[type[Wire], ...] = (
    AskRequest,
    CompareRequest,
    ChatRequest,
    EmbeddingRequest,
    FileContent,
)
_STATUSES = {
    400: "the body is no form",
    401: "no bearer token",
    403: "wrong token, or no token and not on this machine, or a page of another origin",
    404: "no such model or example",
    413: "the body is too large",
    415: "the body is of another kind than JSON or a form",
    422: "a field or an ECG is not what was expected",
    429: "overloaded; try again after Retry-After seconds",
    503: "no model is ready; try again after Retry-After seconds",
    504: "no answer in time",
}


def errors(*only: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route: all of them, or only these."""
    return {
        status: {"model": ErrorResponse, "description": description}
        for status, description in _STATUSES.items()
        if not only or status in only
    }


def reference(schema: type[Wire]) -> dict[str, str]:
    """Where the document has a body's schema."""
    return {"$ref": _REFERENCE.format(model=schema.__name__)}


def form_schema(*, question: bool) -> dict[str, Any]:
    """The schema of a form with files."""
    binary = {"type": "string", "format": "binary"}
    asked: dict[str, Any] = {
        "question": {"type": "string"},
        "options": {"type": "array", "items": {"type": "string"}},
        "attribution": {"type": "string", "enum": ["true", "false"]},
        "model": {"type": "string", "description": "a name of /v1/models"},
    }
    stated = {
        name: {"type": "string", "description": field.description or "where the file is silent"}
        for name, field in FileContent.model_fields.items()
        if name not in ("name", "content")
    }
    files = {"type": "array", "items": binary, "description": "of one or two ECGs, in order"}
    return {
        "type": "object",
        "properties": {**(asked if question else {}), "files": files, **stated},
        "required": ["question", "files"] if question else ["files"],
    }


def document_bodies(api: FastAPI) -> None:
    """Add the schemas of the bodies that routes read themselves to the application's document."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(
                title=api.title,
                version=api.version,
                description=api.description,
                routes=api.routes,
                tags=api.openapi_tags,
            )
            _, bodies = models_json_schema(
                [(schema, "validation") for schema in _BODIES], ref_template=_REFERENCE
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in bodies["$defs"].items():
                schemas.setdefault(name, schema)
            api.openapi_schema = made
        return api.openapi_schema

    # FastAPI's documented way to extend the document.
    api.openapi = document  # type: ignore[method-assign]
