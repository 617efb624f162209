from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import truelead.config
from truelead.config import DataConfig, Recipe, StatedSignalConfig, parse_recipe
from truelead.errors import ConfigError
from truelead.signal.formats.base import StatedSignal
from truelead.signal.formats.statement import ORIENTATIONS


def test_what_a_recipe_states_of_files_is_what_readers_take() -> None:
    assert set(StatedSignalConfig.model_fields) == {
        field.name for field in dataclasses.fields(StatedSignal)
    }
    assert StatedSignal(**StatedSignalConfig().model_dump()) == StatedSignal()
    for orientation in ORIENTATIONS:
        assert StatedSignalConfig(orientation=orientation).orientation == orientation


@pytest.mark.parametrize("rate", [100, 250, 400, 500])
def test_stored_rates(rate: int) -> None:
    assert DataConfig(sampling_rate=rate).sampling_rate == rate


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"sampling_rate": 360}, "data.sampling_rate"),
        ({"split_by": "patients"}, "data.split_by"),
        ({"test_fraction": 0.5}, "data.test_fraction"),
        ({"stated": {"units": "adc"}}, "gain: expected together with units: adc"),
        ({"stated": {"units": "mV", "gain": 200}}, "gain: expected together with units: adc"),
        ({"stated": {"units": "volts"}}, "data.stated.units"),
        ({"stated": {"leads": []}}, "data.stated.leads"),
        ({"stated": {"rate": 500}}, "unknown key 'data.stated.rate'"),
    ],
)
def test_a_mistake_is_one_line(data: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe({"name": "x", "data": data})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_package_gives_every_public_name() -> None:
    for name in truelead.config.__all__:
        assert getattr(truelead.config, name) is not None


@pytest.mark.parametrize("root", ["sets/ptbxl", "s3://bucket/ptbxl", None])
def test_a_recipe_comes_back_from_json(root: str | None) -> None:
    recipe = parse_recipe({"name": "x", "data": {"root": root}})
    assert recipe.data.root == (root if root is None or "://" in root else Path(root))
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
