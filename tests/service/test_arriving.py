"""Who is on the way: counted from the gate to the model, and never longer than the request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.arriving import Arriving

Body = Callable[..., dict[str, Any]]


class Counting:
    """Tells who was on the way before and after it said that a request had arrived."""

    def __init__(self, backend: Any, arriving: Arriving) -> None:
        self.backend = backend
        self.arriving = arriving
        self.seen: list[int] = []

    async def answer(self, inquiry: Any) -> Any:
        self.seen.append(len(self.arriving))
        self.arriving.arrived()
        self.seen.append(len(self.arriving))
        return await self.backend.answer(inquiry)


@pytest.mark.parametrize("good", [True, False])
def test_a_request_is_coming_until_it_arrives_or_ends(backend: Any, body: Body, good: bool) -> None:
    async def run() -> None:
        arriving = Arriving()
        counting = Counting(backend, arriving)
        transport = httpx.ASGITransport(
            create_api(counting, Access(), arriving=arriving), client=("127.0.0.1", 1)
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as caller:
            sent = body(0) if good else {**body(0), "ecgs": []}
            response = await caller.post("/v1/ask", json=sent)
        assert response.status_code == (200 if good else 422)
        assert counting.seen == ([1, 0] if good else [])
        assert len(arriving) == 0

    asyncio.run(run())
