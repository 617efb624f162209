"""Severity by PTB-XL's superclasses and infarction stadium."""

from __future__ import annotations

from truelead.questions.rules import superclasses
from truelead.types import Record


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
