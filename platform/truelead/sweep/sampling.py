"""Values of trials: drawn at random, or every combination; conditional parameters only if they are.

A parameter with `when` is drawn after those that it depends on, and only where they have the values
that it wants; a trial without it has no value at its path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from truelead.config import Recipe, Scalar
from truelead.errors import ConfigError
from truelead.sweep.distributions import Distribution
from truelead.sweep.space import SearchSpace, Values

_MAXIMUM_GRID = 100_000


def ordered(space: SearchSpace) -> dict[str, Distribution]:
    """The space's parameters, each behind those that it depends on.

    Raises:
        ConfigError: a condition is about something that is no parameter with choices, wants a
            value that is none of them, or depends on itself.
    """
    found = space.distributions
    where = f"{space.name}: parameters"
    for path, one in found.items():
        for parent, wanted in one.when.items():
            if parent not in found or found[parent].kind != "choice":
                raise ConfigError(
                    f"{where}: {path}: when: expected a parameter with choices, found {parent!r}"
                )
            for value in wanted:
                if not any(_same(value, choice) for choice in found[parent].values):
                    raise ConfigError(
                        f"{where}: {path}: when: {parent}: expected one of "
                        f"{', '.join(map(str, found[parent].values))}, found {value!r}"
                    )
    placed: dict[str, Distribution] = {}
    while len(placed) < len(found):
        ready = [
            p for p, one in found.items() if p not in placed and one.when.keys() <= placed.keys()
        ]
        if not ready:
            circle = ", ".join(path for path in found if path not in placed)
            raise ConfigError(f"{where}: when: expected no circle, found one among {circle}")
        placed |= {path: found[path] for path in ready}
    return placed


def draw(space: SearchSpace, recipe: Recipe, count: int) -> tuple[Values, ...]:
    """`count` random trials, all different; a small space may hold fewer.

    A pure function of the space's parameters and seed: a larger count begins with the smaller's.
    """
    import numpy as np

    random = np.random.RandomState(space.seed_of(recipe) % 2**32)  # what Ray Tune's domains take
    parameters = ordered(space)
    domains = {path: found.domain() for path, found in parameters.items()}
    wanted = min(count, size(parameters))
    drawn: dict[tuple[tuple[str, Scalar], ...], Values] = {}
    while len(drawn) < wanted:
        values: Values = {}
        for path, found in parameters.items():
            # Drawn in any case, so that a condition shifts no other parameter's numbers.
            value = _plain(domains[path].sample(random_state=random))
            if found.is_active(values):
                values[path] = value
        drawn.setdefault(tuple(sorted(values.items())), values)
    return tuple(drawn.values())


def grid(space: SearchSpace) -> tuple[Values, ...]:
    """Every combination of the parameters' grids; those that a condition leaves out, once.

    Raises:
        ConfigError: a range of real numbers has no `points`; there are too many combinations.
    """
    grids = {}
    parameters = ordered(space)
    for path, found in parameters.items():
        try:
            grids[path] = found.grid()
        except ConfigError as error:
            raise ConfigError(f"{space.name}: parameters: {path}: {error}") from None
    combined = []
    for values in combinations(parameters, grids):
        combined.append(values)
        if len(combined) > _MAXIMUM_GRID:
            raise ConfigError(f"{space.name}: expected a grid of at most {_MAXIMUM_GRID} trials")
    return tuple(combined)


def combinations(
    parameters: Mapping[str, Distribution], values: Mapping[str, tuple[Scalar, ...]]
) -> Iterator[Values]:
    """Every combination of the listed values, in which a parameter is only where it is active."""

    def extend(left: tuple[str, ...], chosen: Values) -> Iterator[Values]:
        if not left:
            yield dict(chosen)
            return
        path, rest = left[0], left[1:]
        if not parameters[path].is_active(chosen):
            yield from extend(rest, chosen)
            return
        for value in values[path]:
            yield from extend(rest, {**chosen, path: value})

    yield from extend(tuple(parameters), {})


def size(parameters: Mapping[str, Distribution]) -> float:
    """How many different trials there are; infinity with a range of real numbers."""
    if any(math.isinf(found.count()) for found in parameters.values()):
        return math.inf
    whole = {path: _all_values(found) for path, found in parameters.items()}
    count = 0
    for _ in combinations(parameters, whole):
        count += 1
        if count > _MAXIMUM_GRID:
            return math.inf
    return count


def _all_values(found: Distribution) -> tuple[Scalar, ...]:
    if found.kind == "choice":
        return found.values
    low, high = found.ends
    return tuple(range(int(low), int(high) + 1))


def _same(one: Scalar, other: Scalar) -> bool:
    return one == other and type(one) is type(other)


def _plain(value: Any) -> Scalar:
    """A NumPy scalar as Python's own."""
    plain: Scalar = value.item() if hasattr(value, "item") else value
    return plain
