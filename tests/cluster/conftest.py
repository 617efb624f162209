"""One head for the tests of jobs, started as an operator does, with token authentication."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.job_submission import JobSubmissionClient

RAY = [sys.executable, "-m", "ray.scripts.scripts"]

_given: set[int] = set()


@pytest.fixture(scope="session")
def operator_environment() -> dict[str, str]:
    """Of the operator: the token and this Python first on the path, but neither this session's
    cluster nor its source tree."""
    kept = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "PYTHONPATH")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


@pytest.fixture(scope="package")
def address(operator_environment: dict[str, str]) -> Iterator[str]:
    """Of the dashboard of a cluster started as an operator does, on free ports.

    `ray.init` would give its agent, which starts the jobs, a fixed port: it is not free where
    another cluster runs on the machine.
    """
    folder = tempfile.mkdtemp(prefix="tl_")
    port = free_port()
    options = {
        "port": 0,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": port,
        "dashboard-agent-listen-port": 0,
        "ray-client-server-port": free_port(),
        "num-cpus": 2,
        "object-store-memory": 256 * 2**20,
        "temp-dir": folder,
    }
    with Path(folder, "start.log").open("wb") as log:
        head = subprocess.Popen(
            [*RAY, "start", "--head", "--block", *(f"--{k}={v}" for k, v in options.items())],
            # No node is left to take over work while this one drains.
            env={**operator_environment, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield f"http://127.0.0.1:{port}"
    head.terminate()
    head.wait(timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def client(address: str) -> JobSubmissionClient:
    """Of a cluster that is up: the dashboard answers, and so does the agent that starts jobs."""
    end = time.monotonic() + 120
    while True:
        try:
            client = JobSubmissionClient(address)
            client.submit_job(entrypoint="true")
        except (ConnectionError, RuntimeError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return client


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose generation takes seconds; JSON is YAML."""
    path = tmp_path / "recipe.yaml"
    tree = {
        "name": "submitted",
        "output": str(tmp_path / "run"),
        "generate": {"patients": 8, "ecgs_per_patient": 1.0},
    }
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def free_port() -> int:
    """A port that is free now, below those that Ray gives its workers.

    Drawn by chance: another session on the machine may be looking for one at the same moment.
    """
    for port in random.sample(range(8300, 9900), 1600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0 and port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no port is free")
