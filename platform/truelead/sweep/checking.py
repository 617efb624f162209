"""Tries a space on the recipe before anything is trained; what does not fit is one clear line.

Everything that a trial looks up by name, builds, or counts on is tried here with the ends and
choices of every parameter: paths, types, options, the projector, the language model's sizes, and
(once the shards are there) the strategies themselves.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Mapping, Sequence

from truelead.config import Recipe, Scalar, StageConfig
from truelead.debias.setup import Setup
from truelead.errors import ConfigError, ModelError, QuestionError
from truelead.sweep.sampling import combinations, grid, ordered
from truelead.sweep.space import SearchSpace, Values, with_values

SEARCHED = (
    "pretrain",
    "finetune",
    "projector",
    "language_model",
    "severity",
    "encoder",
    "encoder_training",
    "train.dtype",
    "train.gradient_clipping",
)
"""Parts of a recipe that a trial may vary: they leave the ECGs and the questions by which all
trials are compared as they are."""

_ENCODER = ("encoder", "encoder_training")
_MAXIMUM_CHECKED = 256
_MAXIMUM_BUILT = 64


def check_space(recipe: Recipe, space: SearchSpace) -> None:
    """Try the ends and choices of every parameter on the recipe.

    Raises:
        ConfigError: a path may not be searched or is unknown; a value does not fit; a strategy,
            projector or option does not exist; two parts of the space contradict each other.
    """
    where = f"{space.name}: parameters"
    _check_roots(f"{space.name}: fixed", space.fixed, space)
    _check_roots(where, space.parameters, space)
    for path in space.fixed.keys() & space.parameters.keys():
        raise ConfigError(f"{where}: {path}: expected one place, found it under fixed as well")
    if space.rungs(recipe)[-1] < 1:
        raise ConfigError(f"{space.name}: max_steps: expected at least 1, found pretrain.steps 0")
    parameters = ordered(space)
    _check_scheduler(space)
    if space.search.name == "grid":
        grid(space)
    base = with_values(recipe, space.fixed, f"{space.name}: fixed")
    if base.pretrain.ecgs_per_step < base.train.workers:
        raise ConfigError(
            f"{space.name}: pretrain.ecgs_per_step: expected at least train.workers = "
            f"{base.train.workers}, found {base.pretrain.ecgs_per_step}"
        )
    for seed in space.final.seeds:
        if seed == recipe.seed:
            raise ConfigError(
                f"{space.name}: final.seeds: expected others than the sweep's own seed {seed}, by "
                "which the winner was chosen"
            )
    for name, values in space.final.baselines.items():
        _check_roots(f"{space.name}: final.baselines: {name}", values, space)
        place = f"{space.name}: final.baselines: {name}"
        check_names(with_values(recipe, values, place), place)
    for values in examples(space):
        # A wrong value is named alone before it is tried with the others.
        for path, value in values.items():
            if not parameters[path].when:
                with_values(base, {path: value}, where)
        check_names(with_values(base, values, where), where)


def examples(space: SearchSpace) -> Sequence[Values]:
    """Combinations of the ends and choices of every parameter, each at least once."""
    parameters = ordered(space)
    tried = {path: found.examples() for path, found in parameters.items()}
    found = list(itertools.islice(combinations(parameters, tried), _MAXIMUM_CHECKED))
    if len(found) < _MAXIMUM_CHECKED:
        return found
    # Too many to try all: every value once, with the first that makes it active.
    first = {path: values[0] for path, values in tried.items()}
    for path, values in tried.items():
        for value in values:
            one = {**first, path: value}
            for parent, wanted in parameters[path].when.items():
                one[parent] = wanted[0]
            found.append(_active(parameters, one))
    return found


def _active(parameters: Mapping[str, object], values: Values) -> Values:
    kept: Values = {}
    for path, parameter in parameters.items():
        if path in values and parameter.is_active(kept):  # type: ignore[attr-defined]
            kept[path] = values[path]
    return kept


def check_strategies(recipe: Recipe, space: SearchSpace, setup: Setup) -> None:
    """Make each strategy that the space's ends and choices name; the shards must be there.

    Raises:
        ConfigError: a strategy refuses an option's value.
    """
    from truelead.debias.adjustment import build_adjustment

    tried: set[tuple[str, str]] = set()
    for values in examples(space):
        found = with_values(recipe, {**space.fixed, **values}, space.name)
        for stage in space.stages:
            config: StageConfig = getattr(found, stage)
            key = (config.strategy, repr(sorted(config.options.items())))
            if key in tried or len(tried) >= _MAXIMUM_BUILT:
                continue
            tried.add(key)
            try:
                build_adjustment(config, setup, recipe.seed)
            except (ConfigError, QuestionError) as error:
                raise ConfigError(f"{space.name}: {stage}: {error}") from None


def varies_encoder(space: SearchSpace) -> bool:
    """Whether some trials need another encoder than the run's own."""
    return any(path.split(".")[0] in _ENCODER for path in (*space.parameters, *space.fixed))


