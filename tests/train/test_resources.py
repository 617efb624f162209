"""A job that could never start says so, and what to change."""

from __future__ import annotations

import pytest

from truelead.config import TrainConfig
from truelead.errors import ResourceError
from truelead.train.resources import check_resources


def test_fitting_jobs_pass() -> None:
    check_resources(TrainConfig(workers=1), [{"CPU": 2.0}])
    check_resources(TrainConfig(workers=2, cpus_per_worker=0.5), [{"CPU": 2.0}])
    check_resources(TrainConfig(workers=2, use_gpu=True), [{"CPU": 8.0, "GPU": 2.0}])
    check_resources(TrainConfig(workers=9, use_gpu=True), [{"CPU": 2.0}], autoscaled=True)
    check_resources(TrainConfig(workers=9, min_workers=1), [{"CPU": 2.0}])


@pytest.mark.parametrize(
    ("train", "nodes", "message"),
    [
        ({"workers": 2}, [{"CPU": 2.0}], r"cpus_per_worker to at most 0\.5"),
        ({"workers": 60}, [{"CPU": 4.0}], "set fewer train.workers"),
        ({"workers": 2, "cpus_per_worker": 3}, [{"CPU": 5.0}, {"CPU": 2.0}], "do not fit"),
        ({"use_gpu": True}, [{"CPU": 4.0}], "train.use_gpu=false"),
    ],
)
def test_impossible_jobs_say_what_to_change(
    train: dict[str, float], nodes: list[dict[str, float]], message: str
) -> None:
    with pytest.raises(ResourceError, match=message) as caught:
        check_resources(TrainConfig(**train), nodes)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
