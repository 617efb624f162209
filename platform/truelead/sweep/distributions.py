"""Where a parameter's values are drawn from: one key of a YAML mapping, as Ray Tune names them.

Beside the distribution an entry may hold `when` (the values of other parameters under which this
one is there at all) and `points` (how many values of a range a grid takes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from truelead.config import Scalar
from truelead.errors import ConfigError

_GOLDEN = 0.381966011250105
WHEN, POINTS = "when", "points"
_WHOLE = ("randint", "lograndint")
_LOGARITHMIC = ("loguniform", "lograndint")

Conditions = Mapping[str, tuple[Scalar, ...]]
"""Config path -> the values under which a parameter is there."""


@dataclass(frozen=True)
class Distribution:
    """Values of one parameter.

    Attributes:
        kind: a name of `DISTRIBUTIONS`.
        values: the choices; of a range the lower and the upper end.
        when: every one of these must hold, else a trial does without the parameter.
        points: values of a range that a grid takes, None where it was not said.
    """

    kind: str
    values: tuple[Scalar, ...]
    when: Conditions = field(default_factory=dict)
    points: int | None = None

    @property
    def is_whole(self) -> bool:
        """A range of whole numbers, without its upper end."""
        return self.kind in _WHOLE

    @property
    def is_logarithmic(self) -> bool:
        """A range whose logarithm is even."""
        return self.kind in _LOGARITHMIC

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value of a range, both of them drawn."""
        low, high = (float(str(value)) for value in self.values)
        return (low, high - 1) if self.is_whole else (low, high)

    def is_active(self, values: Mapping[str, Scalar]) -> bool:
        """Whether a trial with these values of the other parameters has this one."""
        return all(
            path in values and _among(values[path], wanted) for path, wanted in self.when.items()
        )

    def domain(self) -> Any:
        """The search domain of Ray Tune."""
        from ray import tune

        make = getattr(tune, self.kind)
        return make(list(self.values)) if self.kind == "choice" else make(*self.values)

    def suggest(self, path: str, trial: Any) -> Scalar:
        """A value that Optuna's `trial` proposes."""
        found: Scalar
        if self.kind == "choice":
            found = trial.suggest_categorical(path, self.values)
            return found
        low, high = self.ends
        if self.is_whole:
            found = trial.suggest_int(path, int(low), int(high), log=self.is_logarithmic)
            return found
        found = trial.suggest_float(path, low, high, log=self.is_logarithmic)
        return found

    def optuna(self) -> Any:
        """The distribution as Optuna's."""
        from optuna import distributions

        if self.kind == "choice":
            return distributions.CategoricalDistribution(self.values)
        low, high = self.ends
        if self.is_whole:
            return distributions.IntDistribution(int(low), int(high), log=self.is_logarithmic)
        return distributions.FloatDistribution(low, high, log=self.is_logarithmic)

    def examples(self) -> tuple[Scalar, ...]:
        """Every choice; of a range both ends and a value between, none of them outside."""
        if self.kind == "choice":
            return self.values
        low, high = self.ends
        between = low + _GOLDEN * (high - low)
        if self.is_whole:
            return (int(low), int(between), int(high))
        return (low, between, high)

    def count(self) -> float:
        """How many values there are, infinity for a range of real numbers."""
        if self.kind == "choice":
            return len(self.values)
        low, high = self.ends
        return high - low + 1 if self.is_whole else math.inf

    def grid(self) -> tuple[Scalar, ...]:
        """The values that a grid takes, rising: evenly spread over the range, or its logarithm.

        Raises:
            ConfigError: a range of real numbers without `points`.
        """
        if self.kind == "choice":
            return self.values
        low, high = self.ends
        if self.points is None and not self.is_whole:
            raise ConfigError("expected points: N beside the range, which a grid needs, found none")
        count = self.points or int(high - low) + 1
        if count == 1:
            return (int(low) if self.is_whole else low,)
        bottom, top = (math.log(low), math.log(high)) if self.is_logarithmic else (low, high)
        between = [bottom + step * (top - bottom) / (count - 1) for step in range(1, count - 1)]
        spread = [math.exp(value) if self.is_logarithmic else value for value in between]
        found = [low, *spread, high]
        return tuple(dict.fromkeys(round(value) if self.is_whole else value for value in found))


def parse_distribution(where: str, tree: Any) -> Distribution:
    """One distribution of a space file, such as `{loguniform: [1, 50]}`.

    Raises:
        ConfigError: no known distribution, an empty range, or ends that are not numbers; `when`
            is no mapping of values; `points` is no number or stands beside choices.
    """
    names = [key for key in tree if key not in (WHEN, POINTS)] if isinstance(tree, Mapping) else []
    if len(names) != 1:
        raise ConfigError(
            f"{where}: expected one of {', '.join(DISTRIBUTIONS)} with its values, found {tree!r}"
        )
    kind, values = names[0], tree[names[0]]
    if kind not in DISTRIBUTIONS:
        raise ConfigError(f"{where}: expected one of {', '.join(DISTRIBUTIONS)}, found {kind!r}")
    if not isinstance(values, list):
        raise ConfigError(f"{where}: {kind}: expected a list, found {values!r}")
    DISTRIBUTIONS[kind](f"{where}: {kind}", values)
    found = Distribution(
        str(kind), tuple(values), _conditions(where, tree.get(WHEN, {})), tree.get(POINTS)
    )
    points = found.points
    if points is not None and (type(points) is not int or points < 1 or kind == "choice"):
        raise ConfigError(
            f"{where}: points: expected a whole number above 0 beside a range, found {points!r}"
        )
    return found


def _conditions(where: str, tree: Any) -> dict[str, tuple[Scalar, ...]]:
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"{where}: when: expected a mapping of other parameters to values, found {tree!r}"
        )
    found = {}
    for path, wanted in tree.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        _check_choices(f"{where}: when: {path}", values)
        found[str(path)] = tuple(values)
    return found


def _among(value: Scalar, wanted: tuple[Scalar, ...]) -> bool:
    return any(value == other and type(value) is type(other) for other in wanted)


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