def check_names(recipe: Recipe, where: str) -> None:
    """Check what a training looks up and builds, before anything is trained.

    Raises:
        ConfigError: a strategy, projector, encoder, severity or option does not exist; the
            projector or the language model cannot be built with these sizes.
    """
    from truelead.debias.adjustment import ADJUSTMENTS
    from truelead.debias.severity import SEVERITIES, severity_name, severity_provider
    from truelead.model.encoder import ENCODERS
    from truelead.model.projector import PROJECTORS

    for path, name, known in (
        ("pretrain.strategy", recipe.pretrain.strategy, ADJUSTMENTS),
        ("finetune.strategy", recipe.finetune.strategy, ADJUSTMENTS),
        ("projector.name", recipe.projector.name, PROJECTORS),
        ("encoder.name", recipe.encoder.name, ENCODERS),
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
    for stage in (recipe.pretrain, recipe.finetune):
        place = "pretrain" if stage is recipe.pretrain else "finetune"
        strategy = ADJUSTMENTS[stage.strategy]
        _check_options(f"{where}: {place}.options", stage.options, strategy.OPTIONS)
    _check_options(
        f"{where}: projector.options",
        recipe.projector.options,
        _keywords(PROJECTORS[recipe.projector.name]),
    )
    _check_options(
        f"{where}: encoder.options",
        recipe.encoder.options,
        _keywords(ENCODERS[recipe.encoder.name]),
    )
    _check_sizes(recipe, where)


def _check_sizes(recipe: Recipe, where: str) -> None:
    """Build the projector without memory, at the sizes that the recipe's own model has."""
    import torch

    from truelead.model.projector import PROJECTORS

    sizes = recipe.language_model
    if sizes.path is None and sizes.hidden_size % (2 * sizes.heads):
        raise ConfigError(
            f"{where}: language_model.hidden_size: expected a multiple of twice the "
            f"{sizes.heads} heads, found {sizes.hidden_size}"
        )
    if sizes.path is not None:
        return  # its width is known once it is loaded
    try:
        with torch.device("meta"):
            PROJECTORS[recipe.projector.name](
                16, sizes.hidden_size, **dict(recipe.projector.options)
            )
    except (ModelError, TypeError, ValueError, AssertionError, RuntimeError) as error:
        options = ", ".join(f"{name}={value}" for name, value in recipe.projector.options.items())
        raise ConfigError(
            f"{where}: projector.options: expected what {recipe.projector.name} can be built with, "
            f"found {options}: {' '.join(str(error).split())}"
        ) from None


def _keywords(kind: type) -> dict[str, Scalar]:
    found = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}


def _check_options(
    where: str, options: Mapping[str, Scalar], accepted: Mapping[str, Scalar]
) -> None:
    for name, value in options.items():
        if name not in accepted and not _belongs_to_draws(name, options):
            known = ", ".join(accepted) or "none"
            raise ConfigError(f"{where}: unknown option {name!r} (expected {known})")
        default = accepted.get(name)
        if default is None or value is None:
            continue
        fits = type(value) is type(default) or (type(default), type(value)) == (float, int)
        if not fits:
            raise ConfigError(
                f"{where}: {name}: expected {type(default).__name__}, found {value!r}"
            )


def _belongs_to_draws(name: str, options: Mapping[str, Scalar]) -> bool:
    """An option of the draw that a strategy of the loss stands on; the strategy checks it."""
    return name.startswith("draws.") and "draws" in options


def _check_scheduler(space: SearchSpace) -> None:
    where = f"{space.name}: scheduler.mutate"
    for path in space.scheduler.mutate:
        if path not in space.parameters:
            raise ConfigError(f"{where}: expected parameters of the space, found {path!r}")
        if space.distributions[path].when:
            raise ConfigError(f"{where}: {path}: expected a parameter without when")
        if not re.match(r"pretrain\.(options\.|learning_rate$|matrix_learning_rate$)", path):
            raise ConfigError(
                f"{where}: {path}: expected what may change during a training: pretrain.options.*, "
                "pretrain.learning_rate or pretrain.matrix_learning_rate"
            )


def _check_roots(where: str, paths: Mapping[str, object], space: SearchSpace) -> None:
    known = ", ".join(SEARCHED)
    for path in paths:
        root = path.split(".")[0]
        if root not in Recipe.model_fields:
            raise ConfigError(f"{where}: unknown path {path!r} (expected below {known})")
        if not any(path == part or path.startswith(part + ".") for part in SEARCHED):
            raise ConfigError(
                f"{where}: {path}: expected a path below {known}: the trials share the rest"
            )
        if path == "pretrain.steps":
            raise ConfigError(f"{where}: {path}: expected max_steps to say how long a trial is")
        if root == "finetune" and "finetune" not in space.stages:
            raise ConfigError(
                f"{where}: {path}: expected stages: [pretrain, finetune] with it, found "
                f"{list(space.stages)}"
            )
