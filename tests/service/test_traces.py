"""Spans say where the time goes, and hold no word of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from truelead.errors import ConfigError
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.traces import otlp_tracer

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_and_its_parts_are_spans(
    send: Callable[..., httpx.Response], backend: Any, body: Callable[..., Any]
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_api(backend, Access(), tracer=provider.get_tracer("test"))
    question = "Is Mr Smith ill?"
    headers = {"traceparent": PARENT}
    answer = send("POST", "/v1/ask", app=app, json=body(0, question=question), headers=headers)
    assert answer.status_code == 200
    assert send("GET", "/smith", app=app).status_code == 404
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"read ECGs", "model", "POST /v1/ask", "GET unmatched"}
    whole = spans["POST /v1/ask"]
    assert f"{whole.context.trace_id:032x}" in PARENT
    assert dict(whole.attributes) == {
        "http.response.status_code": 200,
        "http.route": "/v1/ask",
        "truelead.request_id": answer.headers["X-Request-ID"],
    }
    for part in ("read ECGs", "model"):
        assert spans[part].parent.span_id == whole.context.span_id
    assert "smith" not in "".join(span.to_json() for span in spans.values()).lower()


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp", None)
    with pytest.raises(ConfigError, match=r"truelead\[traces\]"):
        otlp_tracer()
