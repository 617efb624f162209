"""A process group of one, so that the engine runs inside the test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def process_group() -> Iterator[None]:
    import torch.distributed as dist

    if dist.is_initialized():  # by a stage that was trained in this process
        yield
        return
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    yield
    dist.destroy_process_group()


@pytest.fixture
def one_worker(process_group: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a launcher would set for the only worker."""
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
