"""Severity by PTB-XL's superclasses and infarction stadium."""

from __future__ import annotations

from truelead.debias.severity.base import check_count
from truelead.questions.rules import superclasses
from truelead.types import Record

_RECENT = ("Stadium II", "Stadium II-III")
_ACUTE = ("Stadium I", "Stadium I-II")

_CUTS: dict[int, tuple[int, ...]] = {
    2: (1,),
    3: (1, 2),
    4: (1, 2, 4),
    5: (1, 2, 3, 4),
    6: (1, 2, 3, 4, 5),
}
"""Number of strata -> the grades at which a new stratum begins; more strata only cut finer."""

_NAMES: dict[int, tuple[str, ...]] = {
    2: ("none", "some superclass or infarction"),
    3: ("none", "one superclass", "infarction or several"),
    4: ("none", "one superclass", "several or old infarction", "recent or acute infarction"),
    5: ("none", "one superclass", "several", "old infarction", "recent or acute infarction"),
    6: ("none", "one superclass", "several", "old infarction", "recent infarction", "acute"),
}


def grade(record: Record) -> int:
    """PTB-XL's superclasses weighed by the infarction stadium, whatever a statement's likelihood.

    0: no abnormal diagnostic superclass. 1: one of CD (conduction disturbance), HYP
    (hypertrophy), STTC (ST/T change). 2: two or three of them. 3: infarction (superclass MI, or a
    given stadium) that is old (III) or of unknown or no given stadium, as most are. 4: infarction
    of stadium II or II-III. 5: of stadium I or I-II. Of two infarctions the more recent counts.
    """
    abnormal = superclasses(record)
    stadiums = record.infarction_stadium
    if any(stadium in _ACUTE for stadium in stadiums):
        return 5
    if any(stadium in _RECENT for stadium in stadiums):
        return 4
    if "MI" in abnormal or any(stadiums):
        return 3
    return min(len(abnormal), 2)


class PtbxlSeverity:
    """By PTB-XL's diagnostic superclasses, and with four or more strata by the age of an infarct.

    Three strata: 0 no abnormal diagnostic superclass; 1 one of CD, HYP, STTC; 2 infarction
    (superclass MI, or a given stadium), or two or more abnormal superclasses. Four strata set
    recent and acute infarctions apart, five the old ones from the several superclasses, six the
    acute ones from the recent. See `grade`. Recent and acute infarctions are few: about 4 in 100
    ECGs, so that finer strata leave fewer questions observed in all of them.

    Superclasses and stadiums: Wagner P. et al., PTB-XL, Scientific Data 2020.

    Args:
        strata: 2 to 6.

    Raises:
        ConfigError: another number of strata.
    """

    name = "ptbxl"

    def __init__(self, strata: int = 3) -> None:
        check_count(self.name, strata, min(_CUTS), max(_CUTS))
        self.strata: tuple[str, ...] = _NAMES[strata]
        self._cuts = _CUTS[strata]

    def __call__(self, record: Record) -> int:
        return sum(grade(record) >= cut for cut in self._cuts)

    def with_strata(self, count: int) -> PtbxlSeverity:
        """See `AdjustableStrata.with_strata`."""
        return PtbxlSeverity(count)
