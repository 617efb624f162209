"""Trackers behind one interface; the optional ones by modules that stand in for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from truelead.config import parse_recipe
from truelead.errors import ConfigError
from truelead.train.metrics import MetricsWriter, read_metrics
from truelead.train.trackers import TRACKERS, TrackedRun, check_trackers


class FakeMlflow(ModuleType):
    """The calls of MLflow's client that are used, by its documented signatures."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.metrics: list[tuple[str, str, float, int]] = []
        self.parameters: dict[str, Any] = {}
        self.runs: list[str] = []
        self.ended: list[str] = []
        self.experiments: list[str] = []
        outer = self

        class MlflowClient:
            def get_experiment_by_name(self, name: str) -> Any:
                known = name in outer.experiments
                return SimpleNamespace(experiment_id=name) if known else None

            def create_experiment(self, name: str) -> str:
                outer.experiments.append(name)
                return name

            def create_run(self, experiment_id: str, run_name: str | None = None) -> Any:
                outer.runs.append(f"{experiment_id}/{run_name}/{len(outer.runs)}")
                return SimpleNamespace(info=SimpleNamespace(run_id=outer.runs[-1]))

            def log_param(self, run_id: str, key: str, value: Any) -> None:
                outer.parameters[key] = value

            def log_metric(self, run_id: str, key: str, value: float, step: int = 0) -> None:
                outer.metrics.append((run_id, key, value, step))

            def set_terminated(self, run_id: str) -> None:
                outer.ended.append(run_id)

        self.MlflowClient = MlflowClient


class FakeWandb(ModuleType):
    """The calls of wandb that are used, by its documented signatures."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **told: Any) -> Any:
        self.begun.append(told)

        def log(values: dict[str, float], step: int) -> None:
            self.logged.append((step, values))

        def finish() -> None:
            self.finished += 1

        return SimpleNamespace(id=told["id"] or "new", log=log, finish=finish)


def run_of(folder: Path, first_step: int) -> TrackedRun:
    parameters = {"seed": 3, "train": {"workers": 2, "trackers": ["mlflow"]}, "planted": None}
    return TrackedRun(folder, first_step, "tiny", "debiased/pretrain", parameters)


def test_mlflow_goes_on_in_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    for first in (0, 2):
        writer = MetricsWriter(tmp_path, first, ("mlflow",), run_of(tmp_path, first))
        writer.log(first + 1, {"loss": 2.5, "gradient_norm": float("nan")})
        writer.close()
    assert mlflow.experiments == ["tiny"]
    assert mlflow.runs == ["tiny/debiased/pretrain/0"]
    assert mlflow.parameters == {"seed": 3, "train.workers": 2, "train.trackers": '["mlflow"]'}
    assert mlflow.metrics == [(mlflow.runs[0], "loss", 2.5, step) for step in (1, 3)]
    assert mlflow.ended == mlflow.runs * 2
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 3]
    assert not (tmp_path / "tensorboard").exists()


def test_wandb_goes_on_in_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setenv("WANDB_SILENT", "true")
    for first in (0, 2):
        writer = MetricsWriter(tmp_path, first, ("tensorboard", "wandb"), run_of(tmp_path, first))
        writer.log(first + 1, {"loss": 2.5})
        writer.close()
    assert [(told["id"], told["resume"]) for told in wandb.begun] == [
        (None, None),
        ("new", "allow"),
    ]
    assert wandb.begun[0]["config"]["train.workers"] == 2
    assert wandb.logged == [(1, {"loss": 2.5}), (3, {"loss": 2.5})]
    assert wandb.finished == 2
    assert list((tmp_path / "tensorboard").iterdir())
    assert json.loads((tmp_path / "wandb.json").read_text()) == {"run_id": "new"}


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for fails in (lambda: TRACKERS[name](run_of(tmp_path, 0)), lambda: check_trackers((name,))):
        with pytest.raises(ConfigError, match=rf"{name}: .*pip install 'truelead\[{name}\]'"):
            fails()


def test_a_recipe_names_known_trackers_only() -> None:
    assert parse_recipe({"name": "x"}).train.trackers == ("tensorboard",)
    assert set(TRACKERS) == {"tensorboard", "mlflow", "wandb"}
    with pytest.raises(ConfigError, match=r"train\.trackers"):
        parse_recipe({"name": "x", "train": {"trackers": ["comet"]}})
