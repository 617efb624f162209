"""Ray nodes with addresses of their own on one machine, whose links can be cut.

Each node lives in a network namespace behind a bridge; making them needs root.
"""

from __future__ import annotations

import contextlib
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

_BRIDGE, _LINK, _HEAD, _PORT = "tlbridge", "tl0", "10.87.0.1", 26379
_ENVIRONMENT = {
    # A silent node counts as lost somewhat sooner than by default.
    "RAY_health_check_initial_delay_ms": "20000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30",
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


@contextlib.contextmanager
def network() -> Iterator[list[Node]]:
    """A bridge and two nodes.

    Raises:
        OSError: they cannot be made here.
    """
    nodes = [Node(f"tlnode{n}", f"tlveth{n}", f"10.87.0.{n + 1}") for n in (1, 2)]
    _remove(nodes)  # what a run that was killed left
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
        _remove(nodes)


def _remove(nodes: list[Node]) -> None:
    for node in nodes:
        subprocess.run(["ip", "netns", "delete", node.name], check=False, capture_output=True)
        # A namespace whose processes still live keeps its end of the link.
        subprocess.run(["ip", "link", "delete", node.link], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", _BRIDGE], check=False, capture_output=True)


class Cluster:
    """A head without CPUs for workers, and a node of one CPU in each namespace."""

    def __init__(self, scratch: Path) -> None:
        token = scratch / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        here = str(Path(__file__).resolve().parent.parent)
        self._address = f"{_HEAD}:{_PORT}"
        self._started: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.mkdtemp(prefix="r", dir=scratch)
        self.environment = (
            os.environ
            | _ENVIRONMENT
            | {
                "RAY_AUTH_TOKEN_PATH": str(token),
                "PYTHONPATH": os.pathsep.join([f"{here}/platform", here]),
                "RAY_ADDRESS": self._address,
            }
        )

    def start_head(self) -> None:
        """Start the head, and wait until it answers."""
        ports = ("--port", str(_PORT), "--dashboard-port", str(_PORT + 1))
        place = ("--node-ip-address", _HEAD, "--temp-dir", self._folder)
        self._start("--head", *place, *ports, "--num-cpus=0")
        _wait_for(self._address)
        self._wait_for_sockets(0, "the head")

    def start_node(self, node: Node) -> None:
        """Start Ray in the node's namespace."""
        place = ("--address", self._address, "--node-ip-address", node.address)
        before = self._sockets()
        self._start(*place, "--num-cpus=1", inside=("ip", "netns", "exec", node.name))
        self._wait_for_sockets(before, node.name)

    def kill(self) -> None:
        """Kill everything that was started, as a power cut would."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _sockets(self) -> int:
        """Of the nodes that have come up.

        Nodes of one machine share a folder, and two that start at once take the same names in it.
        """
        return len(list((Path(self._folder) / "session_latest" / "sockets").glob("raylet*")))

    def _wait_for_sockets(self, before: int, name: str) -> None:
        for _ in range(1200):
            if self._sockets() > before:
                return
            time.sleep(0.2)
        raise RuntimeError(f"Ray does not start in {name}")

    def _start(self, *options: str, inside: tuple[str, ...] = ()) -> None:
        ray = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block")
        common = ("--disable-usage-stats", "--object-store-memory", "100000000")
        environment = {n: v for n, v in self.environment.items() if n != "RAY_ADDRESS"}
        self._started.append(
            subprocess.Popen(
                [*inside, *ray, *options, *common],
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
            )
        )


@contextlib.contextmanager
def cluster_of(scratch: Path, nodes: list[Node]) -> Iterator[Cluster]:
    cluster = Cluster(scratch)
    try:
        cluster.start_head()
        for node in nodes:
            cluster.start_node(node)
        yield cluster
    finally:
        cluster.kill()


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
