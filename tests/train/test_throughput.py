"""Rates since the last log and over a run, the MFU, and the peaks it is made from."""

from __future__ import annotations

import pytest

from truelead.config import TrainConfig
from truelead.train.device import peak_flops
from truelead.train.throughput import Ratio, Throughput


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_means_and_mfu() -> None:
    clock = Clock()
    speed = Throughput(peak_flops=1000.0, clock=clock)
    for seconds, questions, loss in ((8.0, 1.0, 5.0), (2.0, 4.0, 1.0), (2.0, 6.0, 3.0)):
        clock.now += seconds
        speed.add(
            {"questions": questions, "model_flops": 100 * questions},
            {"nats": Ratio(loss * questions, questions), "nothing": Ratio(0.0, 0.0)},
        )
    found = speed.since_last_log()
    assert found["questions_per_second"] == pytest.approx(11 / 12)
    assert found["mfu"] == pytest.approx(1100 / 12 / 1000)
    assert found["nats"] == pytest.approx((5 + 4 + 18) / 11)
    assert "nothing" not in found
    assert found["step_seconds"] == pytest.approx(4.0)
    assert found["peak_memory_bytes"] > 1e6
    clock.now += 5
    speed.add({"questions": 5.0, "model_flops": 500.0}, {})
    again = speed.since_last_log()
    assert again["questions_per_second"] == pytest.approx(1.0)
    assert "nats" not in again
    # Of the run all but its first step counts: 15 questions in 9 s.
    assert speed.whole_run()["questions_per_second"] == pytest.approx(15 / 9)
    assert speed.whole_run()["step_seconds"] == pytest.approx(3.0)


def test_without_a_peak_there_is_no_mfu() -> None:
    speed = Throughput(None)
    speed.add({"model_flops": 1.0}, {})
    assert "mfu" not in speed.since_last_log()
    assert set(speed.whole_run()) == {"peak_memory_bytes"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10", 125e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10G", None),
        ("Tesla T4", None),
    ],
)
def test_peaks_are_of_the_very_gpu(name: str, expected: float | None) -> None:
    assert peak_flops(TrainConfig(use_gpu=True, dtype="bfloat16"), name) == expected
    assert peak_flops(TrainConfig(use_gpu=True), name) is None
    assert peak_flops(TrainConfig(), name) is None
    assert peak_flops(TrainConfig(peak_flops=1e12), name) == 1e12
