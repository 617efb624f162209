"""The ingress replica: the HTTP interface, with the model's replicas behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from truelead.errors import ServiceError, TrueLeadError
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.audit import AuditTrail
from truelead.service.exchange import Embedded, EmbeddingKind, Inquiry, Reply
from truelead.service.request_record import log_requests
from truelead.service.wire import ModelDescription
from truelead.types import Ecg

READY_WITHIN_SECONDS = 5.0
ATTEMPTS = 3
"""Of a question whose replica died; answering changes nothing, so it may be asked again."""


class ReplicaBackend:
    """The model deployment, as the HTTP interface sees it.

    Args:
        handle: of the model deployment.
        timeout_seconds: for one answer, queueing included.
    """

    def __init__(self, handle: DeploymentHandle, timeout_seconds: float) -> None:
        self._handle = handle
        self._timeout = timeout_seconds

    async def answer(self, inquiry: Inquiry) -> Reply:
        """The answer of a replica.

        Raises:
            TrueLeadError: the model cannot answer this.
            ServiceError: overloaded (429), no replica (503), or too late (504).
        """
        found = await self._call("answer", self._timeout, inquiry)
        if isinstance(found, TrueLeadError):
            raise found
        assert isinstance(found, Reply)
        return found

    async def embed(self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind) -> Embedded:
        """A vector of each ECG, by a replica.

        Raises:
            TrueLeadError, ServiceError: as `answer`.
        """
        found = await self._call("embed", self._timeout, ecgs, kind)
        if isinstance(found, TrueLeadError):
            raise found
        assert isinstance(found, Embedded)
        return found

    async def describe(self) -> ModelDescription:
        """The model, asked of a replica each time: that it answers is what makes it ready.

        Raises:
            ServiceError: no replica answers.
        """
        found = await self._call("describe", READY_WITHIN_SECONDS)
        assert isinstance(found, ModelDescription)
        return found

    async def _call(self, method: str, seconds: float, *arguments: Any) -> Any:
        deadline = time.monotonic() + seconds
        for attempt in range(ATTEMPTS):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await getattr(self._handle, method).remote(*arguments)
            except TimeoutError:
                raise ServiceError(
                    f"model: expected an answer within {seconds:g} s, found none", status=504
                ) from None
            except BackPressureError:
                raise ServiceError("model: too many questions wait", status=429) from None
            except (RayActorError, DeploymentUnavailableError):
                if attempt == ATTEMPTS - 1:
                    break
                await asyncio.sleep(0.2 * 2**attempt)
        raise ServiceError("model: no replica answers", status=503)


def api_builder(
    model: str,
    access: Access,
    *,
    timeout_seconds: float,
    maximum_body_bytes: int,
    maximum_in_flight: int,
    allowed_origins: Collection[str] = (),
    audit: str | None = None,
) -> Callable[[], FastAPI]:
    """What Serve calls in the ingress replica, which alone can reach the model's replicas.

    Args:
        model: name of the model deployment in the same application.
        access: who may ask.
        timeout_seconds: for one answer, queueing included.
        maximum_body_bytes: of one request.
        maximum_in_flight: requests that wait or are answered; more are answered 429.
        allowed_origins: web origins whose pages may ask, beside the service's own.
        audit: folder that takes the digests of each answer.
    """

    def make_api() -> FastAPI:
        log_requests()
        application = serve.get_replica_context().app_name
        handle = serve.get_deployment_handle(model, app_name=application)
        return create_api(
            ReplicaBackend(handle, timeout_seconds),
            access,
            maximum_body_bytes=maximum_body_bytes,
            maximum_in_flight=maximum_in_flight,
            allowed_origins=allowed_origins,
            audit=None if audit is None else AuditTrail(Path(audit)),
        )

    return make_api
