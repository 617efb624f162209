"""A study is refused before anything starts, in one line that names the place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truelead.errors import ConfigError
from truelead.study.definition import load_study, parse_study
from truelead.study.plan import make_plan

REPOSITORY = Path(__file__).resolve().parents[2]
STUDIES = sorted((REPOSITORY / "jobs" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_fit_their_recipes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    plan = make_plan(load_study(path))
    assert plan.study.name == path.stem
    study = plan.study
    assert len(plan.runs) == len(study.arms) * len(study.seeds) * len(plan.conditions)


def test_the_studies_ask_for_at_least_five_seeds_of_what_is_claimed() -> None:
    for name in ("planted", "ptbxl-severity"):
        assert len(load_study(REPOSITORY / "jobs" / "studies" / f"{name}.yaml").seeds) >= 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"armz": []}, ["unknown key 'armz'", "did you mean 'arms'?"]),
        (
            {"arms": [{"name": "a"}, {"name": "b", "pretran": "ipw"}]},
            ["arms.1.pretran", "pretrain"],
        ),
        (
            {"conditions": [{"name": "x", "override": {}}]},
            ["conditions.0.override", "did you mean 'overrides'?"],
        ),
        ({"arms": None}, ["arms: expected this key, found none"]),
        ({"arms": [{"name": "erm"}]}, ["arms", "at least 2"]),
        ({"arms": [{"name": "a"}, {"name": "a", "pretrain": "ipw"}]}, ["arms", "distinct", "a, a"]),
        ({"seeds": [1, 1]}, ["seeds", "distinct", "1, 1"]),
        ({"baseline": "plain"}, ["baseline: expected one of the arms, found 'plain'"]),
        ({"parallel": 0}, ["parallel", "found 0"]),
        ({"name": "Big Study"}, ["name", "found 'Big Study'"]),
    ],
)
def test_a_study_that_does_not_parse_is_one_line(
    written: Callable[..., Path], changes: dict[str, Any], words: list[str]
) -> None:
    path = written(**changes)
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "missing.yaml"}, ["missing.yaml", "expected a recipe file"]),
        ({"overrides": {"pretrian.steps": 3}}, ["'pretrian'", "did you mean 'pretrain'?"]),
        ({"overrides": {"pretrain.steps": -1}}, ["pretrain.steps", "found -1"]),
        ({"overrides": {"seed": 3}}, ["seed", "expected a key that the study does not set itself"]),
        (
            {"conditions": [{"name": "odd", "overrides": {"severity": "rank"}}]},
            ["compared: conditions: odd: severity: expected one of", "found 'rank'"],
        ),
        (
            {"conditions": [{"name": "odd", "overrides": {"questions.setup": "ecqqa"}}]},
            ["conditions: odd: questions.setup", "found 'ecqqa'"],
        ),
        (
            {"arms": [{"name": "erm"}, {"name": "b", "finetune": "ipv"}]},
            ["arms: b: finetune: expected one of none", "found 'ipv'"],
        ),
        (
            {
                "arms": [
                    {"name": "erm"},
                    {"name": "b", "pretrain": "ipw", "pretrain_options": {"c": 1}},
                ]
            },
            ["arms: b: pretrain: unknown option 'c'", "clip"],
        ),
        (
            {"arms": [{"name": "erm"}, {"name": "plain", "pretrain": "none"}]},
            ["arms: erm and plain are the same training"],
        ),
        (
            {"conditions": [{"name": "a b"}, {"name": "A-B"}]},
            ["conditions: A-B: expected a name with letters of its own"],
        ),
    ],
)
def test_a_study_that_does_not_fit_its_recipe_is_one_line(
    written: Callable[..., Path], changes: dict[str, Any], words: list[str]
) -> None:
    study = load_study(written(**changes))
    with pytest.raises(ConfigError) as caught:
        make_plan(study)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_study_is_parsed_as_it_is_written() -> None:
    study = parse_study(
        {
            "name": "s",
            "recipe": "r.yaml",
            "seeds": [3],
            "baseline": "b",
            "arms": [{"name": "a", "pretrain": "ipw"}, {"name": "b"}],
        }
    )
    assert [arm.name for arm in study.arms_baseline_first] == ["b", "a"]
    assert len(study.conditions) == 1
