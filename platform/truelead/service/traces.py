"""Traces of requests (OpenTelemetry), if asked for: where the time of an answer goes.

A span a request, named by its route, with a span each for reading the ECGs and for the model. Like
the log they hold no word of a request: routes, statuses and the request's id. Where to they go is
said by OpenTelemetry's own environment variables (OTEL_EXPORTER_OTLP_ENDPOINT and others); a
`traceparent` of the caller is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from truelead.errors import ConfigError

SERVICE = "truelead"


def otlp_tracer() -> Any:
    """A tracer that exports over OTLP.

    Raises:
        ConfigError: the extra `traces` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError("args: traces: expected `pip install truelead[traces]`") from None
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer(SERVICE)


class Traces:
    """ASGI middleware: a span around every request.

    Args:
        app: what is traced. tracer: of OpenTelemetry.
    """

    def __init__(self, app: ASGIApp, *, tracer: Any) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = Headers(scope=scope).get("traceparent")
        carrier = {} if parent is None else {"traceparent": parent}
        context = TraceContextTextMapPropagator().extract(carrier)
        with self.tracer.start_as_current_span(
            str(scope["method"]), context=context, kind=SpanKind.SERVER, record_exception=False
        ) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            scope["state"] = {**scope.get("state", {}), "tracer": self.tracer}
            await self.app(scope, receive, told)
            # The pattern of the route, never the path that was asked for.
            route = getattr(scope.get("route"), "path", "unmatched")
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("truelead.request_id", scope["state"].get("request_id", ""))


@contextmanager
def span(state: Any, name: str) -> Iterator[None]:
    """A part of a request's span; nothing where no traces are asked for.

    Args:
        state: of the request.
    """
    tracer = getattr(state, "tracer", None)
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name, record_exception=False):
        yield
