"""Answers a second of the service and of its peers, on one model in one run.

16 clients ask four questions about each of many ECGs, the first with an ECG that is new to the
service, all with the ECG's files (about 160 kB) in the request. All three services run at the same
time and are asked in turn, round after round, so that what else the machine does strikes all alike;
a ratio is the median of the rounds' ratios, with their range. All clients begin at once, each with
an ECG of its own; how long the last of them waits is a row, and the tails are those of the ECGs
after that. Measured with the reliance switched off everywhere, and with it on everywhere, which is
the service's default. Beside the time on the clock stands the CPU time an answer of a service with
all its processes, without the callers'.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import psutil

from bench.reported import row
from bench.serve_load import Outcome, Session, drive, sessions
from bench.serve_services import asks_free, local_ray, model_folder, peer, truelead_service

COMMAND = "make bench SECTION=serve"
CLIENTS = 16
QUESTIONS = 4
ECGS, ROUNDS = 96, 5
OURS = "TrueLead"
PEERS = ("one-at-a-time", "batching")
GOALS = {"one-at-a-time": 3.0, "batching": 1.5}
FOLLOW_UP_GOAL = 2.0


def rows() -> list[dict[str, Any]]:
    """Throughput and tails with the reliance off and on, and the cost of further questions."""
    found = []
    with model_folder() as folder, local_ray():
        for reliance in (False, True):
            found += compare(folder, reliance)
        found += follow_up_rows(folder)
    return found


def compare(
    folder: Any, reliance: bool, *, ecgs: int = ECGS, rounds: int = ROUNDS
) -> list[dict[str, Any]]:
    """The service beside its peers."""
    outcomes: dict[str, list[Outcome]] = {}
    cpu: dict[str, list[float]] = {}
    arguments = {"reliance": reliance}
    with (
        truelead_service(folder, arguments) as ours,
        peer(PEERS[0], folder, reliance=reliance) as first,
        peer(PEERS[1], folder, reliance=reliance) as second,
    ):
        urls = {OURS: ours, PEERS[0]: first, PEERS[1]: second}
        for url in urls.values():
            drive(url, _sessions(8, 0), CLIENTS)
        for number in range(rounds):
            for at, (name, url) in enumerate(urls.items()):
                work = _sessions(ecgs, 1 + 3 * number + at)
                before = _cpu_seconds()
                outcome = drive(url, work, CLIENTS)
                spent = _cpu_seconds() - before
                assert outcome.lost + len(outcome.refused) == 0, "every question is answered"
                outcomes.setdefault(name, []).append(outcome)
                cpu.setdefault(name, []).append(1000 * spent / len(outcome.seconds))
    label = f"16 clients, 4 questions an ECG, reliance {'on' if reliance else 'off'}"
    return [
        *(_of_service(label, name, outcomes[name], cpu[name]) for name in outcomes),
        *(_ratio_row(label, name, outcomes) for name in PEERS),
        *(_tail_row(label, name, outcomes) for name in PEERS),
        *(_start_row(label, name, outcomes) for name in PEERS),
    ]


def follow_up_rows(
    folder: Any, *, ecgs: int = 40, arguments: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What the first question about an ECG costs, and what a further one does."""
    with truelead_service(folder, arguments) as url:
        drive(url, sessions(8, QUESTIONS, seed=99, free=False), 1)
        found = []
        for by_reference in (False, True):
            work = sessions(ecgs, QUESTIONS, seed=100 + by_reference, free=False)
            outcome = drive(url, work, 1, by_reference=by_reference)
            first, further = outcome.quantile(0.5, 0), outcome.quantile(0.5, 1)
            how = "named by its reference" if by_reference else "sent again"
            found.append(
                row(
                    f"1 client: the first question costs as much as this many with a known ECG "
                    f"{how} ({1000 * first:.1f} ms, {1000 * further:.1f} ms)",
                    first / further,
                    "times",
                    COMMAND,
                    goal=FOLLOW_UP_GOAL,
                    holds=first >= FOLLOW_UP_GOAL * further,
                )
            )
    return found


def _sessions(count: int, seed: int) -> list[Session]:
    return sessions(count, QUESTIONS, seed=seed, free=asks_free())


def _of_service(
    label: str, name: str, outcomes: Sequence[Outcome], cpu: Sequence[float]
) -> dict[str, Any]:
    rates = [one.rate for one in outcomes]
    p50, p99 = (
        1000 * statistics.median(one.quantile(share, after=1) for one in outcomes)
        for share in (0.5, 0.99)
    )
    return row(
        f"{label}: {name} (p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
        f"{statistics.median(cpu):.1f} ms of CPU an answer)",
        statistics.median(rates),
        "answers/s",
        COMMAND,
        interval=[min(rates), max(rates)],
    )


def _ratio_row(label: str, name: str, outcomes: dict[str, list[Outcome]]) -> dict[str, Any]:
    ratios = [a.rate / b.rate for a, b in zip(outcomes[OURS], outcomes[name], strict=True)]
    value = statistics.median(ratios)
    return row(
        f"{label}: answers/s beside {name}",
        value,
        "times",
        COMMAND,
        goal=GOALS[name],
        holds=value >= GOALS[name],
        peer=f"FastAPI, {name}",
        interval=[min(ratios), max(ratios)],
    )


def _tail_row(label: str, name: str, outcomes: dict[str, list[Outcome]]) -> dict[str, Any]:
    pairs = zip(outcomes[OURS], outcomes[name], strict=True)
    ratios = [a.quantile(0.99, after=1) / b.quantile(0.99, after=1) for a, b in pairs]
    value = statistics.median(ratios)
    return row(
        f"{label}: p99 beside {name}",
        value,
        "times",
        COMMAND,
        goal=1.0,
        holds=value < 1.0,
        peer=f"FastAPI, {name}",
        interval=[min(ratios), max(ratios)],
    )


def _start_row(label: str, name: str, outcomes: dict[str, list[Outcome]]) -> dict[str, Any]:
    """Of the first answers, with which all clients begin at once, the last."""
    pairs = zip(outcomes[OURS], outcomes[name], strict=True)
    slowest = [(a.slowest_start(), b.slowest_start()) for a, b in pairs]
    ratios = [a / b for a, b in slowest]
    return row(
        f"{label}: the last of {CLIENTS} new ECGs sent at once "
        f"({1000 * statistics.median(a for a, _ in slowest):.0f} ms) beside {name}",
        statistics.median(ratios),
        "times",
        COMMAND,
        peer=f"FastAPI, {name}",
        interval=[min(ratios), max(ratios)],
    )


def _cpu_seconds() -> float:
    """CPU time of all processes that this one started, without its own."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


if __name__ == "__main__":
    for one in rows():
        print(one)
