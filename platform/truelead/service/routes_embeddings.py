"""The route that turns ECGs into vectors."""

from __future__ import annotations

import base64

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from truelead.service.body import JSON, read_json
from truelead.service.context import Context
from truelead.service.examples import embedding_example
from truelead.service.openapi import errors, reference
from truelead.service.wire_embeddings import Embedding, EmbeddingRequest, EmbeddingResponse
from truelead.types import Ecg

_BODY = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": reference(EmbeddingRequest), "example": embedding_example()}},
    }
}


def embedding_routes(context: Context) -> APIRouter:
    """The route, bound to an application's context."""
    router = APIRouter(tags=["openai"], responses=errors())

    @router.post("/v1/embeddings", openapi_extra=_BODY)
    async def embeddings(request: Request) -> EmbeddingResponse:
        """A vector of each ECG, from the encoder or as the language model sees it."""
        asked = await read_json(request, EmbeddingRequest)
        model = await context.in_time(request, lambda: context.chosen(asked.model))

        def decode() -> tuple[Ecg, ...]:
            read = context.known.read
            return tuple(read(one, where=f"input.{at}").ecg for at, one in enumerate(asked.input))

        ecgs = await run_in_threadpool(decode)
        found = await context.in_time(
            request, lambda: context.backend.embed(ecgs, asked.kind, model)
        )
        return EmbeddingResponse(
            data=tuple(
                Embedding(index=at, embedding=_encoded(vector, asked.encoding_format))
                for at, vector in enumerate(found.vectors)
            ),
            model=found.model.name,
            model_digest=found.model.digest,
            kind=asked.kind,
        )

    return router


def _encoded(vector: tuple[float, ...], encoding: str) -> tuple[float, ...] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")
