"""Work done a second, since the last log and over the whole run, with the MFU and peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from truelead.train.device import peak_device_memory_bytes
from truelead.train.metrics import peak_memory_bytes

WORK = "model_flops"
"""The count from which the MFU is made."""


class Ratio(NamedTuple):
    """A mean over what all workers do, as its two sums."""

    total: float
    of: float


class _Sums:
    """What was done since `start`."""

    def __init__(self, now: float) -> None:
        self.start = now
        self.steps = 0
        self.counts: dict[str, float] = {}

    def add(self, counts: Mapping[str, float]) -> None:
        self.steps += 1
        for name, value in counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + value

    def rates(self, seconds: float, peak_flops: float | None) -> dict[str, float]:
        found = {f"{name}_per_second": total / seconds for name, total in self.counts.items()}
        if peak_flops is not None and WORK in self.counts:
            found["mfu"] = found[f"{WORK}_per_second"] / peak_flops
        return found


class Throughput:
    """Counts of all workers, as rates.

    Args:
        peak_flops: of all workers' devices together; None: there is no MFU.
        clock: seconds.
    """

    def __init__(
        self, peak_flops: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._peak = peak_flops
        self._clock = clock
        self._window = _Sums(clock())
        self._run: _Sums | None = None
        self._ratios: dict[str, Ratio] = {}

    def add(self, counts: Mapping[str, float], ratios: Mapping[str, Ratio]) -> None:
        """Take in a step of all workers."""
        self._window.add(counts)
        if self._run is None:
            # The first step builds and warms up what the others use; the run's rates leave it out.
            self._run = _Sums(self._clock())
        else:
            self._run.add(counts)
        for name, ratio in ratios.items():
            before = self._ratios.get(name, Ratio(0.0, 0.0))
            self._ratios[name] = Ratio(before.total + ratio.total, before.of + ratio.of)

    def since_last_log(self) -> dict[str, float]:
        """Rates, means, seconds a step, and peak memory; the next call begins anew."""
        now = self._clock()
        seconds = max(1e-9, now - self._window.start)
        found = self._window.rates(seconds, self._peak)
        found |= {n: ratio.total / ratio.of for n, ratio in self._ratios.items() if ratio.of}
        found["step_seconds"] = seconds / max(1, self._window.steps)
        found |= _memory()
        self._window, self._ratios = _Sums(now), {}
        return found

    def whole_run(self) -> dict[str, float]:
        """Rates, seconds a step and peak memory over the run but its first step."""
        if self._run is None or not self._run.steps:
            return _memory()
        seconds = max(1e-9, self._clock() - self._run.start)
        found = self._run.rates(seconds, self._peak)
        return found | {"step_seconds": seconds / self._run.steps} | _memory()


def _memory() -> dict[str, float]:
    found = {"peak_memory_bytes": float(peak_memory_bytes())}
    device = peak_device_memory_bytes()
    if device is not None:
        found["peak_device_memory_bytes"] = float(device)
    return found
