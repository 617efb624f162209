"""The command line: help that teaches, and one clear line for what the user can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from truelead import __version__
from truelead.cli import app
from truelead.errors import ConfigError
from truelead.signal import write_record
from truelead.types import Ecg

RUNNER = CliRunner()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "truelead.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_stage_in_order() -> None:
    text = RUNNER.invoke(app, ["--help"]).output
    stages = ["generate", "ingest", "pretrain-encoder", "finetune", "evaluate", "run", "demo"]
    places = [text.index(f" {stage} ") for stage in stages]
    assert places == sorted(places)
    assert "not for" in text


def test_a_pretraining_takes_its_recipe_by_name() -> None:
    found = RUNNER.invoke(app, ["pretrain", "--recipe", "nowhere/best.yaml"]).exception
    assert isinstance(found, ConfigError)
    assert str(found).startswith("nowhere/best.yaml: expected a recipe file")


def test_version() -> None:
    assert __version__ in RUNNER.invoke(app, ["--version"]).output


@pytest.mark.parametrize(
    ("content", "overrides", "expected"),
    [
        (None, [], "expected a recipe file"),
        ("name: x\npretain: {}\n", [], "did you mean 'pretrain'"),
        ("name: x\n", ["data.root=/nowhere"], "data.root: expected a folder"),
        ("name: x\n", ["data.source=mimic"], "data.source: expected one of ptbxl"),
    ],
    ids=["missing file", "unknown key", "missing folder", "unknown source"],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, content: str | None, overrides: list[str], expected: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    if content is not None:
        recipe.write_text(content, encoding="utf-8")
    done = run("ingest", str(recipe), *(part for o in overrides for part in ("--set", o)))
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_inspect_shows_leads_and_what_is_missing(tmp_path: Path) -> None:
    signal_LT = np.full((12, 200), np.nan, dtype=np.float32)
    signal_LT[1] = np.linspace(-0.5, 1.5, 200, dtype=np.float32)
    path = write_record(tmp_path, Ecg(signal_LT, 100.0, "one"))
    output = RUNNER.invoke(app, ["inspect", str(path)]).output
    assert "100 Hz, 2 s" in output
    assert "-0.50 to +1.50 mV" in output
    assert output.count("not recorded") == 11


def test_plot_refuses_a_format_it_does_not_write(tmp_path: Path) -> None:
    done = run("plot", str(tmp_path / "none"), "--output", "ecg.pdf")
    assert done.returncode == 2
    assert "FILE.svg or FILE.png" in done.stderr


def test_export_wants_one_form() -> None:
    from truelead.cli_export import export
    from truelead.errors import ConfigError

    with pytest.raises(ConfigError, match="expected --merged or --adapter, found both"):
        export(Path("stage"), Path("out"), merged=True, adapter=True)


def test_adapters_are_served_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from truelead.cli import serve
    from truelead.service import run as service

    asked: list[Any] = []
    monkeypatch.setattr(service, "serve_model", lambda *_, arguments, **__: asked.append(arguments))
    serve(Path("model"), adapter=["a=x/y", "b=z=1"])
    serve(Path("model"))
    assert asked == [{"adapters": {"a": "x/y", "b": "z=1"}}, None]
    for wrong in (["a"], ["a=x", "a=y"]):
        with pytest.raises(ConfigError, match="expected NAME=FOLDER, each name once"):
            serve(Path("model"), adapter=wrong)
