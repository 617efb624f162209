"""Severity as it was planted: the truth that other providers can only guess."""

from __future__ import annotations

from truelead.data.planted_statement import read_statement
from truelead.debias.severity.base import check_count
from truelead.errors import DataError
from truelead.types import Record

_MOST = 4


class PlantedSeverity:
    """The stratum that the generator drew, read from the statement in the record's report.

    Args:
        strata: as many as were planted (`planted.strata`), 2 to 4.

    Raises:
        ConfigError: another number of strata.
    """

    name = "planted"

    def __init__(self, strata: int = 3) -> None:
        check_count(self.name, strata, 2, _MOST)
        self.strata: tuple[str, ...] = tuple(f"planted {number}" for number in range(strata))

    def __call__(self, record: Record) -> int:
        """The stratum.

        Raises:
            DataError: the report is no such statement, or was planted with more strata.
        """
        severity = read_statement(record).severity
        if severity >= len(self.strata):
            raise DataError(
                f"{record.source} record {record.record_id}: report: expected a severity below "
                f"{len(self.strata)} as planted.strata has it, found {severity}"
            )
        return severity

    def with_strata(self, count: int) -> PlantedSeverity:
        """See `AdjustableStrata.with_strata`."""
        return PlantedSeverity(count)
