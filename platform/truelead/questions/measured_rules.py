"""Rules of the numeric templates: what the measured intervals of the records answer.

They read `Record.measurements` (see `truelead.data.measurements`). A set of features is only
answered where each feature was measured; a value that is missing is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from truelead.questions.rule import NONE, Attributes, Rule, Unanswerable, yes_no
from truelead.types import Record

NUMERIC_FEATURES = (
    "rr interval",
    "p duration",
    "pr interval",
    "qrs duration",
    "qt interval",
    "qt corrected",
)
"""ECG-QA's numeric features, under the names of `Record.measurements`."""

RANGES = ("below the normal range", "within the normal range", "above the normal range")


class NormalRange(NamedTuple):
    """Limits in milliseconds, themselves normal; None where there is no lower one."""

    low: float | None
    high: float


NORMAL_RANGES: Mapping[str, NormalRange] = MappingProxyType(
    {
        "rr interval": NormalRange(600, 1000),
        "p duration": NormalRange(None, 119),
        "pr interval": NormalRange(120, 200),
        "qrs duration": NormalRange(60, 110),
        "qt interval": NormalRange(350, 450),
        "qt corrected": NormalRange(350, 450),
    }
)
"""Feature -> its normal range.

ECG-QA's own limits were not at hand. Its official answers about RR fit 600 to 1000 ms
(`bench/delineation.py`); those about P fit an upper limit just below 120 ms where NeuroKit2
measures lead II, and it knows no P wave that is too short. The others are usual limits of adults,
not ECG-QA's: PR and QRS of the AHA/ACCF/HRS recommendations part III (Surawicz et al., 2009), the
upper one of QT corrected of part IV (Rautaharju et al., 2009) for men, QT the same at 60 a minute.
"""


def range_of(record: Record, feature: str) -> str:
    """In which of `RANGES` the record's feature lies.

    Raises:
        Unanswerable: the feature could not be measured in this ECG, or nobody has tried.
    """
    value = record.measurements.get(feature)
    if value is None:
        raise Unanswerable(f"{record.record_id}: measurements: expected {feature}, found none")
    low, high = NORMAL_RANGES[feature]
    if low is not None and value < low:
        return RANGES[0]
    return RANGES[2] if value > high else RANGES[1]


def is_normal(record: Record, feature: str) -> bool:
    """Whether the record's feature is within the normal range. Raises: as `range_of`."""
    return range_of(record, feature) == RANGES[1]


def _verify_range(records: Sequence[Record], attributes: Attributes) -> set[str]:
    feature, asked = attributes
    return yes_no(range_of(records[0], feature) == asked)


def _choose_range(records: Sequence[Record], attributes: Attributes) -> set[str]:
    feature, *asked = attributes
    return {range_of(records[0], feature)} & set(asked) or {NONE}


def _query_range(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return {range_of(records[0], attributes[0])}


def _query_features(records: Sequence[Record], attributes: Attributes) -> set[str]:
    ranges = {feature: range_of(records[0], feature) for feature in NUMERIC_FEATURES}
    return {feature for feature, found in ranges.items() if found == attributes[0]} or {NONE}


def _verify_change(before: bool, after: bool) -> Rule:
    """Whether a feature was normal (`before`) in the first ECG and is (`after`) in the second."""

    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        found = [is_normal(record, attributes[0]) for record in records]
        return yes_no(found == [before, after])

    return rule


def _query_change(before: bool, after: bool) -> Rule:
    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        found = {f: [is_normal(record, f) for record in records] for f in NUMERIC_FEATURES}
        return {feature for feature, each in found.items() if each == [before, after]} or {NONE}

    return rule


_CHANGES = ((False, True), (True, False), (False, False), (True, True))
"""Normal before and after: become normal, become abnormal, still abnormal, still normal."""

MEASURED_RULES: Mapping[int, Rule] = MappingProxyType(
    {
        39: _verify_range,
        40: _choose_range,
        41: _query_range,
        42: _query_features,
        **{
            start + i: _verify_change(*change)
            for start in (50, 64)
            for i, change in enumerate(_CHANGES)
        },
        **{
            start + 4 + i: _query_change(*change)
            for start in (50, 64)
            for i, change in enumerate(_CHANGES[:3])
        },
    }
)
"""template_id -> rule."""
