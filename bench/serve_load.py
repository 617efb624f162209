"""Questions to a service from several clients at once, and what became of each.

A client asks, waits for the answer, and asks the next; one that keeps a rate asks by the clock
instead. Requests are made before the clock runs and go over kept connections, so the callers cost
little. An ECG is sent as its WFDB files in base64, 10 s at 500 Hz; the questions about it follow
one another, the first with the ECG. A request that does not reach the service (the connection is
refused or broken before an answer) or that is answered 429 or 503 is sent again, as
`truelead.service.client` does; it is lost when no answer comes within `GIVE_UP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from truelead.signal import write_record
from truelead.types import Ecg

OPTIONS = ("yes", "no")
CLOSED = (
    "Does this ECG show symptoms of atrial fibrillation?",
    "Is there any sign of infarction?",
    "Does this ECG show a normal rhythm?",
)
FREE = "What rhythm does this ECG show?"
GIVE_UP_SECONDS = 60.0
_AGAIN = (429, 503)


@dataclass
class Outcome:
    """What became of the questions.

    Attributes:
        seconds: of each answer, from the first attempt on. places: of each, which question of its
            ECG it was. rounds: of each, the how manieth ECG of its client it was about. begun: when
            each was asked, in seconds from the start.
        lost: without an answer. refused: answered by an error other than those asked again.
        again: attempts that were repeated.
        wall_seconds: of the whole run.
    """

    seconds: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    lost: int = 0
    refused: list[int] = field(default_factory=list)
    again: int = 0
    wall_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.wall_seconds

    def quantile(self, share: float, place: int | None = None, after: int = 0) -> float:
        """Seconds within which this share of answers came.

        Args:
            place: 0 for the first questions about an ECG alone, 1 for the others.
            after: ECGs of each client that are left out, since all clients begin at once.
        """
        chosen = [
            value
            for value, at, number in zip(self.seconds, self.places, self.rounds, strict=True)
            if number >= after and (place is None or (at > 0) == (place > 0))
        ]
        return float(np.quantile(chosen, share))

    def slowest_start(self) -> float:
        """Seconds of the last of the questions with which the clients began."""
        rows = zip(self.seconds, self.rounds, self.places, strict=True)
        return max(value for value, number, place in rows if number == place == 0)


@dataclass(frozen=True)
class Session:
    """One ECG and the bodies of the questions about it, in order."""

    bodies: tuple[bytes, ...]


def sessions(count: int, questions: int, *, seed: int = 0, free: bool = True) -> list[Session]:
    """ECGs that nobody has sent before, and questions about each.

    Args:
        questions: an ECG; with `free` every fourth is answered in free words.
    """
    rng = np.random.default_rng(seed)
    made = []
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as folder:
        for _ in range(count):
            signal_LT = rng.normal(0, 300, (12, 5000)).round() / 1000
            path = write_record(folder, Ecg(signal_LT.astype(np.float32), 500.0), name="ecg")
            pair = {
                "header": base64.b64encode(path.with_suffix(".hea").read_bytes()).decode(),
                "signal": base64.b64encode(path.with_suffix(".dat").read_bytes()).decode(),
            }
            made.append(Session(tuple(_bodies(pair, questions, free))))
    return made


def _bodies(pair: dict[str, str], questions: int, free: bool) -> Iterator[bytes]:
    for at in range(questions):
        body: dict[str, Any] = {"ecgs": [{"wfdb": pair}]}
        if free and at % 4 == 3:
            body["question"] = FREE
        else:
            body |= {"question": CLOSED[at % len(CLOSED)], "options": OPTIONS}
        yield json.dumps(body).encode()


def drive(
    url: str,
    work: Sequence[Session],
    clients: int,
    *,
    by_reference: bool = False,
    a_second: float | None = None,
    until: Callable[[], bool] = lambda: False,
    check: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Outcome:
    """Ask all the questions.

    Args:
        by_reference: further questions name their ECG by the reference in the first answer.
        a_second: questions a second of all clients together; None for as many as are answered.
        until: no further ECG is begun once this is true.
        check: looks at each answer.
    """
    return asyncio.run(_drive(url, work, clients, by_reference, a_second, until, check))


async def _drive(
    url: str,
    work: Sequence[Session],
    clients: int,
    by_reference: bool,
    a_second: float | None,
    until: Callable[[], bool],
    check: Callable[[dict[str, Any]], None],
) -> Outcome:
    outcome = Outcome()
    waiting = iter(work)
    start = time.perf_counter()
    turns = iter(_clock(start, a_second)) if a_second else None

    async def client(caller: aiohttp.ClientSession) -> None:
        for number, session in enumerate(waiting):
            if until():
                return
            reference = None
            for place, body in enumerate(session.bodies):
                if turns is not None:
                    await asyncio.sleep(max(0.0, next(turns) - time.perf_counter()))
                if reference is not None:
                    body = json.dumps({**json.loads(body), "ecgs": [{"known": reference}]}).encode()
                begun = time.perf_counter()
                answer = await _ask(caller, f"{url}/v1/ask", body, outcome)
                if answer is None:
                    continue
                outcome.seconds.append(time.perf_counter() - begun)
                outcome.places.append(place)
                outcome.rounds.append(number)
                outcome.begun.append(begun - start)
                check(answer)
                if by_reference:
                    reference = answer["ecgs"][0]["reference"]

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as caller:
        await asyncio.gather(*(client(caller) for _ in range(clients)))
    outcome.wall_seconds = time.perf_counter() - start
    return outcome


async def _ask(
    caller: aiohttp.ClientSession, url: str, body: bytes, outcome: Outcome
) -> dict[str, Any] | None:
    headers = {"Content-Type": "application/json"}
    deadline = time.perf_counter() + GIVE_UP_SECONDS
    pause = 0.05
    while True:
        try:
            async with caller.post(url, data=body, headers=headers) as response:
                content = await response.read()
                if response.status == 200:
                    found: dict[str, Any] = json.loads(content)
                    return found
                if response.status not in _AGAIN:
                    outcome.refused.append(response.status)
                    return None
        except aiohttp.ClientConnectionError:
            pass
        if time.perf_counter() > deadline:
            outcome.lost += 1
            return None
        outcome.again += 1
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)


def _clock(start: float, a_second: float) -> Iterator[float]:
    at = start
    while True:
        yield at
        at += 1 / a_second
