"""The loop in several Ray Train workers: the same training whatever the engine and the number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train.stand_in import SmallModel, compare_worker, train_worker
from truelead.config import TrainConfig
from truelead.train.checkpoint import list_checkpoints
from truelead.train.launch import launch
from truelead.train.metrics import read_metrics

pytestmark = pytest.mark.ray

STEPS = 6


@pytest.fixture(scope="module")
def compared(
    ray_cluster: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[dict[str, Any], list[float]]]:
    """Results and losses of two workers with each engine."""
    folder = tmp_path_factory.mktemp("compared")
    engines = {
        **{f"zero{stage}": TrainConfig(workers=2, zero_stage=stage) for stage in (0, 2, 3)},
        **{
            f"bfloat16-zero{stage}": TrainConfig(workers=2, zero_stage=stage, dtype="bfloat16")
            for stage in (0, 1)
        },
        **{
            f"zero{stage}-parts": TrainConfig(workers=2, zero_stage=stage) for stage in (0, 1, 2, 3)
        },
        "offloaded": TrainConfig(
            workers=2, zero_stage=3, offload_optimizer=True, offload_parameters=True
        ),
        **{f"muon-zero{stage}": TrainConfig(workers=2, zero_stage=stage) for stage in (0, 2, 3)},
    }
    values = launch(
        compare_worker,
        {"engines": engines, "folder": str(folder), "steps": STEPS},
        train=engines["zero0"],
        folder=folder,
        title="compared",
        steps=STEPS,
    )
    return {
        name: (values[name], [row["loss"] for row in read_metrics(folder / name)])
        for name in engines
    }


@pytest.mark.parametrize(
    ("engine", "reference", "tolerance"),
    [
        ("zero2", "zero0", 1e-4),
        ("zero3", "zero0", 1e-4),
        ("bfloat16-zero1", "zero0", 0.05),
        ("bfloat16-zero0", "bfloat16-zero1", 0.02),
        *((f"zero{stage}-parts", "zero0", 1e-4) for stage in (0, 1, 2, 3)),
        ("offloaded", "zero0", 1e-4),
        ("muon-zero2", "muon-zero0", 1e-3),
        ("muon-zero3", "muon-zero0", 1e-3),
    ],
)
def test_engines_train_alike(compared: Any, engine: str, reference: str, tolerance: float) -> None:
    value, losses = compared[reference]
    assert len(losses) == STEPS
    other, other_losses = compared[engine]
    assert other_losses == pytest.approx(losses, rel=tolerance)
    assert other["squares"] == pytest.approx(value["squares"], rel=tolerance)
    assert other["names"] == value["names"] == sorted(SmallModel().state_dict())


@pytest.mark.parametrize(
    ("reference", "workers", "zero_stage"), [("zero0", 1, 0), ("zero0", 2, 2), ("muon-zero0", 1, 0)]
)
def test_killed_worker_changes_nothing(
    compared: Any, tmp_path: Path, reference: str, workers: int, zero_stage: int
) -> None:
    """One worker killed and resumed, or one of two with shards: the losses of two undisturbed."""
    value, losses = compared[reference]
    train = TrainConfig(workers=workers, zero_stage=zero_stage, checkpoint_every=2)
    trouble = {"kill_at": 3, "marker": str(tmp_path / "killed")}
    other = launch(
        train_worker,
        {
            "train": train,
            "folder": str(tmp_path),
            "steps": STEPS,
            "trouble": trouble,
            "optimizer": "muon" if reference.startswith("muon") else "adamw",
        },
        train=train,
        folder=tmp_path,
        title="killed",
        steps=STEPS,
    )
    assert (tmp_path / "killed").exists()
    assert other["first"] == 2
    assert [row["loss"] for row in read_metrics(tmp_path)] == pytest.approx(losses, rel=1e-4)
    assert other["squares"] == pytest.approx(value["squares"], rel=1e-5)
    kept = list_checkpoints(tmp_path / "checkpoints")
    assert [name.step for name in kept] == [6, 4]
