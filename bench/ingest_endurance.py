"""The ingest over a long time: its memory does not grow with the set, and being killed is harmless.

Memory is the proportional set size (PSS: shared pages count once) of the driver, Ray's own
processes and the workers together, sampled while it runs. For the kills the driver and a worker
take turns; a killed driver is started again, a killed worker is Ray's to replace.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.reported import row
from truelead.data.manifest import MANIFEST_NAME

COMMAND = "make soak SECTION=data"
MEMORY_RECORDS = (2000, 20000)
LARGEST_GROWTH = 1.10
KILLS = 10
KILLED_RECORDS, KILLED_PER_SHARD = 2400, 16
SAMPLE_SECONDS = 0.5
DEADLINE_SECONDS = 1800.0


def rows() -> list[dict[str, Any]]:
    """Peak memory at both sizes, and the kills."""
    return [*memory_rows(), kill_row()]


def memory_rows() -> list[dict[str, Any]]:
    """Peak of the small set, and how much more the large one takes."""
    peaks = []
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        for count in MEMORY_RECORDS:
            here = Path(scratch)
            process = _start(here / "set", here / f"{count}", count, 256)
            peaks.append(_peak_bytes(process))
            _result(process)
    small, large = (f"{count:,}" for count in MEMORY_RECORDS)
    growth = peaks[1] / peaks[0]
    unit = "MiB, PSS of all processes"
    return [
        row(f"peak memory, ingest of {small} records", peaks[0] / 2**20, unit, COMMAND),
        row(f"peak memory, ingest of {large} records", peaks[1] / 2**20, unit, COMMAND),
        row(
            f"growth of the peak from {small} to {large} records",
            growth,
            "times",
            COMMAND,
            goal=LARGEST_GROWTH,
            holds=growth <= LARGEST_GROWTH,
        ),
    ]


def kill_row() -> dict[str, Any]:
    """How many of the killed ingests ended with the digest of an undisturbed one."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        here = Path(scratch)
        expected = _result(_begin(here, "undisturbed"))
        same = sum(_killed(here, number, chance) == expected for number in range(KILLS))
    return row(
        f"ingests killed at a random shard (driver, worker in turn) with the undisturbed digest, "
        f"of {KILLS}",
        float(same),
        "ingests",
        COMMAND,
        goal=float(KILLS),
        holds=same == KILLS,
    )


def _killed(here: Path, number: int, chance: random.Random) -> str:
    name = f"killed-{number}"
    output = here / name
    process = _begin(here, name)
    shards = KILLED_RECORDS // KILLED_PER_SHARD
    enough = chance.randrange(1, int(0.8 * shards))
    _wait(process, lambda: len(list(output.glob("*-*.parquet"))) >= enough)
    time.sleep(chance.random() * 0.2)
    assert not (output / MANIFEST_NAME).exists(), "it ended before it was killed"
    if number % 2:
        _kill_worker(process, chance)
        return _result(process)
    family = _family(process)
    process.kill()
    process.wait()
    for member in family:  # Ray's processes of a dead driver are ours to end
        _end(member)
    return _result(_begin(here, name))


def _kill_worker(process: subprocess.Popen[str], chance: random.Random) -> None:
    found: list[psutil.Process] = []

    def at_work() -> bool:
        found[:] = [one for one in _family(process) if "write_shard_row" in _title(one)]
        return bool(found)

    _wait(process, at_work)
    _end(chance.choice(found))


def _begin(here: Path, name: str) -> subprocess.Popen[str]:
    return _start(here / "set", here / name, KILLED_RECORDS, KILLED_PER_SHARD)


def _start(folder: Path, output: Path, count: int, per_shard: int) -> subprocess.Popen[str]:
    given = [str(folder), str(output), "100", str(count), str(per_shard)]
    return subprocess.Popen(
        [sys.executable, "-m", "bench.ingest_sets", *given], stdout=subprocess.PIPE, text=True
    )


def _result(process: subprocess.Popen[str]) -> str:
    """Digest and number of records that the process prints at its end."""
    text, _ = process.communicate(timeout=DEADLINE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return text.strip().splitlines()[-1]


def _wait(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the ingest ended before it was killed")
        time.sleep(0.01)


def _peak_bytes(process: subprocess.Popen[str]) -> int:
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_pss(member) for member in _family(process)))
        time.sleep(SAMPLE_SECONDS)
    return peak


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        driver = psutil.Process(process.pid)
        return [driver, *driver.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss(member: psutil.Process) -> int:
    try:
        return int(member.memory_full_info().pss)
    except psutil.Error:
        return 0


def _title(member: psutil.Process) -> str:
    try:
        return " ".join(member.cmdline())
    except psutil.Error:
        return ""


def _end(member: psutil.Process) -> None:
    try:
        member.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    for found in rows():
        print(found)
