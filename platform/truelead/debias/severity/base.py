"""What every severity provider is."""

from __future__ import annotations

from typing import Protocol

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
