"""A misbehaving server, a small set, and a download without long waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.fetch.loopback_server import LoopbackServer, loopback_server
from truelead.data.fetch import FetchOptions, FetchResult, fetch_set, resolve_set
from truelead.data.fetch.retry import Patience

QUICK = Patience(
    attempts=4, first_delay_seconds=0.005, longest_delay_seconds=0.02, stall_seconds=3.0
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, no credentials of the developer's."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("TRUELEAD_FETCH_USER", "TRUELEAD_FETCH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        yield running


@pytest.fixture
def content() -> dict[str, bytes]:
    """Names as PhysioNet lists them, with bytes that no two files share."""
    rng = np.random.default_rng(5)
    names = ["RECORDS", "ptbxl_database.csv"]
    names += [f"records100/00000/{i:05d}_lr.{end}" for i in range(2) for end in ("hea", "dat")]
    return {name: rng.bytes(40_000 + 777 * i) for i, name in enumerate(names)}


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., FetchResult]:
    """fetch(url, patience=..., **options) into tmp_path/out."""

    def run(url: str, *, patience: Patience = QUICK, **options: Any) -> FetchResult:
        settings = FetchOptions(patience=patience, **options)
        return fetch_set(resolve_set(url), tmp_path / "out", settings)

    return run


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """What lies below tmp_path/out: name -> bytes."""

    def read() -> dict[str, bytes]:
        root = tmp_path / "out"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }

    return read
