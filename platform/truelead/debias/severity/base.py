"""What every severity provider is, and what some of them can do besides."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from truelead.errors import ConfigError
from truelead.types import Record

NORMAL_CODES = frozenset({"NORM", "SR"})
"""Statements that say all is well: a normal ECG, sinus rhythm."""


class SeverityProvider(Protocol):
    """Gives the severity stratum of a record.

    Attributes:
        name: its name in `SEVERITIES`.
        strata: a name for each stratum, least ill first.
    """

    @property
    def name(self) -> str: ...

    @property
    def strata(self) -> tuple[str, ...]: ...

    def __call__(self, record: Record) -> int:
        """The stratum, 0 .. len(strata) - 1."""
        ...


@runtime_checkable
class AdjustableStrata(Protocol):
    """A provider whose scale can be cut into more or fewer strata."""

    def with_strata(self, count: int) -> SeverityProvider:
        """The provider with this many strata.

        Raises:
            ConfigError: its scale has no such cut.
        """
        ...


@runtime_checkable
class FittedSeverity(Protocol):
    """A provider whose strata are learnt from the ECGs of a run, and read from its folder."""

    def of_run(self, output: Path) -> SeverityProvider:
        """The provider as it was fitted in this run.

        Raises:
            ConfigError: it was not fitted there.
        """
        ...


def abnormal_count(record: Record) -> int:
    """How many statements say that something is wrong; neither NORM nor SR does."""
    return len(set(record.scp_codes) - NORMAL_CODES)


def check_count(name: str, count: int, least: int, most: int) -> None:
    """Refuse a number of strata that a provider's scale does not have.

    Raises:
        ConfigError: `count` is not within `least` .. `most`.
    """
    if not least <= count <= most:
        raise ConfigError(
            f"severity: {name}: expected strata between {least} and {most}, found {count}"
        )
