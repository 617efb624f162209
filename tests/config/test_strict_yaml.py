"""A key that stands twice is an error: YAML readers keep the last value and drop the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from truelead.config import load_recipe, read_mapping
from truelead.config.strict_yaml import RepeatedKey, read_yaml
from truelead.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "key", "line", "earlier"),
    [
        ("name: x\nseed: 1\nname: y\n", "name", 3, 1),
        ("data:\n  limit: 3\n  source: ptbxl\n  limit: 4\n", "limit", 4, 2),
        ("arms:\n  - {name: a}\n  - {name: b, name: c}\n", "name", 3, 3),
        ("a: {b: {c: 1, d: 2, c: 3}}\n", "c", 1, 1),
        ("1: a\n2: b\n1: c\n", "1", 3, 1),
        ("a: 1\n'a': 2\n", "a", 2, 1),
    ],
)
def test_a_repeated_key_is_named_with_both_lines(
    text: str, key: str, line: int, earlier: int
) -> None:
    with pytest.raises(RepeatedKey) as caught:
        read_yaml(text)
    assert str(caught.value) == (
        f"line {line}: {key!r}: expected each key once, found it in line {earlier} too"
    )


def test_equal_keys_of_different_mappings_and_merged_ones_are_no_repetition() -> None:
    text = "base: &base {steps: 1, name: b}\na: {name: a}\nb: {<<: *base, name: c}\nc: *base\n"
    assert read_yaml(text) == {
        "base": {"steps": 1, "name": "b"},
        "a": {"name": "a"},
        "b": {"steps": 1, "name": "c"},
        "c": {"steps": 1, "name": "b"},
    }


@pytest.mark.parametrize("text", ["", "[1, 2]", "3.5e-4", "a: !!str 3", "x: 2020-01-02", "a: ~"])
def test_everything_else_is_read_as_yaml_reads_it(text: str) -> None:
    assert read_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: [", "a: 1\n--- \nb: 2\n", "!!python/name:os.system x"])
def test_what_is_no_plain_yaml_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)


def test_a_recipe_with_a_repeated_key_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\npretrain: {steps: 3}\nseed: 1\npretrain: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert str(caught.value) == (
        f"{path}: line 4: 'pretrain': expected each key once, found it in line 2 too"
    )
    with pytest.raises(ConfigError, match="line 4: 'pretrain'"):
        read_mapping(path, file="a file", keys="keys")


def test_an_override_is_held_to_it_too(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="--set pretrain: line 1: 'steps': expected each key"):
        load_recipe(path, ["pretrain={steps: 1, steps: 2}"])


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(ConfigError, match="expected YAML"):
        load_recipe(path)
