"""Overload, origins and deadlines: what the gate and the caller's clock refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.context import DEADLINE_HEADER

Send = Callable[..., httpx.Response]
Body = Callable[..., dict[str, Any]]


class Slow:
    """Answers when it is told to."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.asked = 0
        self.gone = 0
        self.open = asyncio.Event()

    async def answer(self, inquiry: Any) -> Any:
        self.asked += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.gone += 1
            raise
        return await self.backend.answer(inquiry)

    async def describe(self) -> Any:
        return await self.backend.describe()


def test_too_many_at_once_are_told_to_come_again(backend: Any, body: Body) -> None:
    async def run() -> None:
        slow = Slow(backend)
        app = create_api(slow, Access(), maximum_in_flight=2)
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as caller:
            first = [asyncio.create_task(caller.post("/v1/ask", json=body(0))) for _ in range(2)]
            while slow.asked < 2:
                await asyncio.sleep(0.01)
            refused = await caller.post("/v1/ask", json=body(0))
            assert refused.status_code == 429
            assert refused.headers["Retry-After"] == "1"
            assert refused.json()["error"]["kind"] == "overloaded"
            # Whoever watches the service still gets through.
            assert (await caller.get("/healthz")).status_code == 200
            assert (await caller.get("/readyz")).status_code == 200
            slow.open.set()
            assert [(await one).status_code for one in first] == [200, 200]
            assert (await caller.post("/v1/ask", json=body(0))).status_code == 200
            assert slow.asked == 3

    asyncio.run(run())


def test_a_deadline_of_the_caller_ends_the_wait(backend: Any, body: Body) -> None:
    async def run() -> None:
        slow = Slow(backend)
        app = create_api(slow, Access())
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as caller:
            late = await caller.post("/v1/ask", json=body(0), headers={DEADLINE_HEADER: "0.3"})
            assert late.status_code == 504
            assert "within 0.3 s" in late.json()["error"]["message"]
            assert (slow.asked, slow.gone) == (1, 1)
            slow.open.set()
            kept = await caller.post("/v1/ask", json=body(0), headers={DEADLINE_HEADER: "60"})
            assert kept.status_code == 200

    asyncio.run(run())


@pytest.mark.parametrize("text", ["0", "-1", "nan", "1e3", "soon", "99999", "1" * 5_000, ""])
def test_a_deadline_that_is_none_is_refused(send: Send, body: Body, text: str) -> None:
    response = send("POST", "/v1/ask", json=body(0), headers={DEADLINE_HEADER: text})
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith(f"{DEADLINE_HEADER}: expected seconds")


def test_pages_elsewhere_may_not_ask(send: Send, body: Body, backend: Any) -> None:
    for origin, status in (
        ("https://elsewhere.example", 403),
        ("null", 403),
        ("http://127.0.0.1:8001", 403),
        ("http://127.0.0.1:8000", 200),
    ):
        response = send("POST", "/v1/ask", json=body(0), headers={"Origin": origin})
        assert response.status_code == status, origin
        assert "access-control-allow-origin" not in response.headers
    preflight = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    refused = send("OPTIONS", "/v1/ask", headers=preflight)
    assert "access-control-allow-origin" not in refused.headers
    app = create_api(backend, Access(), allowed_origins=("https://elsewhere.example",))
    allowed = send("OPTIONS", "/v1/ask", headers=preflight, app=app)
    assert allowed.headers["access-control-allow-origin"] == "https://elsewhere.example"
    asked = send("POST", "/v1/ask", json=body(0), headers={"Origin": preflight["Origin"]}, app=app)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "https://elsewhere.example"
    other = send("POST", "/v1/ask", json=body(0), headers={"Origin": "https://b.example"}, app=app)
    assert other.status_code == 403
