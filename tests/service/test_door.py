"""The door answers over HTTP, shares its port, and answers what was asked before it closes."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import pytest
from fastapi import FastAPI, Request

from truelead.errors import ServiceError
from truelead.service.door import Door
from truelead.service.run import free_port


def slow_app(begun: list[str]) -> FastAPI:
    app = FastAPI()

    @app.get("/slow")
    async def slow(request: Request) -> str:
        begun.append("asked")
        await asyncio.sleep(0.5)
        return request.client.host if request.client else ""

    return app


def test_what_was_asked_is_answered_before_it_closes() -> None:
    port = free_port()
    begun: list[str] = []
    first, second = (Door(slow_app(begun), "127.0.0.1", port) for _ in range(2))
    first.open()
    second.open()
    found: list[httpx.Response] = []

    def ask() -> None:
        with httpx.Client(trust_env=False) as client:
            found.append(client.get(f"http://127.0.0.1:{port}/slow", timeout=20))

    callers = [threading.Thread(target=ask) for _ in range(6)]
    for caller in callers:
        caller.start()
    deadline = time.monotonic() + 20
    while len(begun) < len(callers) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.close()
    second.close()
    for caller in callers:
        caller.join()
    assert [response.json() for response in found] == ["127.0.0.1"] * 6
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as client:
        client.get(f"http://127.0.0.1:{port}/slow")


def test_an_address_that_is_not_here_is_refused() -> None:
    with pytest.raises(ServiceError, match="door: expected an address"):
        Door(slow_app([]), "192.0.2.1", free_port())
