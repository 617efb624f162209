"""Where metrics go beside `metrics.jsonl`: TensorBoard, MLflow, Weights & Biases.

A new tracker is a class here and a line in `TRACKERS`. MLflow and W&B are optional, and imported
only where a recipe names them. Both are told where to write by their own environment variables
(MLFLOW_TRACKING_URI, WANDB_MODE, WANDB_API_KEY); no address and no key stands in a recipe. A run
that is resumed goes on in the same tracked run: its name in the tracker is remembered in the
stage's folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from truelead.errors import ConfigError


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a stage.

    Attributes:
        folder: of the stage.
        first_step: steps that are done already; later ones are tracked anew.
        project: name of the recipe.
        name: of the run within it, such as "debiased/pretrain".
        parameters: the resolved recipe.
    """

    folder: Path
    first_step: int
    project: str = "truelead"
    name: str = "run"
    parameters: Mapping[str, Any] | None = None


class Tracker(Protocol):
    """Takes the metrics of one stage, in rank 0."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the finite values of a step."""

    def close(self) -> None:
        """Everything is on its way when this returns."""


class TensorBoardTracker:
    """Event files in `<stage>/tensorboard`."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.first_step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`; flushed, since others read along."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def close(self) -> None:
        """See `Tracker.close`."""
        self._board.close()


class MlflowTracker:
    """A run of MLflow (https://mlflow.org/docs/latest/ml/tracking/); by default in ./mlruns."""

    def __init__(self, run: TrackedRun) -> None:
        mlflow = _import("mlflow")
        remembered = run.folder / "mlflow.json"
        self._client = mlflow.MlflowClient()
        found = self._client.get_experiment_by_name(run.project)
        experiment = (
            self._client.create_experiment(run.project) if found is None else found.experiment_id
        )
        self._run_id = _remembered(remembered, "run_id") if run.first_step else None
        if self._run_id is None:
            self._run_id = str(self._client.create_run(experiment, run_name=run.name).info.run_id)
            for name, value in _flat(run.parameters or {}).items():
                self._client.log_param(self._run_id, name, value)
            remembered.write_text(json.dumps({"run_id": self._run_id}), encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        for name, value in values.items():
            self._client.log_metric(self._run_id, name, value, step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._client.set_terminated(self._run_id)


class WandbTracker:
    """A run of Weights & Biases (https://docs.wandb.ai/); `WANDB_MODE=offline` keeps it here."""

    def __init__(self, run: TrackedRun) -> None:
        wandb = _import("wandb")
        remembered = run.folder / "wandb.json"
        known = _remembered(remembered, "run_id") if run.first_step else None
        os.environ.setdefault("WANDB_SILENT", "true")
        self._run = wandb.init(
            project=run.project,
            name=run.name,
            dir=str(run.folder),
            config=_flat(run.parameters or {}),
            id=known,
            resume="allow" if known else None,
        )
        remembered.write_text(json.dumps({"run_id": str(self._run.id)}), encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


TRACKERS: dict[str, type[Any]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MlflowTracker,
    "wandb": WandbTracker,
}


def check_trackers(names: tuple[str, ...]) -> None:
    """Check, before a stage starts, that the packages of the trackers are there.

    Raises:
        ConfigError: one is not; the message names what to install.
    """
    from importlib.util import find_spec

    for name in names:
        if name != "tensorboard" and find_spec(name) is None:
            raise _missing(name)


def _import(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise _missing(name) from error


def _missing(name: str) -> ConfigError:
    return ConfigError(
        f"train.trackers: {name}: expected the package {name}, found none: "
        f"pip install 'truelead[{name}]', or leave it out"
    )


def _remembered(path: Path, key: str) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """`a.b: value` of a nested mapping, as trackers show parameters; what is None is left out."""
    flat: dict[str, str | int | float | bool] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float | bool):
            flat[prefix + name] = value[:500] if isinstance(value, str) else value
        elif value is not None:
            flat[prefix + name] = json.dumps(value, default=str)[:500]
    return flat
