"""The chapters of the report, in their order; each is left out where it has nothing to show."""

from __future__ import annotations

from collections.abc import Callable

from truelead.evaluate.page.blocks import Section
from truelead.evaluate.page.sections import (
    answer,
    breakdown,
    calibration,
    failures,
    graph,
    limits,
    others,
    provenance,
    random_ecg,
    reliance,
    strategies,
    trained,
    wording,
)
from truelead.evaluate.page.view import View

SECTIONS: dict[str, Callable[[View], Section | None]] = {
    "answer": answer.section,
    "strategies": strategies.section,
    "random-ecg": random_ecg.section,
    "wording": wording.section,
    "graph": graph.section,
    "trained": trained.section,
    "calibration": calibration.section,
    "reliance": reliance.section,
    "failures": failures.section,
    "breakdown": breakdown.section,
    "further": others.section,
    "limits": limits.section,
    "provenance": provenance.section,
}
