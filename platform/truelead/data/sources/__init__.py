"""Where ECG sets come from: each source turns a set's own files into `Record`s.

A new source is one file with `load_records` and one line in `SOURCES`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from truelead.config import DataConfig
from truelead.data.sources import ptbxl
from truelead.types import Record


class Source(Protocol):
    """What a source's module offers."""

    def load_records(self, root: Path, data: DataConfig) -> list[Record]:
        """All records of the set under `root` that the configured split uses, in file order.

        Raises:
            DataError: a file is missing, or a row is not what the set's format says.
        """
        ...


SOURCES: dict[str, Source] = {"ptbxl": ptbxl}
