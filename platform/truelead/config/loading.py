"""A recipe's YAML file and its `--set a.b=c` overrides, checked before any work."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from truelead.config.questions import SEVERITY_FORMS
from truelead.config.recipe import Recipe
from truelead.config.strict_yaml import RepeatedKey, read_yaml
from truelead.errors import ConfigError


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `a.b=c` overrides (values are YAML).

    Raises:
        ConfigError: the file is missing or no mapping; a key is unknown; a value does not fit.
    """
    tree = read_mapping(path, file="a recipe file", keys="recipe keys")
    for override in overrides:
        _set(tree, override)
    return parse_recipe(tree, where=str(path))


def read_mapping(path: str | Path, *, file: str, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file; `file` and `keys` name in errors what was expected.

    Raises:
        ConfigError: the file is missing, no YAML, or no mapping; a mapping holds a key twice.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: expected {file} (YAML), found none")
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except RepeatedKey as error:
        raise ConfigError(f"{path}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of {keys}")
    return tree


def parse_recipe(tree: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check a mapping against `Recipe`; one line names the first wrong key."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        location = tuple(part for part in first["loc"] if part not in SEVERITY_FORMS)
        key = ".".join(str(part) for part in location)
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown key {key!r}{_hint(location)}") from None
        found = repr(first.get("input"))
        raise ConfigError(
            f"{where}: {key or 'recipe'}: {first['msg']}, found {found[:80]}"
        ) from None


def _set(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}: expected key.path=value")
    node: Any = tree
    *parents, last = key.split(".")
    for part in parents:
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
            continue
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        if not isinstance(node, dict) or not isinstance(node[part], dict | list):
            raise ConfigError(f"--set {override}: {part!r} holds no keys")
        node = node[part]
    try:
        value = read_yaml(text)
    except RepeatedKey as error:
        raise ConfigError(f"--set {key}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: expected a YAML value") from error
    if isinstance(node, list):
        if not last.isdigit() or int(last) >= len(node):
            raise ConfigError(f"--set {override}: expected an index below {len(node)}")
        node[int(last)] = value
    else:
        node[last] = value


def _hint(location: tuple[int | str, ...]) -> str:
    """What the level of an unknown key accepts, nearest name first."""
    model: Any = Recipe
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        model = _model_of(model.model_fields[part].annotation)
        if model is None:
            return ""
    names = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    return (f", did you mean {near[0]!r}?" if near else "") + f" (expected {', '.join(names)})"


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    origins = (tuple, list, types.UnionType, typing.Union, typing.Annotated)
    if typing.get_origin(annotation) in origins:
        for argument in typing.get_args(annotation):
            if (model := _model_of(argument)) is not None:
                return model
    return None
