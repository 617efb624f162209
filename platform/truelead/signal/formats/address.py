"""Which record of a file that holds several: "FILE::NAME", "FILE::#INDEX" or both.

exams_part0.hdf5::438277        the exam of that number (CODE-15%)
exams_part0.hdf5::#12           the exam at index 12, counted from 0
study.h5::/rest/ecg             a dataset by its path
study.h5::/rest/ecg#3           its element 3 along the first of three axes
study.mat::ecg                  a variable
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from truelead.errors import StatementError

SEPARATOR = "::"
_SELECTOR = re.compile(r"(?P<name>[^#\x00-\x1f\x7f]{0,255})(?:#(?P<index>[0-9]{1,12}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A file and what to read in it.

    Attributes:
        file: the file alone.
        name: of the record, dataset or variable; "" where none is named.
        index: along the first axis; None where not given.
    """

    file: Path
    name: str = ""
    index: int | None = None


def parse_address(path: Path) -> Address:
    """The address that a path is; a file that has "::" in its own name is that file.

    Raises:
        StatementError: what stands behind "::" is no name and no index.
    """
    text = str(path)
    if SEPARATOR not in text or path.is_file():
        return Address(path)
    file, _, selector = text.rpartition(SEPARATOR)
    match = _SELECTOR.fullmatch(selector)
    if not file or match is None or not selector:
        raise StatementError(
            file or "path", field="address", expected="FILE::NAME, FILE::#INDEX or FILE::NAME#INDEX"
        )
    index = match["index"]
    return Address(Path(file), match["name"], None if index is None else int(index))


def addressed_file(path: Path) -> tuple[Path]:
    """The file alone, for `Format.files`."""
    return (parse_address(path).file,)
