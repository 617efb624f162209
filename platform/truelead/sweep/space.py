"""A search space: which parts of a recipe are varied, how, how long each trial trains, and by what
the trials are judged.

A space is a YAML file. `checking.py` tries it on the recipe, value by value, before the first
trial; `sampling.py` draws from it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from truelead.config import Frozen, Recipe, Scalar, parse_recipe, read_mapping
from truelead.errors import ConfigError
from truelead.sweep.distributions import Distribution, parse_distribution

Values = dict[str, Scalar]
"""Config path -> value."""

StageName = Literal["pretrain", "finetune"]
Metric = Literal["balanced", "confounded", "reliance"]
Objective = Literal["balanced", "confounded", "cost"]


class SchedulerConfig(Frozen):
    """Which trials are stopped early, or changed while they train (schedulers of Ray Tune).

    `asha` scores a trial after `grace_steps` steps and after each `reduction` times as many. With
    the type `promotion` it is left there, and goes on once it is among the best 1 / `reduction` of
    those scored so far; with `stopping` (Ray Tune's own) it goes on at once where it is among them
    at that moment, and is stopped for good where it is not. `median` scores
    it as often, and stops it where its best score is below the median of the others' means.
    `pbt` trains all trials together and every `interval_steps` steps lets the worst `quantile` go
    on from the checkpoints of the best, with `mutate` changed. `none` scores every trial once, at
    its end.

    Attributes:
        type: of `asha`.
        grace_steps: by default a whole trial's, divided by `reduction` twice.
        by: what `asha` and `median` compare trials by: the mean probability of the right answers to
            the questions of the metric, which moves before the answers do, or the share of right
            answers. The winner is chosen by the share.
        samples: trials that `median` needs for a median.
        mutate: config paths of the space's parameters that `pbt` changes during training.
        resample: how often `pbt` draws a changed parameter anew instead of moving it.
    """

    name: Literal["asha", "median", "pbt", "none"] = "asha"
    type: Literal["promotion", "stopping"] = "promotion"
    grace_steps: int | None = Field(None, ge=1)
    reduction: float = Field(3.0, gt=1)
    by: Literal["probability", "answers"] = "probability"
    samples: int = Field(3, ge=2)
    interval_steps: int = Field(40, ge=1)
    quantile: float = Field(0.25, gt=0, le=0.5)
    resample: float = Field(0.25, ge=0, le=1)
    mutate: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _only_pbt_mutates(self) -> SchedulerConfig:
        if (self.name == "pbt") != bool(self.mutate):
            raise ValueError("mutate: expected with the scheduler pbt, and only with it")
        return self

    @model_validator(mode="after")
    def _only_asha_has_types(self) -> SchedulerConfig:
        if self.name != "asha" and "type" in self.model_fields_set:
            raise ValueError(f"type: expected only with the scheduler asha, found {self.name}")
        return self


class SearchConfig(Frozen):
    """Where a trial's values come from.

    `random` draws them, all different. `grid` takes every combination, ranges by their `points`.
    `optuna` proposes them by the trials so far (a tree-structured Parzen estimator; Bergstra et
    al., NeurIPS 2011).

    Attributes:
        startup_trials: drawn at random before `optuna` proposes.
        multi_objective: `optuna` looks for the Pareto front of all objectives, not for the metric.
    """

    name: Literal["random", "grid", "optuna"] = "random"
    startup_trials: int = Field(8, ge=1)
    multi_objective: bool = False


class FinalConfig(Frozen):
    """The winner trained again over seeds, beside baselines, and judged once on the test set.

    Attributes:
        seeds: of the trainings, none of them the sweep's own; empty: nothing is trained again.
        baselines: name -> config path -> value of what the winner is compared with.
        margin_points: the winner is called not worse where the interval of its difference leaves
            out a loss of more than so many percentage points.
    """

    seeds: tuple[int, ...] = ()
    baselines: dict[str, dict[str, Scalar]] = Field(default_factory=dict)
    margin_points: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _names_are_names(self) -> FinalConfig:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: expected distinct ones, found {list(self.seeds)}")
        for name in self.baselines:
            if not name.replace("-", "").isalnum() or name == "winner":
                raise ValueError(f"baselines: expected names of letters and digits, found {name!r}")
        if self.baselines and not self.seeds:
            raise ValueError("baselines: expected together with seeds, found no seeds")
        return self


class SearchSpace(Frozen):
    """What a sweep tries.

    Attributes:
        stages: of the language model's training that a trial runs through.
        metric: share of right answers to the development questions by which the scheduler stops
            trials and the winner is chosen: asked evenly by do(Q) ("balanced"), or by the
            confounded process ("confounded").
        objectives: what the Pareto front is made of; cost is to be small, the others large.
        cost: "seconds" of training, "parameters" of the model, or "flops" of an answer.
        constraints: metric -> least value that a trial may have and be chosen; "reliance" is how
            much accuracy another patient's ECG costs.
        fixed: config path -> value of every trial.
        parameters: config path -> where its values are drawn from.
        max_steps: pre-training steps of a trial that is not stopped, by default the recipe's. A
            shorter trial's tuning is shorter in proportion.
        concurrent: trials at the same time, by default as many as the cluster can hold.
        deterministic: run one trial after the other, so that a sweep that was interrupted ends as
            one that was not.
        seed: of the drawn values, by default the recipe's.
        retries: how often a trial is tried again after its process has died.
        budget_hours: after so many hours no further trial is started; the next start goes on.
        patience: no further trial is started when so many in a row were no better.
        storage: URL (fsspec) to which journal, results and models are copied as the sweep goes on.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    stages: tuple[StageName, ...] = ("pretrain",)
    metric: Literal["balanced", "confounded"] = "balanced"
    objectives: tuple[Objective, ...] = Field(("balanced", "confounded", "cost"), min_length=1)
    cost: Literal["seconds", "parameters", "flops"] = "seconds"
    constraints: dict[Metric, float] = Field(default_factory=dict)
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(min_length=1)
    search: SearchConfig = SearchConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    trials: int = Field(ge=1)
    max_steps: int | None = Field(None, ge=1)
    concurrent: int | None = Field(None, ge=1)
    deterministic: bool = False
    seed: int | None = None
    retries: int = Field(2, ge=0)
    budget_hours: float | None = Field(None, gt=0)
    patience: int | None = Field(None, ge=1)
    final: FinalConfig = FinalConfig()
    storage: str | None = Field(None, pattern="://|::")

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> SearchSpace:
        if self.stages not in (("pretrain",), ("pretrain", "finetune")):
            raise ValueError(
                f"stages: expected [pretrain] or [pretrain, finetune], found {list(self.stages)}"
            )
        if self.metric not in self.objectives:
            raise ValueError(f"objectives: expected the metric {self.metric} among them")
        if self.deterministic and self.scheduler.name == "pbt":
            raise ValueError(
                "deterministic: expected a scheduler that repeats itself, found pbt: Ray Tune's "
                "takes no seed"
            )
        if self.deterministic and (self.concurrent or 1) > 1:
            raise ValueError(
                f"concurrent: expected 1 with deterministic, found {self.concurrent}: what is "
                "stopped or proposed depends on which of two trials ends first"
            )
        if (
            self.deterministic
            and self.cost == "seconds"
            and "cost" in self.objectives
            and self.search.multi_objective
        ):
            raise ValueError(
                "cost: expected parameters or flops with deterministic and multi_objective, found "
                "seconds"
            )
        if self.scheduler.name == "pbt" and self.search.name != "random":
            raise ValueError(
                f"search: expected random with the scheduler pbt, found {self.search.name}"
            )
        if self.scheduler.name == "pbt" and self.concurrent is not None:
            raise ValueError(
                "concurrent: expected none with the scheduler pbt, whose members take turns, found "
                f"{self.concurrent}"
            )
        if self.scheduler.name == "pbt" and self.stages != ("pretrain",):
            raise ValueError("stages: expected [pretrain] with the scheduler pbt")
        if self.search.multi_objective and self.search.name != "optuna":
            raise ValueError("search.multi_objective: expected with the search optuna")
        if self.search.multi_objective and self.scheduler.name != "none":
            raise ValueError(
                "scheduler: expected none with multi_objective, found "
                f"{self.scheduler.name}: a trial that is stopped early has no place on the front"
            )
        return self

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

    @property
    def promotes(self) -> bool:
        """Whether trials are left at a rung and promoted later."""
        return self.scheduler.name == "asha" and self.scheduler.type == "promotion"

    @property
    def one_at_a_time(self) -> bool:
        """Whether the next trial must wait for the one before."""
        return self.deterministic or self.concurrent == 1

    def seed_of(self, recipe: Recipe) -> int:
        """What values are drawn by."""
        return recipe.seed if self.seed is None else self.seed

    def rungs(self, recipe: Recipe) -> tuple[int, ...]:
        """After how many steps a trial is scored, rising; the last is its whole length."""
        last = self.max_steps or recipe.pretrain.steps
        if self.scheduler.name == "none":
            return (last,)
        if self.scheduler.name == "pbt":
            return (
                *range(self.scheduler.interval_steps, last, self.scheduler.interval_steps),
                last,
            )
        reduction = self.scheduler.reduction
        rungs, step = [], float(self.scheduler.grace_steps or max(1.0, last / reduction**2))
        while step < last:
            rungs.append(math.ceil(step))
            step *= reduction
        return tuple(dict.fromkeys([*rungs, last]))


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
        if first["type"] == "value_error":
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{where}: {f'{key}: ' if key else ''}{message}") from None
        found = repr(first.get("input"))
        raise ConfigError(f"{where}: {key}: {first['msg']}, found {found[:80]}") from None
    assert space.distributions
    return space


def with_values(recipe: Recipe, values: Mapping[str, Scalar], where: str = "space") -> Recipe:
    """The recipe with the values at their config paths.

    A severity that the recipe names plainly takes `severity.strata` as well.

    Raises:
        ConfigError: a path is not in the recipe, or a value does not fit there.
    """
    tree: dict[str, Any] = copy.deepcopy(recipe.model_dump(mode="json"))
    # The name first: its strata stand below it.
    for path, value in sorted(values.items(), key=lambda item: item[0] != "severity"):
        node: Any = tree
        room, inside, option = path.partition(".options.")
        # What stands behind "options" is one key, though it may hold a dot ("draws.clip").
        *parents, last = [*room.split("."), "options", option] if inside else path.split(".")
        for part in parents:
            if part == "severity" and isinstance(node.get(part), str) and last == "strata":
                node[part] = {"name": node[part]}
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            raise ConfigError(f"{where}: unknown path {path!r}: {'.'.join(parents)!r} has no keys")
        node[last] = value
    return parse_recipe(tree, where=where)
