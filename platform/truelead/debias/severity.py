"""Severity of illness S, the confounder: which stratum a record belongs to, from its labels.

A provider is a part of `SEVERITIES`; its strata are numbered 0 (least ill) upwards.
"""

from __future__ import annotations

from typing import Protocol

from truelead.debias.randomness import generator
from truelead.errors import ConfigError
from truelead.questions.rules import superclasses
from truelead.types import Record


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


class PtbxlSeverity:
    """By PTB-XL's diagnostic superclasses, whatever the statement's likelihood.

    0: no abnormal diagnostic superclass. 1: one of CD (conduction disturbance), HYP
    (hypertrophy), STTC (ST/T change). 2: infarction (superclass MI, or a given infarction
    stadium), or two or more abnormal superclasses.

    Superclasses: Wagner P. et al., PTB-XL, Scientific Data 2020.
    """

    name = "ptbxl"
    strata: tuple[str, ...] = ("none", "one superclass", "infarction or several")

    def __call__(self, record: Record) -> int:
        abnormal = superclasses(record)
        if "MI" in abnormal or any(record.infarction_stadium) or len(abnormal) > 1:
            return 2
        return len(abnormal)


class LabelCountSeverity:
    """By the number of abnormal statements of any kind: none, one or two, three or more.

    A normal ECG (NORM) and sinus rhythm (SR) are not abnormal. Needs no superclass, so it suits
    sets that carry only a list of codes.
    """

    name = "label-count"
    strata: tuple[str, ...] = ("none", "1 or 2 statements", "3 or more statements")

    def __call__(self, record: Record) -> int:
        count = len(set(record.scp_codes) - NORMAL_CODES)
        return 0 if count == 0 else 1 if count <= 2 else 2


class RandomSeverity:
    """Negative control: three strata by a hash of the record's name, telling of no illness.

    An adjustment that helps as much with this severity as with a true one owes its gain to
    something other than the confounder.
    """

    name = "random"
    strata: tuple[str, ...] = ("random 0", "random 1", "random 2")

    def __call__(self, record: Record) -> int:
        return int(generator("severity", record.source, record.record_id).integers(3))


NORMAL_CODES = frozenset({"NORM", "SR"})
"""Statements that say all is well: a normal ECG, sinus rhythm."""

SEVERITIES: dict[str, SeverityProvider] = {
    "ptbxl": PtbxlSeverity(),
    "label-count": LabelCountSeverity(),
    "random": RandomSeverity(),
}


def severity_provider(name: str) -> SeverityProvider:
    """The provider of this name.

    Raises:
        ConfigError: no such provider.
    """
    if name not in SEVERITIES:
        raise ConfigError(f"severity: expected one of {', '.join(SEVERITIES)}, found {name!r}")
    return SEVERITIES[name]
