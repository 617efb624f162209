"""Start and stop what the serving benchmark asks: TrueLead's service and its peers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from truelead.config import parse_recipe
from truelead.model.answering import Answerer
from truelead.model.build import build_model, save_model
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest, signal_digest
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.service.run import free_port, serve_model, stop

REFERENCES = 16
READY_WITHIN_SECONDS = 300.0
VARIABLE = "TRUELEAD_BENCH_MODEL"


@contextlib.contextmanager
def model_folder() -> Iterator[Path]:
    """A calibrated model: that of $TRUELEAD_BENCH_MODEL, or an untrained one of the default size.

    How fast a model answers does not depend on what its weights say, but for the length of free
    answers: those of an untrained model are cut at its bound of tokens, so the benchmark asks it
    closed questions only (`asks_free`).
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield Path(given)
        return
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        yield untrained(Path(scratch) / "bench" / "finetune")


def asks_free() -> bool:
    """Whether free questions are asked too: only of a trained model."""
    return VARIABLE in os.environ


def untrained(folder: Path) -> Path:
    """A model of the recipes' default sizes with reference ECGs of noise beside it."""
    import numpy as np
    import torch

    from bench.serve_load import CLOSED, FREE, OPTIONS

    model, processor = build_model(parse_recipe({"name": "bench"}), None, [*CLOSED, FREE, *OPTIONS])
    save_model(folder, model.eval(), processor)
    answerer = Answerer.from_pretrained(folder)
    ecg_RLT = np.random.default_rng(1).normal(0, 1, (REFERENCES, 12, 1000)).astype(np.float32)
    with torch.inference_mode():
        features_RPD = answerer.model.encode(torch.from_numpy(ecg_RLT)).numpy().astype(np.float16)
    references = ReferenceEcgs(features_RPD, tuple(signal_digest(ecg) for ecg in ecg_RLT))
    references.save(folder)
    RelianceThreshold(
        closed=-0.01,
        free=0.0,
        false_alarm_rate=0.05,
        answers=100,
        patients=50,
        model=model_digest(folder),
        references=references.digest,
    ).save(folder)
    return folder


@contextlib.contextmanager
def local_ray(cpus: int = 4) -> Iterator[None]:
    """A Ray session of this process alone; called before anything imports ray.

    Its workers have the priority that the peers have (`ensure_ray`).
    """
    from truelead.data.ray_session import ensure_ray

    ensure_ray(cpus=cpus, object_store_bytes=300 * 2**20)
    try:
        yield
    finally:
        import ray

        ray.shutdown()


@contextlib.contextmanager
def truelead_service(folder: Path, arguments: Mapping[str, Any] | None = None) -> Iterator[str]:
    """TrueLead's service in the running Ray session; its address."""
    given = {"cpus_per_replica": 0.5, **(arguments or {})}
    url = serve_model(folder, port=free_port(), block=False, arguments=given)
    try:
        yield url
    finally:
        stop()


@contextlib.contextmanager
def peer(name: str, folder: Path, *, reliance: bool, threads: int = 1) -> Iterator[str]:
    """A peer of `bench.serve_peers` in a process of its own; its address."""
    port = free_port()
    command = [sys.executable, "-m", "bench.serve_peers", name, str(folder), str(port)]
    command += ["--threads", str(threads)]
    process = subprocess.Popen([*command, "--reliance"] if reliance else command)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"{url}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the peer does not answer")
