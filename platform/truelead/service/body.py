"""A request's body as a schema: JSON, or a form with files.

Parsed in a thread, since samples as numbers are megabytes of text. FastAPI's own parsing would hold
up every other request meanwhile, and knows one kind of body a route.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from truelead.errors import ServiceError
from truelead.service import limits
from truelead.service.upload import UploadedFile, ecgs_of_files
from truelead.service.wire_base import Wire
from truelead.service.wire_ecg import FileContent
from truelead.service.wire_errors import first_line

FORM, JSON = "multipart/form-data", "application/json"
FILES = "files"
_STATED = tuple(name for name in FileContent.model_fields if name not in ("name", "content"))
_NUMBERS = ("sampling_rate", "gain")
FORM_FIELDS = ("question", "options", "attribution", "model", FILES, *_STATED)

_Schema = TypeVar("_Schema", bound=Wire)


async def read_json(request: Request, schema: type[_Schema]) -> _Schema:
    """The JSON body of a request.

    Raises:
        ServiceError: 415 for another kind of body, 422 for no JSON or another schema.
    """
    if media_type(request) != JSON:
        raise ServiceError(f"content-type: expected {JSON}, found another", status=415)
    content = await request.body()
    return await run_in_threadpool(_parse, content, schema)


async def read_body(request: Request, schema: type[_Schema]) -> _Schema:
    """The body of a request, JSON or a form with files.

    Raises:
        ServiceError: 415 for another kind of body, 422 for another schema.
        RecordError: a file cannot be used.
    """
    if media_type(request) == JSON:
        return await read_json(request, schema)
    if media_type(request) != FORM:
        raise ServiceError(f"content-type: expected {JSON} or {FORM}, found another", status=415)
    fields, files = await _read_form(request)
    stated = {name: fields.pop(name) for name in _STATED if name in fields}

    def parse() -> _Schema:
        return validated({**fields, "ecgs": ecgs_of_files(files, stated)}, schema)

    return await run_in_threadpool(parse)


async def read_files(request: Request) -> list[dict[str, Any]]:
    """The ECGs of a form with nothing but files and what they do not say.

    Raises:
        ServiceError, RecordError: as `read_body`.
    """
    if media_type(request) != FORM:
        raise ServiceError(f"content-type: expected {FORM}, found another", status=415)
    fields, files = await _read_form(request)
    for name in fields:
        if name not in _STATED:
            raise ServiceError(f"{name}: expected no such field here")
    return await run_in_threadpool(ecgs_of_files, files, fields)


def media_type(request: Request) -> str:
    """The kind of body that a request says it has, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def validated(tree: object, schema: type[_Schema]) -> _Schema:
    """The tree as the schema has it.

    Raises:
        ServiceError: 422; one line names the field, never its value.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        raise ServiceError(first_line(errors)) from None


def _parse(content: bytes, schema: type[_Schema]) -> _Schema:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        raise ServiceError("body: expected JSON, found another text") from None
    return validated(tree, schema)


async def _read_form(request: Request) -> tuple[dict[str, Any], list[UploadedFile]]:
    form: FormData
    async with request.form(
        max_files=limits.MAXIMUM_FILES, max_fields=limits.MAXIMUM_FORM_FIELDS
    ) as form:
        fields: dict[str, Any] = {}
        files: list[UploadedFile] = []
        for name, value in form.multi_items():
            if name not in FORM_FIELDS:
                raise ServiceError(
                    f"form: expected only the fields {', '.join(FORM_FIELDS)}, "
                    "found one of another name"
                )
            if isinstance(value, UploadFile) != (name == FILES):
                kind = "files" if name == FILES else "text"
                raise ServiceError(f"{name}: expected {kind}, found another")
            if isinstance(value, UploadFile):
                if len(value.filename or "") > limits.MAXIMUM_FILE_NAME_CHARACTERS:
                    raise ServiceError("files: expected shorter names")
                files.append(UploadedFile(value.filename or "", await value.read()))
            elif (name == "model" or name in _STATED) and not value:
                continue  # an input of a web form that was left empty
            elif name == "options":
                fields.setdefault("options", []).append(value)
            elif name in fields:
                raise ServiceError(f"{name}: expected it once")
            else:
                fields[name] = _field(name, value)
    return fields, files


def _field(name: str, text: str) -> object:
    if name == "leads":
        return [lead.strip() for lead in text.split(",")]
    if name == "attribution":
        if text not in ("true", "false"):
            raise ServiceError("attribution: expected true or false")
        return text == "true"
    if name in _NUMBERS:
        try:
            return float(text)
        except ValueError:
            raise ServiceError(f"{name}: expected a number") from None
    return text
