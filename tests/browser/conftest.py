"""A headless Chromium, and the real service with a tiny model on a loopback port, without Ray."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.service.conftest import (  # noqa: F401  # fixtures
    LocalBackend,
    adapters,
    model_folder,
    stages,
)
from truelead.service.access import Access, token_sha256
from truelead.service.api import create_api

TOKEN = "0123456789abcdef-of-the-page"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; the tests are skipped, saying why, where it cannot be had."""
    pytest.importorskip("websockets", reason="websockets drives the browser; it is in [dev]")
    from tests.browser.chromium import Chromium, find_chromium

    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium or Chrome on the PATH: `apt-get install chromium` brings one")
    with Chromium(program) as browser:
        yield browser


@contextmanager
def served(api: Any) -> Iterator[str]:
    """The application behind a real HTTP server in a thread; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="session")
def page_backend(model_folder: Path) -> LocalBackend:  # noqa: F811
    return LocalBackend(model_folder)


@pytest.fixture(scope="session")
def address(page_backend: LocalBackend) -> Iterator[str]:
    """Of a service without a token."""
    with served(create_api(page_backend, Access())) as url:
        yield url


@pytest.fixture
def guarded_address(page_backend: LocalBackend) -> Iterator[str]:
    """Of a service that asks for `TOKEN`."""
    with served(create_api(page_backend, Access(token_sha256(TOKEN)))) as url:
        yield url


@pytest.fixture
def page(chromium: Any, address: str) -> Callable[..., Any]:
    """The page, freshly opened at a size; the example is drawn when this returns."""

    def open_page(width: int = 1280, height: int = 900, **options: Any) -> Any:
        chromium.complaints.clear()
        chromium.resize(width, height, **options)
        chromium.open(address + "/", "document.querySelector('.caption').textContent")
        return chromium

    return open_page
