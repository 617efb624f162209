"""Severity by how many abnormal statements there are."""

from __future__ import annotations

from truelead.debias.severity.base import abnormal_count, check_count
from truelead.types import Record

_MOST = 6


class LabelCountSeverity:
    """By the number of abnormal statements of any kind: none, one or two, three or more.

    Further strata go on in pairs: three or four, five or six, and so on; two strata tell none
    from some. A normal ECG (NORM) and sinus rhythm (SR) are not abnormal. Needs no superclass, so
    it suits sets that carry only a list of codes.

    Args:
        strata: 2 to 6.

    Raises:
        ConfigError: another number of strata.
    """

    name = "label-count"

    def __init__(self, strata: int = 3) -> None:
        check_count(self.name, strata, 2, _MOST)
        pairs = tuple(f"{2 * n - 1} or {2 * n} statements" for n in range(1, strata - 1))
        self.strata: tuple[str, ...] = ("none", *pairs, f"{2 * strata - 3} or more statements")

    def __call__(self, record: Record) -> int:
        return min((abnormal_count(record) + 1) // 2, len(self.strata) - 1)

    def with_strata(self, count: int) -> LabelCountSeverity:
        """See `AdjustableStrata.with_strata`."""
        return LabelCountSeverity(count)
