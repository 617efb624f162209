"""Where a parameter's values are drawn from: one key of a YAML mapping, as Ray Tune names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from truelead.config import Scalar
from truelead.errors import ConfigError

_GOLDEN = 0.381966011250105


@dataclass(frozen=True)
class Distribution:
    """Values of one parameter.

    Attributes:
        kind: a name of `DISTRIBUTIONS`.
        values: the choices; of a range the lower and the upper end.
    """

    kind: str
    values: tuple[Scalar, ...]

    def domain(self) -> Any:
        """The search domain of Ray Tune."""
        from ray import tune

        make = getattr(tune, self.kind)
        return make(list(self.values)) if self.kind == "choice" else make(*self.values)

    def examples(self) -> tuple[Scalar, ...]:
        """Every choice; of a range both ends and a value between, none of them outside."""
        if self.kind == "choice":
            return self.values
        low, high = (float(str(value)) for value in self.values)
        between = low + _GOLDEN * (high - low)
        if self.kind in ("randint", "lograndint"):
            return (int(low), int(between), int(high) - 1)
        return (low, between, high)

    def count(self) -> float:
        """How many values there are, infinity for a range of real numbers."""
        if self.kind == "choice":
            return len(self.values)
        if self.kind in ("randint", "lograndint"):
            low, high = (int(str(value)) for value in self.values)
            return high - low
        return math.inf


def parse_distribution(where: str, tree: Any) -> Distribution:
    """One distribution of a space file, such as `{loguniform: [1, 50]}`.

    Raises:
        ConfigError: no known distribution, an empty range, or ends that are not numbers.
    """
    if not isinstance(tree, Mapping) or len(tree) != 1:
        raise ConfigError(
            f"{where}: expected one of {', '.join(DISTRIBUTIONS)} with its values, found {tree!r}"
        )
    kind, values = next(iter(tree.items()))
    if kind not in DISTRIBUTIONS:
        raise ConfigError(f"{where}: expected one of {', '.join(DISTRIBUTIONS)}, found {kind!r}")
    if not isinstance(values, list):
        raise ConfigError(f"{where}: {kind}: expected a list, found {values!r}")
    DISTRIBUTIONS[kind](f"{where}: {kind}", values)
    return Distribution(str(kind), tuple(values))


def _check_choices(where: str, values: list[Any]) -> None:
    if not values:
        raise ConfigError(f"{where}: expected at least one value, found none")
    for value in values:
        if not isinstance(value, str | int | float | bool | None):
            raise ConfigError(f"{where}: expected texts, numbers or truth values, found {value!r}")
    if len({(type(value), value) for value in values}) < len(values):
        raise ConfigError(f"{where}: expected distinct values, found {values!r}")


def _check_range(where: str, values: list[Any]) -> None:
    if len(values) != 2 or not all(_is_number(value) for value in values):
        raise ConfigError(f"{where}: expected [lower, upper] numbers, found {values!r}")
    if not values[0] < values[1]:
        raise ConfigError(f"{where}: expected lower below upper, found the empty range {values!r}")


def _check_whole_range(where: str, values: list[Any]) -> None:
    _check_range(where, values)
    if not all(isinstance(value, int) for value in values):
        raise ConfigError(f"{where}: expected whole numbers, found {values!r}")


def _check_positive(check: Callable[[str, list[Any]], None]) -> Callable[[str, list[Any]], None]:
    def checked(where: str, values: list[Any]) -> None:
        check(where, values)
        if values[0] <= 0:
            raise ConfigError(f"{where}: expected a lower end above 0, found {values!r}")

    return checked


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


DISTRIBUTIONS: dict[str, Callable[[str, list[Any]], None]] = {
    "choice": _check_choices,
    "uniform": _check_range,
    "loguniform": _check_positive(_check_range),
    "randint": _check_whole_range,
    "lograndint": _check_positive(_check_whole_range),
}
"""Distributions by the name of their Ray Tune function, with the check of their values. As there,
whole-number ranges leave out their upper end."""
