"""Tables of ECG sets as CSV files: a wrong cell is an error that names file, line and column.

The cells are patient data and are never part of a message.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from truelead.errors import DataError

_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        path: the table's file.
        line: the line on which the row ends.
        cells: column -> text as written.
    """

    path: Path
    line: int
    cells: dict[str, str]

    def wrong(self, column: str, expected: str) -> DataError:
        """The error about a cell, in one line and without the cell."""
        return DataError(f"{self.path}: line {self.line}: {column}: expected {expected}")

    def text(self, column: str) -> str:
        """The cell without the blanks around it."""
        return self.cells[column].strip()

    def identifier(self, column: str) -> str:
        """A whole number as text; some sets write their ids as floats (13243.0).

        Raises:
            DataError: the cell holds something else, or nothing.
        """
        text = self.text(column).removesuffix(".0")
        if not (text.isascii() and text.isdigit()):
            raise self.wrong(column, "a whole number")
        return text

    def number(self, column: str, low: float, high: float) -> float | None:
        """A number within the bounds, None for an empty cell.

        Raises:
            DataError: the cell holds something else.
        """
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise self.wrong(column, f"a number {low}..{high} or nothing")
        return value

    def flag(self, column: str) -> bool | None:
        """True or False, written as a word or as 1 or 0; None for an empty cell.

        Raises:
            DataError: the cell holds something else.
        """
        text = self.text(column).lower()
        if not text:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise self.wrong(column, "true, false, 1, 0 or nothing")

    def iso_date(self, column: str) -> str:
        """A date and time in ISO form, empty for an empty cell.

        Raises:
            DataError: the cell holds something else.
        """
        text = self.text(column)
        if not text:
            return ""
        try:
            return datetime.fromisoformat(text).isoformat()
        except ValueError:
            raise self.wrong(column, "an ISO date and time or nothing") from None

    def inner_path(self, column: str) -> str:
        """A path that stays inside the set's folder.

        Raises:
            DataError: the cell is empty, or its path leads out.
        """
        text = self.text(column)
        relative = PurePosixPath(text)
        if not text or relative.is_absolute() or ".." in relative.parts or "\\" in text:
            raise self.wrong(column, "a path inside the set's folder")
        return text


def rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Each row of a CSV file with a header.

    Args:
        columns: those that must be there; others may be.

    Raises:
        DataError: the file or a column is missing, a column is doubled, a row has another width
            than the header, or the file is no CSV in UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a CSV file, found none")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            missing = [name for name in columns if name not in header]
            if missing:
                raise DataError(f"{path}: line 1: expected the columns {', '.join(missing)}")
            if len(set(header)) != len(header):
                raise DataError(f"{path}: line 1: expected each column once")
            for cells in reader:
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}: line {reader.line_num}: expected {len(header)} columns, "
                        f"found {len(cells)}"
                    )
                yield Row(path, reader.line_num, dict(zip(header, cells, strict=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        kind = "UTF-8 text" if isinstance(error, UnicodeDecodeError) else "well-formed CSV"
        raise DataError(f"{path}: expected {kind}") from error


def header_of(path: Path) -> list[str]:
    """The names of a CSV file's columns.

    Raises:
        DataError: the file is missing or is no CSV in UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a CSV file, found none")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream, strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8") from error
