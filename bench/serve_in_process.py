"""The service's application with its model in this process, without Ray: to be sent anything."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from truelead.errors import TrueLeadError
from truelead.service.access import Access, token_sha256
from truelead.service.api import create_api
from truelead.service.batch_answering import BatchAnswerer
from truelead.service.exchange import Embedded, EmbeddingKind, Inquiry, Reply
from truelead.service.wire import ModelDescription
from truelead.types import Ecg

TOKEN = "correct-horse-battery"  # noqa: S105  (guards nothing)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class InProcessBackend:
    """A model that answers in this process."""

    def __init__(self, folder: Path) -> None:
        self.batch_answerer = BatchAnswerer(folder)

    async def answer(self, inquiry: Inquiry) -> Reply:
        """The answer to one question."""
        [found] = self.batch_answerer.answer_all([inquiry])
        if isinstance(found, TrueLeadError):
            raise found
        assert isinstance(found, Reply), "ECGs are always sent whole"
        if inquiry.attribution:
            found = replace(found, attribution=self.batch_answerer.attribute(inquiry, found))
        return found

    async def embed(self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind, model: str = "") -> Embedded:
        """A vector of each ECG."""
        return self.batch_answerer.embed(ecgs, kind)

    async def models(self) -> tuple[ModelDescription, ...]:
        """The model, which is the only one."""
        return (self.batch_answerer.description,)

    async def describe(self) -> ModelDescription:
        """The model."""
        return self.batch_answerer.description

    async def described(self) -> ModelDescription:
        """The model."""
        return self.batch_answerer.description


def application(folder: Path, *, maximum_body_bytes: int = 2**21) -> FastAPI:
    """The application with a token (`TOKEN`)."""
    access = Access(token_sha256(TOKEN))
    return create_api(InProcessBackend(folder), access, maximum_body_bytes=maximum_body_bytes)


class Sender:
    """Sends requests to an application without any server, all in one event loop."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._runner = asyncio.Runner()

    def __call__(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request with the token."""
        headers = {**BEARER, **arguments.pop("headers", {})}
        return self._runner.run(self._send(method, path, headers=headers, **arguments))

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        base = "http://127.0.0.1:8000"
        async with httpx.AsyncClient(transport=self._transport, base_url=base) as caller:
            return await caller.request(method, path, **arguments)
