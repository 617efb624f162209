"""A search space: which parts of a recipe are varied, how, and how long each trial trains.

A space is a YAML file. It is checked against the recipe, value by value, before the first trial.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from truelead.config import Frozen, Recipe, Scalar, parse_recipe, read_mapping
from truelead.errors import ConfigError
from truelead.sweep.distributions import Distribution, parse_distribution

SEARCHED = ("pretrain", "projector", "language_model", "severity")
"""Parts of a recipe that a trial may vary: they leave the shards, the encoder and the questions
of the development ECGs as they are, which all trials share."""

_MAXIMUM_CHECKED = 1024

Values = dict[str, Scalar]
"""Config path -> value."""


class SchedulerConfig(Frozen):
    """Which trials are stopped early.

    `asha` scores a trial after `grace_steps` steps and after each `reduction` times as many, and
    stops it where it is not among the best 1 / `reduction` of those scored so far. `none` scores
    every trial once, at its end.
    """

    name: Literal["asha", "none"] = "asha"
    grace_steps: int = Field(50, ge=1)
    reduction: float = Field(3.0, gt=1)


class SearchSpace(Frozen):
    """What a sweep tries.

    Attributes:
        metric: share of right answers to the development questions: asked evenly by do(Q)
            ("balanced"), or by the confounded process ("confounded").
        fixed: config path -> value of every trial.
        parameters: config path -> where its values are drawn from.
        max_steps: pre-training steps of a trial that is not stopped, by default the recipe's.
        concurrent: trials at the same time, by default as many as the cluster can hold.
        seed: of the drawn values, by default the recipe's.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    metric: Literal["balanced", "confounded"] = "balanced"
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(min_length=1)
    trials: int = Field(ge=1)
    max_steps: int | None = Field(None, ge=1)
    concurrent: int | None = Field(None, ge=1)
    seed: int | None = None
    scheduler: SchedulerConfig = SchedulerConfig()

    @property
    def distributions(self) -> dict[str, Distribution]:
        """Config path -> distribution.

        Raises:
            ConfigError: see `parse_distribution`.
        """
        return {
            path: parse_distribution(f"{self.name}: parameters: {path}", tree)
            for path, tree in self.parameters.items()
        }

    def rungs(self, recipe: Recipe) -> tuple[int, ...]:
        """After how many steps a trial is scored, rising; the last is its whole length."""
        last = self.max_steps or recipe.pretrain.steps
        if self.scheduler.name == "none":
            return (last,)
        rungs, step = [], float(self.scheduler.grace_steps)
        while step < last:
            rungs.append(math.ceil(step))
            step *= self.scheduler.reduction
        return tuple(dict.fromkeys([*rungs, last]))

    def draw(self, recipe: Recipe) -> tuple[Values, ...]:
        """The values of each trial, all different; a small space may hold fewer than `trials`.

        A pure function of the space and the seed.
        """
        import numpy as np

        seed = recipe.seed if self.seed is None else self.seed
        random = np.random.RandomState(seed % 2**32)  # what Ray Tune's domains take
        distributions = self.distributions
        domains = {path: found.domain() for path, found in distributions.items()}
        count = 1.0
        for found in distributions.values():
            count *= found.count()
        drawn: dict[tuple[Scalar, ...], Values] = {}
        while len(drawn) < min(self.trials, count):
            values = {path: _plain(d.sample(random_state=random)) for path, d in domains.items()}
            drawn.setdefault(tuple(values.values()), values)
        return tuple(drawn.values())


def load_space(path: str | Path) -> SearchSpace:
    """Read a space file.

    Raises:
        ConfigError: the file is missing or no mapping; a key is unknown; a value does not fit.
    """
    tree = read_mapping(path, file="a search space", keys="search space keys")
    return parse_space(tree, where=str(path))


def parse_space(tree: Mapping[str, Any], where: str = "space") -> SearchSpace:
    """Check a mapping against `SearchSpace`; one line names the first wrong key."""
    try:
        space = SearchSpace.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(SearchSpace.model_fields)
            raise ConfigError(f"{where}: unknown key {key!r} (expected {known})") from None
        if first["type"] == "missing":
            raise ConfigError(f"{where}: {key}: expected this key, found none") from None
        found = repr(first.get("input"))
        raise ConfigError(f"{where}: {key}: {first['msg']}, found {found[:80]}") from None
    assert space.distributions
    return space


