"""Severity by how many abnormal statements there are."""

from __future__ import annotations

from truelead.debias.severity.base import NORMAL_CODES
from truelead.types import Record


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
