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


def test_two_are_read_at_a_time_in_their_order() -> None:
    async def run() -> list[str]:
        arriving = Arriving()
        said: list[str] = []

        async def one(name: str, body_bytes: int = 100) -> None:
            with arriving.request():
                async with arriving.turn(body_bytes):
                    said.append(f"{name} read")
                    await asyncio.sleep(0.01)
                    said.append(f"{name} asks")
                    arriving.arrived()
                    await asyncio.sleep(0.05)
                    said.append(f"{name} done")

        await asyncio.gather(*map(one, "abc"), one("large", 2**21), one("empty", 0))
        assert len(arriving) == 0
        await one("next")
        return said

    said = asyncio.run(run())
    # Who has no body to be read, or a large one, waits for nobody; c waits for a or b, who have
    # asked by then and are not done.
    assert said[:4] == ["a read", "b read", "large read", "empty read"]
    assert said.index("a asks") < said.index("c read") < said.index("a done")
    assert said[-1] == "next done"


def test_a_request_that_is_refused_while_it_is_read_gives_its_turn_back() -> None:
    async def run() -> None:
        arriving = Arriving()
        for _ in range(5):
            with pytest.raises(ValueError, match="no"), arriving.request():
                async with arriving.turn(100):
                    raise ValueError("no")
        async with asyncio.timeout(1.0):
            with arriving.request():
                async with arriving.turn(100):
                    pass

    asyncio.run(run())
