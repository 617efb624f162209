"""An encoder of its own, more replicas under load, and no answer lost when one is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.serve_endurance import REPLICA_TITLE, processes
from bench.serve_load import Outcome, drive, sessions
from truelead.model.answering import Answerer, Ask
from truelead.service.client import ask
from truelead.service.run import APPLICATION, free_port, serve_model, stop
from truelead.types import Ecg

pytestmark = [pytest.mark.ray, pytest.mark.slow]

WITHIN_SECONDS = 90.0


@pytest.fixture(scope="module")
def url(ray_cluster: Any, model_folder: Path) -> Iterator[str]:
    address = serve_model(
        model_folder,
        port=free_port(),
        block=False,
        arguments={
            "cpus_per_replica": 0.5,
            "replicas": {
                "minimum": 1,
                "maximum": 2,
                "target_ongoing_requests": 0.5,
                "upscale_delay_seconds": 0.2,
                "downscale_delay_seconds": 1.0,
            },
            "encoder": {"cpus_per_replica": 0.5},
        },
    )
    yield address
    stop()


def replicas(deployment: str = "Model") -> int:
    from ray import serve

    states = serve.status().applications[APPLICATION].deployments[deployment].replica_states
    return int(states.get("RUNNING", 0))


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def test_an_encoder_of_its_own_gives_the_models_answers(
    url: str, answerer: Answerer, ecgs: list[Ecg]
) -> None:
    assert replicas("Encoder") == 1
    for shown in (ecgs[:1], ecgs[:1], ecgs[1:3]):
        found = ask(url, shown, "What changed?", ("yes", "no"))
        [expected] = answerer.answer([Ask(tuple(shown), "What changed?", ("yes", "no"))])
        assert found.option_probabilities == pytest.approx(expected.option_probabilities, abs=1e-5)


def test_replicas_follow_the_load_and_the_death_of_one_loses_nothing(url: str) -> None:
    assert replicas() == 1
    over = threading.Event()
    found: list[Outcome] = []
    work = sessions(8, 4, free=False) * 1000
    thread = threading.Thread(target=lambda: found.append(drive(url, work, 8, until=over.is_set)))
    thread.start()
    try:
        until(lambda: replicas() == 2)
        processes(REPLICA_TITLE)[0].kill()
        time.sleep(1.0)
        until(lambda: replicas() == 2)
    finally:
        over.set()
        thread.join()
    until(lambda: replicas() == 1)
    [outcome] = found
    assert outcome.lost + len(outcome.refused) == 0
    assert len(outcome.seconds) > 20
