"""What is logged and counted of a request: route, status, time, id, and nothing that was sent."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.batch_answering import BatchAnswerer
from truelead.service.metrics import ServiceMetrics
from truelead.service.request_record import LOGGER_NAME, RequestRecord, log_requests

Send = Callable[..., httpx.Response]
Body = Callable[..., dict[str, Any]]


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_one_line_a_request(
    send: Send, body: Body, backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER_NAME)
    app = create_api(backend, Access())
    responses = [
        send("POST", "/v1/ask?name=smith", json=body(0), app=app),
        send("GET", "/smith", app=app),
        send("GET", "/v1/models/smith", app=app),
        send("POST", "/v1/ask", json={"question": "smith"}, app=app),
        send("POST", "/v1/ask", json=body(0), app=app, client=("10.0.0.9", 1)),
    ]
    lines = [json.loads(record.message) for record in caplog.records if record.name == LOGGER_NAME]
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/ask", 200),
        ("unmatched", 404),
        ("/v1/models/{name:path}", 404),
        ("/v1/ask", 422),
        ("/v1/ask", 403),
    ]
    for line, response in zip(lines, responses, strict=True):
        assert set(line) == {"time", "route", "status", "milliseconds", "request_id"}
        assert line["request_id"] == response.headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", line["request_id"])
        assert line["milliseconds"] > 0
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert responses[0].json()["request_id"] == lines[0]["request_id"]
    assert "smith" not in caplog.text


def test_an_id_of_the_caller_is_not_taken_over(send: Send) -> None:
    response = send("GET", "/healthz", headers={"X-Request-ID": "smith"})
    assert response.headers["X-Request-ID"] != "smith"


def test_lines_go_to_standard_error_once() -> None:
    logger = logging.getLogger(LOGGER_NAME)
    before = list(logger.handlers), logger.level
    try:
        log_requests()
        log_requests()
        assert len(logger.handlers) == len(before[0]) + (not before[0])
    finally:
        logger.handlers[:], logger.level = before


def test_metrics_count_what_happened(
    send: Send, body: Body, calibrated_folder: Any, calibrated: Any
) -> None:
    fresh = type(calibrated)(calibrated_folder)
    assert isinstance(fresh.batch_answerer, BatchAnswerer)
    app = create_api(fresh, Access())
    for request in (body(0), body(0), body(0, 1), body(0, question="")):
        send("POST", "/v1/ask", json=request, app=app)
    response = send("GET", "/metrics", app=app)
    assert response.headers["content-type"].startswith("text/plain")
    found = samples(response.text)
    ask = (("route", "/v1/ask"),)
    assert found["truelead_requests_total", (*ask, ("status", "200"))] == 3
    assert found["truelead_requests_total", (*ask, ("status", "422"))] == 1
    assert found["truelead_request_seconds_count", ask] == 4
    assert found["truelead_ecg_encodings_total", ()] == 2
    assert found["truelead_ecg_cache_hits_total", ()] == 2
    assert found["truelead_batch_size_count", ()] == 3
    assert found["truelead_queue_seconds_count", ()] == 3
    assert found["truelead_requests_in_flight", ()] == 1  # this very request
    verdicts = [value for (name, _), value in found.items() if name == "truelead_answers_total"]
    assert sum(verdicts) == 3


def test_an_unexpected_error_is_counted_and_keeps_its_text(
    body: Body, backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        describe = backend.describe

        async def answer(self, inquiry: Any) -> Any:
            raise RuntimeError("smith")

    app = create_api(Broken(), Access())

    async def run() -> tuple[httpx.Response, httpx.Response]:
        # What reaches the server would be raised here; servers log it with its text.
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as caller:
            return await caller.post("/v1/ask", json=body(0)), await caller.get("/metrics")

    response, metrics = asyncio.run(run())
    assert response.status_code == 500
    assert response.json()["error"]["kind"] == "error"
    assert response.headers["X-Request-ID"]
    found = samples(metrics.text)
    assert found["truelead_requests_total", (("route", "/v1/ask"), ("status", "500"))] == 1
    assert found["truelead_requests_in_flight", ()] == 1
    assert "RuntimeError" in caplog.text
    assert "test_request_record.py" in caplog.text
    assert "smith" not in caplog.text + response.text


def test_an_answer_that_breaks_off_says_so_to_the_server_alone() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("smith")

    async def run() -> None:
        app = RequestRecord(breaks, metrics=ServiceMetrics(), routes=frozenset())
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        await app({"type": "http", "path": "/"}, receive, send)

    with pytest.raises(ConnectionAbortedError) as broken:
        asyncio.run(run())
    assert "smith" not in str(broken.value)
    assert broken.value.__suppress_context__
