"""The course of one patient's conditions over serial ECGs.

Diseases come together because one latent burden of disease raises all their odds; it grows with
age. Chronic conditions stay once they have begun, others come and go, infarctions heal in stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from truelead.signal.generator.conditions import CONDITIONS, INFARCTIONS, Condition
from truelead.signal.generator.finding import Finding
from truelead.signal.generator.noise import Disturbance, draw_disturbances

_FIRST_DATE = datetime(1984, 11, 1, 7, 0)
_UNCERTAIN_STRENGTHS = ((0.66, 0.15), (0.52, 0.50), (0.40, 0.15), (0.30, 0.20))
_RISK_SPREAD = 1.5


@dataclass(frozen=True)
class Visit:
    """When one ECG of a patient was taken and what it is to show."""

    recorded_at: datetime
    age: float
    findings: dict[str, Finding]
    disturbances: tuple[Disturbance, ...]


@dataclass(frozen=True)
class _Course:
    """One condition a patient is liable to: from which ECG on, and how plainly it shows."""

    since: int
    strength: float
    comes_and_goes: bool


def draw_age_and_sex(random: np.random.Generator) -> tuple[float, int]:
    """Age in years (18 to 95) and PTB-XL's sex code of a patient at the first ECG."""
    age = float(np.round(np.clip(random.normal(61, 18), 18, 95)))
    return age, int(random.random() < 0.48)


def draw_history(random: np.random.Generator, age: float, ecgs: int) -> list[Visit]:
    """The visits of one patient, dates increasing."""
    burden = float(random.normal(0, 1)) * _RISK_SPREAD + 0.035 * (age - 61)
    courses = {
        code: course
        for code, condition in CONDITIONS.items()
        if (course := _draw_course(condition, burden, ecgs, random)) is not None
    }
    days_since_infarction = float(np.exp(random.normal(4.8, 1.8)))
    known_age = random.random() < 0.5
    date = _FIRST_DATE + timedelta(minutes=int(random.integers(0, 12 * 365 * 24 * 60)))
    first_date = date
    visits = []
    for number in range(ecgs):
        findings = _findings_at(number, courses, random)
        for code in INFARCTIONS:
            if code in findings:
                stage = infarction_stage(days_since_infarction, findings[code].strength, known_age)
                findings[code] = Finding(findings[code].strength, stage)
        years = (date - first_date).days / 365.25
        visits.append(
            Visit(date, float(np.floor(age + years)), findings, draw_disturbances(random))
        )
        acute = any(finding.stage == "Stadium I" for finding in findings.values())
        days = float(np.exp(random.normal(2.5 if acute else 4.5, 1.2)))
        days_since_infarction += days
        date += timedelta(minutes=int(max(days, 0.2) * 24 * 60))
    return visits


def _draw_course(
    condition: Condition, burden: float, ecgs: int, random: np.random.Generator
) -> _Course | None:
    odds = condition.prevalence / (1 - condition.prevalence)
    # A log-odds spread raises the mean; the divisor keeps it near the stated prevalence.
    odds *= np.exp(condition.risk * burden) / np.exp(0.5 * (0.8 * condition.risk) ** 2)
    if random.random() >= odds / (1 + odds) * (1.0 if condition.chronic else 1.25):
        return None
    since = 0
    if condition.chronic and ecgs > 1 and random.random() < 0.4:
        since = int(random.integers(1, ecgs))
    strength = float(random.uniform(0.85, 1.1))
    if random.random() < condition.uncertain:
        values, weights = zip(*_UNCERTAIN_STRENGTHS, strict=True)
        strength = float(random.choice(values, p=weights)) + float(random.uniform(-0.03, 0.03))
    return _Course(since, strength, not condition.chronic)


def _findings_at(
    number: int, courses: dict[str, _Course], random: np.random.Generator
) -> dict[str, Finding]:
    findings: dict[str, Finding] = {}
    excluded: set[str] = set()
    for code, course in courses.items():
        shows = random.random() < 0.8 if course.comes_and_goes else number >= course.since
        if not shows or code in excluded:
            continue
        if code in ("1AVB", "LAO/LAE", "PAC") and {"AFIB", "AFLT"} & set(findings):
            continue  # without P waves there is nothing to see
        findings[code] = Finding(course.strength)
        excluded.update(CONDITIONS[code].excludes)
    return findings


def infarction_stage(days: float, strength: float, known_age: bool) -> str:
    """PTB-XL's stage of an infarction of that age; an unclear or old one is often 'unknown'."""
    if strength < 0.6 or (days >= 30 and not known_age):
        return "unknown"
    if days < 4:
        return "Stadium I"
    if days < 12:
        return "Stadium II"
    return "Stadium II-III" if days < 120 else "Stadium III"
