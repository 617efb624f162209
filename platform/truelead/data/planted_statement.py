"""What is planted in one ECG, and the statement of it that its record carries as report.

The conditions themselves are the record's SCP codes: what questions ask about and the encoder
learns. The statement holds what stays hidden from both: severity, traces and marker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from truelead.errors import DataError
from truelead.types import Record

_STATEMENT = re.compile(
    r"planted severity=(?P<severity>\d{1,3}) marker=(?P<marker>\d{1,3}) traces=(?P<traces>[01]+)"
)


@dataclass(frozen=True)
class PlantedStatement:
    """The hidden variables of one ECG (`truelead.debias.planted.model`).

    Attributes:
        severity: the patient's stratum.
        marker: the stratum that the ECG's marker tells.
        traces: for each condition of the set, whether the ECG shows it.
    """

    severity: int
    marker: int
    traces: tuple[bool, ...]

    def __str__(self) -> str:
        """The statement as it stands in the report."""
        traces = "".join("01"[trace] for trace in self.traces)
        return f"planted severity={self.severity} marker={self.marker} traces={traces}"


def read_statement(record: Record) -> PlantedStatement:
    """The statement in the record's report.

    Raises:
        DataError: the report is none; it names the record, never the report.
    """
    found = _STATEMENT.fullmatch(record.report)
    if found is None:
        raise DataError(
            f"{record.source} record {record.record_id}: report: expected the statement of a "
            "planted set (severity, marker, traces), found another text"
        )
    return PlantedStatement(
        severity=int(found["severity"]),
        marker=int(found["marker"]),
        traces=tuple(trace == "1" for trace in found["traces"]),
    )
