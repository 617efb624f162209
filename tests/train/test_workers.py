"""The loop in several Ray Train workers: the same training whatever the engine and the number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train.stand_in import BreakOff, SmallModel, compare_worker, train_once, train_worker
from truelead.config import TrainConfig
from truelead.train.checkpoint_store import CheckpointStore
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


def _arguments(folder: Path, train: TrainConfig, **trouble: Any) -> dict[str, Any]:
    marker = {"marker": str(folder / "met")} if trouble else {}
    return {"train": train, "folder": str(folder), "steps": STEPS, "trouble": trouble | marker}


@pytest.mark.usefixtures("one_worker")
def test_killed_among_two_between_trainings_of_one(compared: Any, tmp_path: Path) -> None:
    """1 worker, then 2 with shards, of which one is killed, then 1 of another ZeRO stage."""
    value, losses = compared["zero0"]
    alone = TrainConfig(checkpoint_every=2, keep_checkpoints=3)
    with pytest.raises(BreakOff):
        train_once(_arguments(tmp_path, alone, break_off_at=2))
    two = alone.model_copy(update={"workers": 2, "zero_stage": 2})
    other = launch(
        train_worker,
        _arguments(tmp_path, two, kill_at=3),
        train=two,
        folder=tmp_path,
        title="killed",
        steps=STEPS,
    )
    assert (tmp_path / "met").exists()
    assert other["first"] == 2
    store = CheckpointStore(tmp_path / "checkpoints")
    assert [name.step for name in store.names()] == [6, 4, 2]
    store.remove(store.names()[0])
    last = train_once(_arguments(tmp_path, alone.model_copy(update={"zero_stage": 3})))
    assert last["first"] == 4
    assert [row["loss"] for row in read_metrics(tmp_path)] == pytest.approx(losses, rel=1e-4)
    assert other["squares"] == pytest.approx(value["squares"], rel=1e-5)
    assert last["squares"] == pytest.approx(value["squares"], rel=1e-5)


def test_a_stuck_worker_is_ended_and_the_training_goes_on(
    compared: Any, tmp_path: Path, capsys: Any
) -> None:
    value, losses = compared["muon-zero0"]
    train = TrainConfig(checkpoint_every=2, step_timeout_seconds=10)
    told = _arguments(tmp_path, train, stick_at=3) | {"optimizer": "muon"}
    launched = {"train": train, "folder": tmp_path, "title": "stuck", "steps": STEPS}
    other = launch(train_worker, told, **launched)
    assert other["first"] == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "stuck: went on from a checkpoint after rank 0: step 4: expected it within 10 s" in said
    assert "waited for its next batch (stand_in.py" in said
    assert [row["loss"] for row in read_metrics(tmp_path)] == pytest.approx(losses, rel=1e-4)
    assert other["squares"] == pytest.approx(value["squares"], rel=1e-5)
