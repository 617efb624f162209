"""The loop and its checkpoints in one worker, inside the test process."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.stand_in import train_once
from truelead.config import TrainConfig
from truelead.errors import CheckpointError
from truelead.train.loop import MAXIMUM_SKIPPED_STEPS, DivergedError
from truelead.train.metrics import read_metrics

STEPS = 6
Train = Callable[..., dict[str, Any]]


@pytest.fixture
def train(one_worker: None, tmp_path: Path) -> Train:
    """Trains in tmp_path."""

    def _train(*, steps: int = STEPS, key: str = "key", **options: Any) -> dict[str, Any]:
        trouble = options.pop("trouble", {})
        config = TrainConfig(checkpoint_every=2, **options)
        arguments = {
            "train": config,
            "folder": str(tmp_path),
            "steps": steps,
            "trouble": trouble,
            "key": key,
        }
        return train_once(arguments)

    return _train


def losses(folder: Path) -> list[float]:
    return [row.get("loss", math.nan) for row in read_metrics(folder)]


def test_whole_checkpoint_needs_no_further_step(train: Train) -> None:
    first = train()
    again = train()
    assert (first["first"], again["first"]) == (0, STEPS)
    assert again["digest"] == first["digest"]


def test_checkpoint_of_another_configuration_is_refused(train: Train) -> None:
    train(steps=2)
    with pytest.raises(CheckpointError, match="another's"):
        train(steps=4, key="changed")


def test_non_finite_step_is_left_out(train: Train, tmp_path: Path) -> None:
    train(trouble={"poisoned": [2]})
    found = losses(tmp_path)
    assert [math.isfinite(loss) for loss in found] == [True, True, False, True, True, True]
    rows = read_metrics(tmp_path)
    assert rows[-1]["skipped_steps"] == 1
    assert "gradient_norm" not in rows[2]
    assert rows[3]["gradient_norm"] > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_parts_are_the_whole_step_and_left_out_together(
    train: Train, tmp_path: Path, zero_stage: int, dtype: str
) -> None:
    """Of a poisoned step the first parts are finite, and have left gradients."""
    engine = {"zero_stage": zero_stage, "dtype": dtype}
    found = []
    for parts in ({}, {"rows_a_part": 3}):
        trained = train(trouble={"poisoned": [2], **parts}, key=str(parts), **engine)
        found.append((losses(tmp_path), trained["squares"]))
        shutil.rmtree(tmp_path / "checkpoints")
        (tmp_path / "metrics.jsonl").unlink()
    assert [math.isfinite(loss) for loss in found[1][0]] == [True, True, False, True, True, True]
    tolerance = 1e-5 if dtype == "float32" else 0.02
    assert found[1][0] == pytest.approx(found[0][0], rel=tolerance, nan_ok=True)
    assert found[1][1] == pytest.approx(found[0][1], rel=tolerance)


@pytest.mark.parametrize("parts", [{}, {"rows_a_part": 3}])
def test_a_step_without_answer_tokens_is_left_out(
    train: Train, tmp_path: Path, parts: dict[str, int]
) -> None:
    train(trouble={"weightless": [2], **parts})
    found = losses(tmp_path)
    assert [math.isfinite(loss) for loss in found] == [True, True, False, True, True, True]
    assert read_metrics(tmp_path)[-1]["skipped_steps"] == 1


def test_too_many_non_finite_steps_end_the_run(train: Train) -> None:
    steps = MAXIMUM_SKIPPED_STEPS + 5
    with pytest.raises(DivergedError, match="not finite"):
        train(steps=steps, trouble={"poisoned": list(range(steps))})


def test_loss_is_the_weighted_sum_over_the_weighted_count(train: Train, tmp_path: Path) -> None:
    """The first step's loss, computed by hand from the rows."""
    import torch

    from tests.train.stand_in import SmallModel, SmallTask

    train(steps=1)
    torch.manual_seed(0)
    rows = next(SmallTask(0, 1, {}).batches(0, None)).content
    output_BF, _ = SmallModel()(rows["x_BF"], rows["kind_B"])
    loss_B = (output_BF.detach() - rows["target_BF"]).square().sum(1)
    weight_B = rows["weight_B"]
    expected = float((weight_B * loss_B).sum() / weight_B.sum())
    assert losses(tmp_path)[0] == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(float(loss_B.mean()), rel=1e-3)
