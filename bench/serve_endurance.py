"""The service over a long time: steady load, memory, killed replicas, updates of the model.

Every measurement is a function whose parameters make it short; the defaults are the long form.
Callers repeat what does not reach the service or is refused for overload, as the client of
`truelead.service.client` does; an answer is lost when none comes within a minute.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from safetensors.torch import load_file, save_file

from bench.reported import row
from bench.serve_load import Outcome, drive, sessions
from bench.serve_services import local_ray, model_folder, truelead_service, untrained

COMMAND = "make soak SECTION=serve"
CLIENTS, QUESTIONS = 16, 4
LARGEST_TAIL, LARGEST_GROWTH = 3.0, 2.0
SMALL_CACHES = {"cache_mebibytes": 8, "prefix_cache_mebibytes": 8, "known_mebibytes": 8}
"""So that they are full before the memory is measured for the first time."""

REPLICA_TITLE = "ray::ServeReplica:truelead:Model"


def rows() -> list[dict[str, Any]]:
    """All long measurements."""
    with model_folder() as folder, local_ray():
        return [
            *steady_rows(folder),
            memory_row(folder),
            kill_row(folder),
            update_row(folder),
        ]


def steady_rows(
    folder: Path, *, seconds: float = 600.0, peak_ecgs: int = 100
) -> list[dict[str, Any]]:
    """Load at 70 % of the peak: errors, and the tail beside the median."""
    with truelead_service(folder, SMALL_CACHES) as url:
        drive(url, sessions(16, QUESTIONS, seed=1, free=False), CLIENTS)
        peak = drive(url, sessions(peak_ecgs, QUESTIONS, seed=2, free=False), CLIENTS).rate
        work = sessions(peak_ecgs, QUESTIONS, seed=3, free=False)
        rounds = 1 + int(seconds * 0.7 * peak / (peak_ecgs * QUESTIONS))
        deadline = time.monotonic() + seconds
        outcome = drive(
            url,
            # The same ECGs come round again after the small caches have forgotten them.
            work * rounds,
            CLIENTS,
            a_second=0.7 * peak,
            until=lambda: time.monotonic() > deadline,
        )
    errors = outcome.lost + len(outcome.refused)
    tail = outcome.quantile(0.99) / outcome.quantile(0.5)
    label = f"{outcome.wall_seconds:.0f} s at 70 % of the peak of {peak:.0f} answers/s"
    return [
        row(
            f"{label}: errors of {len(outcome.seconds)} ({outcome.again} asked again)",
            float(errors),
            "answers",
            COMMAND,
            goal=0.0,
            holds=errors == 0,
        ),
        row(
            f"{label}: p99 beside p50 ({1000 * outcome.quantile(0.5):.0f} ms)",
            tail,
            "times",
            COMMAND,
            goal=LARGEST_TAIL,
            holds=tail < LARGEST_TAIL,
        ),
    ]


def memory_row(
    folder: Path, *, requests: int = 50_000, warm_up: int = 5_000, ecgs: int = 200
) -> dict[str, Any]:
    """Growth of the memory of ingress and replicas over many requests."""
    work = sessions(ecgs, QUESTIONS, seed=5, free=False)
    with truelead_service(folder, SMALL_CACHES) as url:
        _ask_about(url, work, warm_up)
        before = _service_bytes()
        _ask_about(url, work, requests)
        after = _service_bytes()
    growth = 100 * (after / before - 1)
    return row(
        f"growth of the memory over {requests:,} requests ({before / 2**20:.0f} MiB before)",
        growth,
        "%",
        COMMAND,
        goal=LARGEST_GROWTH,
        holds=growth < LARGEST_GROWTH,
    )


def kill_row(
    folder: Path, *, seconds: float = 300.0, every: float = 3.0, replicas: int = 3
) -> dict[str, Any]:
    """Answers lost while a replica of the model is killed again and again."""
    arguments = {
        "replicas": {"minimum": replicas, "maximum": replicas},
        "cpus_per_replica": 0.2,
        "timeout_seconds": 60.0,
    }
    chance = random.Random(0)
    kills = 0
    with truelead_service(folder, arguments) as url, _load(url, seconds) as load:
        while load.running():
            time.sleep(every)
            victims = processes(REPLICA_TITLE)
            if victims and load.running():
                chance.choice(victims).send_signal(signal.SIGKILL)
                kills += 1
        outcome = load.outcome()
    return _lost_row(f"a replica killed {kills} times in {seconds:.0f} s", outcome)


def update_row(
    folder: Path, *, updates: int = 10, pause: float = 5.0, within: float = 300.0
) -> dict[str, Any]:
    """Answers lost while the model is replaced again and again by one of other weights."""
    from ray import serve

    from truelead.service.application import build
    from truelead.service.run import APPLICATION

    seen: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        twin = _other_weights(folder, Path(scratch) / "twin" / "finetune")
        arguments = {"ingress": {"minimum": 2, "maximum": 2}, "timeout_seconds": 60.0}
        with (
            truelead_service(folder, arguments) as url,
            _load(url, None, lambda answer: seen.add(answer["model_digest"])) as load,
        ):
            port = int(url.rpartition(":")[2])
            for number in range(updates):
                time.sleep(pause)
                tree = {
                    **arguments,
                    "cpus_per_replica": 0.5,
                    "model": str(folder if number % 2 else twin),
                    "door": {"port": port},
                }
                seen.clear()
                serve.run(build(tree), name=APPLICATION, route_prefix="/")
                _until(lambda: bool(seen), within)
            load.stop()
            outcome = load.outcome()
    return _lost_row(f"{updates} rolling updates", outcome)


def _lost_row(label: str, outcome: Outcome) -> dict[str, Any]:
    lost = outcome.lost + len(outcome.refused)
    return row(
        f"{label}: answers lost of {len(outcome.seconds) + lost} ({outcome.again} attempts "
        "repeated by the callers)",
        float(lost),
        "answers",
        COMMAND,
        goal=0.0,
        holds=lost == 0,
    )


class _Load:
    """Clients that ask in a thread until they are stopped or their time is over."""

    def __init__(
        self, url: str, seconds: float | None, check: Callable[[dict[str, Any]], None]
    ) -> None:
        self._stopped = threading.Event()
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._found: list[Outcome] = []
        work = sessions(64, QUESTIONS, seed=7, free=False)

        def endless() -> Iterator[Any]:
            while True:
                yield from work

        def ask() -> None:
            self._found.append(
                drive(url, endless(), CLIENTS // 2, until=self._over, check=check)  # type: ignore[arg-type]
            )

        self._thread = threading.Thread(target=ask, daemon=True)
        self._thread.start()

    def running(self) -> bool:
        return self._thread.is_alive() and not self._over()

    def stop(self) -> None:
        self._stopped.set()

    def outcome(self) -> Outcome:
        self._thread.join()
        return self._found[0]

    def _over(self) -> bool:
        late = self._deadline is not None and time.monotonic() > self._deadline
        return self._stopped.is_set() or late


@contextmanager
def _load(
    url: str, seconds: float | None, check: Callable[[dict[str, Any]], None] = lambda _: None
) -> Iterator[_Load]:
    load = _Load(url, seconds, check)
    try:
        yield load
    finally:
        load.stop()


def _ask_about(url: str, work: list[Any], requests: int) -> None:
    rounds = -(-requests // (len(work) * QUESTIONS))
    outcome = drive(url, work * rounds, CLIENTS)
    assert outcome.lost + len(outcome.refused) == 0, "every question is answered"


def _other_weights(folder: Path, twin: Path) -> Path:
    """A copy of the model that is another one by its digest, and uncalibrated therefore."""
    shutil.copytree(folder, twin)
    path = twin / "model.safetensors"
    state = load_file(path)
    name = sorted(state)[0]
    state[name] = state[name] * 1.001
    save_file(state, path, metadata={"format": "pt"})
    return twin


def processes(title: str) -> list[psutil.Process]:
    """Processes that this one started whose title holds these words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if title in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _service_bytes() -> int:
    return sum(one.memory_full_info().pss for one in processes("ray::ServeReplica:truelead"))


def _until(happened: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError("the updated model does not answer")
        time.sleep(0.1)


def short_rows() -> list[dict[str, Any]]:
    """The same in a few minutes: `python -m bench.serve_endurance`."""
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch, local_ray():
        folder = untrained(Path(scratch) / "bench" / "finetune")
        return [
            *steady_rows(folder, seconds=20, peak_ecgs=20),
            memory_row(folder, requests=800, warm_up=400, ecgs=50),
            kill_row(folder, seconds=30),
            update_row(folder, updates=2, pause=2.0),
        ]


if __name__ == "__main__":
    for one in short_rows():
        print(one)