def with_values(recipe: Recipe, values: Mapping[str, Scalar], where: str = "space") -> Recipe:
    """The recipe with the values at their config paths.

    Raises:
        ConfigError: a path is not in the recipe, or a value does not fit there.
    """
    tree: dict[str, Any] = copy.deepcopy(recipe.model_dump(mode="json"))
    for path, value in values.items():
        node: Any = tree
        *parents, last = path.split(".")
        for part in parents:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            raise ConfigError(f"{where}: unknown path {path!r}: {'.'.join(parents)!r} has no keys")
        node[last] = value
    return parse_recipe(tree, where=where)


def check_space(recipe: Recipe, space: SearchSpace) -> None:
    """Try the ends and choices of every parameter on the recipe.

    Raises:
        ConfigError: a path may not be searched or is unknown; a value does not fit; a strategy,
            projector or option does not exist.
    """
    where = f"{space.name}: parameters"
    _check_roots(f"{space.name}: fixed", space.fixed)
    _check_roots(where, space.parameters)
    for path in space.fixed.keys() & space.parameters.keys():
        raise ConfigError(f"{where}: {path}: expected one place, found it under fixed as well")
    if space.rungs(recipe)[-1] < 1:
        raise ConfigError(f"{space.name}: max_steps: expected at least 1, found pretrain.steps 0")
    base = with_values(recipe, space.fixed, f"{space.name}: fixed")
    if base.pretrain.ecgs_per_step < base.train.workers:
        raise ConfigError(
            f"{space.name}: pretrain.ecgs_per_step: expected at least train.workers = "
            f"{base.train.workers}, found {base.pretrain.ecgs_per_step}"
        )
    examples = {path: found.examples() for path, found in space.distributions.items()}
    for path, found in examples.items():
        for value in found:
            with_values(base, {path: value}, where)
    combinations = itertools.product(*examples.values())
    for combination in itertools.islice(combinations, _MAXIMUM_CHECKED):
        check_names(with_values(base, dict(zip(examples, combination, strict=True)), where), where)


def check_names(recipe: Recipe, where: str) -> None:
    """Check the names and options that a pre-training looks up, before anything is trained.

    Raises:
        ConfigError: a strategy, projector, severity or option does not exist.
    """
    from truelead.debias.adjustment import ADJUSTMENTS
    from truelead.debias.severity import SEVERITIES, severity_name, severity_provider
    from truelead.model.projector import PROJECTORS

    for path, name, known in (
        ("pretrain.strategy", recipe.pretrain.strategy, ADJUSTMENTS),
        ("projector.name", recipe.projector.name, PROJECTORS),
        ("severity", severity_name(recipe.severity), SEVERITIES),
    ):
        if name not in known:
            raise ConfigError(
                f"{where}: {path}: expected one of {', '.join(known)}, found {name!r}"
            )
    try:
        severity_provider(recipe.severity)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    strategy = ADJUSTMENTS[recipe.pretrain.strategy]
    _check_options(f"{where}: pretrain.options", recipe.pretrain.options, strategy.OPTIONS)
    projector = inspect.signature(PROJECTORS[recipe.projector.name]).parameters.values()
    accepted = {p.name: p.default for p in projector if p.kind is p.KEYWORD_ONLY}
    _check_options(f"{where}: projector.options", recipe.projector.options, accepted)


def _check_options(
    where: str, options: Mapping[str, Scalar], accepted: Mapping[str, Scalar]
) -> None:
    for name, value in options.items():
        if name not in accepted:
            known = ", ".join(accepted) or "none"
            raise ConfigError(f"{where}: unknown option {name!r} (expected {known})")
        default = accepted[name]
        if default is None or value is None:
            continue
        fits = type(value) is type(default) or (type(default), type(value)) == (float, int)
        if not fits:
            raise ConfigError(
                f"{where}: {name}: expected {type(default).__name__}, found {value!r}"
            )


def _check_roots(where: str, paths: Mapping[str, Any]) -> None:
    known = ", ".join(SEARCHED)
    for path in paths:
        root = path.split(".")[0]
        if root not in Recipe.model_fields:
            raise ConfigError(f"{where}: unknown path {path!r} (expected below {known})")
        if root not in SEARCHED:
            raise ConfigError(
                f"{where}: {path}: expected a path below {known}: the trials share the rest"
            )
        if path == "pretrain.steps":
            raise ConfigError(f"{where}: {path}: expected max_steps to say how long a trial is")


def _plain(value: Any) -> Scalar:
    """A NumPy scalar as Python's own."""
    plain: Scalar = value.item() if hasattr(value, "item") else value
    return plain
