"""The client against a small server of its own: retries, refusals, time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from truelead.errors import ServiceError
from truelead.service import client
from truelead.service.run import free_port
from truelead.service.wire import AskResponse, EcgSummary, Reliance
from truelead.types import Ecg

ANSWER = AskResponse(
    answer="no",
    answers=("no",),
    option_probabilities={"yes": 0.25, "no": 0.75},
    reliance=Reliance(
        nats=0.5, threshold=0.1, false_alarm_rate=0.05, rests_on_ecg=True, verdict="it does"
    ),
    ecgs=(EcgSummary(sampling_rate=100.0, seconds=10.0, sha256="0" * 64),),
    model="arm/finetune",
    model_digest="0" * 64,
    data_digest=None,
    truelead_version="0",
    request_id="0" * 32,
)


class Server:
    """Answers with the planned (status, body) in turn and remembers what was sent."""

    def __init__(self) -> None:
        self.plan: list[tuple[int, str]] = []
        self.sent: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.sent.append({"body": json.loads(body), "headers": dict(self.headers)})
                status, text = outer.plan.pop(0)
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: Any) -> None:
                return

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def refusal(status: int, message: str) -> tuple[int, str]:
    error = {"error": {"status": status, "kind": "x", "message": message}}
    return status, json.dumps(error)


def test_it_asks_again_while_the_service_is_overloaded(server: Server, ecgs: list[Ecg]) -> None:
    server.plan = [refusal(503, "busy"), refusal(429, "busy"), (200, ANSWER.model_dump_json())]
    answer = client.ask(
        server.url, ecgs[:2], "?", ["yes", "no"], token="a-token-of-20-chars.", model="ward-7"
    )
    assert answer == ANSWER
    assert len(server.sent) == 3
    first = server.sent[0]
    assert first["headers"]["Authorization"] == "Bearer a-token-of-20-chars."
    assert first["body"]["options"] == ["yes", "no"]
    assert first["body"]["model"] == "ward-7"
    assert len(first["body"]["ecgs"]) == 2
    assert "record_id" not in json.dumps(first["body"])


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (refusal(422, "ecgs: expected at most 2, found 3"), 422, "found 3"),
        (refusal(401, "authorization"), 401, "authorization"),
        ((500, "<html>"), 500, "HTTP 500"),
        ((200, "{}"), 502, "expected a TrueLead answer"),
    ],
)
def test_a_refusal_is_not_repeated(
    server: Server, ecgs: list[Ecg], answer: tuple[int, str], status: int, expected: str
) -> None:
    server.plan = [answer]
    with pytest.raises(ServiceError, match=expected) as refused:
        client.ask(server.url, ecgs[:1], "?")
    assert refused.value.status == status
    assert len(server.sent) == 1


def test_it_gives_up_after_three_attempts(server: Server, ecgs: list[Ecg]) -> None:
    server.plan = [refusal(503, "busy")] * 3
    with pytest.raises(ServiceError, match="busy"):
        client.ask(server.url, ecgs[:1], "?")
    assert len(server.sent) == 3


def test_nobody_there(ecgs: list[Ecg], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("truelead.service.client.time.sleep", waits.append)
    with pytest.raises(ServiceError, match="expected a running service"):
        client.ask(f"http://127.0.0.1:{free_port()}", ecgs[:1], "?")
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://[", ""])
def test_no_address_of_a_service(ecgs: list[Ecg], url: str) -> None:
    with pytest.raises(ServiceError, match="expected the http address"):
        client.ask(url, ecgs[:1], "?")
