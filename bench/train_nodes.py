"""A training on two Ray nodes with addresses of their own, one of which is cut off in mid-step.

Each node lives in its own network namespace behind a bridge (making them needs root), so that
taking its link down is what a pulled cable is: its processes go on, and nobody hears of them. The
training is elastic: it goes on with the node that is left, and with two again once the link is up.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.train_small import Run, _Task, build, digest
from truelead.config import TrainConfig

COMMAND = "make soak SECTION=train"
STEPS = 30
CUT_AT, BACK_AFTER = 10, 6
"""Step in which the link goes down; steps made alone before it comes back."""

LARGEST_DIFFERENCE = 1e-5
DEADLINE_SECONDS = 900.0
_BRIDGE, _LINK, _HEAD, _PORT = "tlbridge", "tl0", "10.87.0.1", 26379
_ENVIRONMENT = {
    # A silent node counts as lost somewhat sooner than by default.
    "RAY_health_check_initial_delay_ms": "20000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "15",
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "20",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_AUTH_MODE": "token",
    "GLOO_SOCKET_IFNAME": _LINK,
    "DS_ACCELERATOR": "cpu",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}


@dataclass(frozen=True)
class Node:
    """A network namespace with a link to the bridge, whose end there is `link`."""

    name: str
    link: str
    address: str

    def cut(self) -> None:
        """Take the link down."""
        _do("ip", "link", "set", self.link, "down")

    def join(self) -> None:
        """Take the link up."""
        _do("ip", "link", "set", self.link, "up")


def rows() -> list[dict[str, Any]]:
    """The cut training beside the undisturbed one."""
    with (
        tempfile.TemporaryDirectory(prefix="tl_") as scratch,
        _network() as nodes,
        _cluster(Path(scratch), nodes) as environment,
    ):
        whole = _train(Path(scratch) / "whole", environment)
        cut = _train(Path(scratch) / "cut", environment, cut=nodes[1])
    difference = max(abs(a - b) / abs(b) for a, b in zip(cut["loss"], whole["loss"], strict=True))
    workers = [int(n) for n in cut["workers"]]
    return [
        row(
            f"training on 2 nodes, one cut off in step {CUT_AT + 1} and back later: largest "
            f"relative difference of a step's loss from the undisturbed run's; workers by step "
            f"{_in_runs(workers)}; {cut['seconds_lost']:.0f} s from the cut to the next step",
            difference,
            "of the loss",
            COMMAND,
            goal=LARGEST_DIFFERENCE,
            holds=difference <= LARGEST_DIFFERENCE and 1 in workers and len(workers) == STEPS,
        )
    ]


def _in_runs(workers: list[int]) -> str:
    runs: list[list[int]] = []
    for count in workers:
        if runs and runs[-1][1] == count:
            runs[-1][0] += 1
        else:
            runs.append([1, count])
    return ", ".join(f"{steps} with {count}" for steps, count in runs)


def _train(folder: Path, environment: dict[str, str], cut: Node | None = None) -> dict[str, Any]:
    folder.mkdir()
    driver = subprocess.Popen(
        [sys.executable, "-m", "bench.train_nodes", str(folder)], env=environment
    )
    lost = 0.0
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        if cut is not None:
            _wait(driver, folder, CUT_AT, deadline)
            cut.cut()
            begun, before = time.monotonic(), _steps_begun(folder)
            _wait(driver, folder, before + 2, deadline)
            lost = time.monotonic() - begun
            _wait(driver, folder, before + BACK_AFTER, deadline)
            cut.join()
        if driver.wait(deadline - time.monotonic()):
            raise RuntimeError("the training on two nodes failed")
    finally:
        if driver.poll() is None:
            driver.kill()
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    taken: dict[int, int] = {}
    for line in (folder / "rows-0.jsonl").read_text().splitlines():
        step = json.loads(line)
        taken[step["step"]] = step["workers"]
    return found | {"workers": [taken[step] for step in sorted(taken)], "seconds_lost": lost}


def _steps_begun(folder: Path) -> int:
    path = folder / "rows-0.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def _wait(driver: subprocess.Popen[bytes], folder: Path, steps: int, deadline: float) -> None:
    while _steps_begun(folder) < steps:
        if driver.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the training on two nodes ended, or stood still, too early")
        time.sleep(0.05)


@contextlib.contextmanager
def _network() -> Iterator[list[Node]]:
    """A bridge and two nodes.

    Raises:
        OSError: they cannot be made here.
    """
    nodes = [Node(f"tlnode{n}", f"tlveth{n}", f"10.87.0.{n + 1}") for n in (1, 2)]
    try:
        _do("ip", "link", "add", _BRIDGE, "type", "bridge")
        _do("ip", "address", "add", f"{_HEAD}/24", "dev", _BRIDGE)
        _do("ip", "link", "set", _BRIDGE, "up")
        for node in nodes:
            inside = ("ip", "netns", "exec", node.name)
            _do("ip", "netns", "add", node.name)
            _do("ip", "link", "add", node.link, "type", "veth", "peer", "name", f"{node.link}p")
            _do("ip", "link", "set", f"{node.link}p", "netns", node.name, "name", _LINK)
            _do("ip", "link", "set", node.link, "master", _BRIDGE, "up")
            _do(*inside, "ip", "address", "add", f"{node.address}/24", "dev", _LINK)
            _do(*inside, "ip", "link", "set", _LINK, "up")
            _do(*inside, "ip", "link", "set", "lo", "up")
        yield nodes
    finally:
        for node in nodes:
            subprocess.run(["ip", "netns", "delete", node.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", _BRIDGE], check=False, capture_output=True)


@contextlib.contextmanager
def _cluster(scratch: Path, nodes: list[Node]) -> Iterator[dict[str, str]]:
    """A head without CPUs for workers, and a node of one CPU in each namespace."""
    token = scratch / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    environment = os.environ | _ENVIRONMENT | {"RAY_AUTH_TOKEN_PATH": str(token)}
    here = str(Path(__file__).resolve().parent.parent)
    paths = [f"{here}/platform", here]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    ray = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
    memory = ("--object-store-memory", "100000000")
    address = f"{_HEAD}:{_PORT}"
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        started.append(
            subprocess.Popen(
                command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
            )
        )

    try:
        ports = ("--port", str(_PORT), "--dashboard-port", str(_PORT + 1))
        folder = ("--temp-dir", str(scratch / "r"))
        start(*ray, "--head", "--node-ip-address", _HEAD, *ports, *folder, "--num-cpus=0", *memory)
        _wait_for(address)
        for node in nodes:
            place = ("--address", address, "--node-ip-address", node.address)
            start("ip", "netns", "exec", node.name, *ray, *place, "--num-cpus=1", *memory)
        yield environment | {"RAY_ADDRESS": address}
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1.0):
            return
        time.sleep(0.2)
    raise RuntimeError(f"Ray's head does not answer at {address}")


def _do(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(
            f"{' '.join(command)}: expected the right to make network namespaces: {done.stderr}"
        )


class _SlowTask(_Task):
    """Steps long enough to be cut in two."""

    def loss(self, engine: Any, content: dict[str, Any]) -> Any:
        terms = super().loss(engine, content)
        time.sleep(0.4)
        return terms


def worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """One worker of Ray Train."""
    import ray.train

    from truelead.train.environment import prepare_worker

    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    prepare_worker(1)
    run = Run(Path(arguments["folder"]), STEPS, workers=workers, zero_stage=2)
    trainer = build(run, rank, workers)
    trainer.task = _SlowTask(run, rank, workers)  # type: ignore[assignment]
    trainer.fit()
    state = trainer.engine.full_state()
    return {"digest": digest(state)} if rank == 0 else {}


def drive(folder: Path) -> None:
    """Train on the cluster of `RAY_ADDRESS`, and write what came out."""
    import ray

    from truelead.data.ray_session import ensure_ray
    from truelead.train.launch import launch
    from truelead.train.metrics import read_metrics

    ensure_ray()
    while ray.cluster_resources().get("CPU", 0) < 2:
        time.sleep(0.2)
    train = TrainConfig(
        workers=2,
        min_workers=1,
        resize_seconds=5,
        max_failures=5,
        zero_stage=2,
        step_timeout_seconds=60,
    )
    found = launch(
        worker, {"folder": str(folder)}, train=train, folder=folder, title="nodes", steps=STEPS
    )
    found["loss"] = [one["loss"] for one in read_metrics(folder)]
    (folder / "result.json").write_text(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        drive(Path(sys.argv[1]))
    else:
        for found in rows():
            print(found)
