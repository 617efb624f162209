"""The ingress replica: the HTTP interface, with the model's replicas behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from fastapi import FastAPI
from ray import serve

from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.arriving import Arriving
from truelead.service.audit import AuditTrail
from truelead.service.batcher import BatchBounds
from truelead.service.door import Door
from truelead.service.known_ecgs import KnownEcgs
from truelead.service.replica_backend import ReplicaBackend
from truelead.service.request_record import log_requests
from truelead.service.traces import otlp_tracer


def api_builder(
    model: str,
    access: Access,
    *,
    timeout_seconds: float,
    maximum_body_bytes: int,
    maximum_in_flight: int,
    allowed_origins: Collection[str] = (),
    audit: str | None = None,
    bounds: BatchBounds | None = None,
    known_bytes: int = 0,
    door: tuple[str, int] | None = None,
    encoder: str | None = None,
    traces: bool = False,
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
        bounds: of the questions that go to a replica with one call.
        known_bytes: of the samples of the ECGs that are kept.
        door: host and port to listen on, past Serve's proxy.
        encoder: name of the encoder's deployment, where it is one of its own.
        traces: whether requests are traced.
    """

    def make_api() -> FastAPI:
        log_requests()
        application = serve.get_replica_context().app_name
        handle = serve.get_deployment_handle(model, app_name=application)
        encoding = None
        if encoder is not None:
            encoding = serve.get_deployment_handle(encoder, app_name=application)
        arriving = Arriving()
        opened: list[Door] = []

        def close_doors() -> None:
            for one in opened:
                one.close()

        api = create_api(
            ReplicaBackend(handle, timeout_seconds, bounds, encoding, arriving),
            access,
            maximum_body_bytes=maximum_body_bytes,
            maximum_in_flight=maximum_in_flight,
            allowed_origins=allowed_origins,
            audit=None if audit is None else AuditTrail(Path(audit)),
            known=KnownEcgs(known_bytes),
            arriving=arriving,
            on_close=close_doors,
            tracer=otlp_tracer() if traces else None,
        )
        if door is not None:
            opened.append(Door(api, *door))
            opened[0].open()
        return api

    return make_api
