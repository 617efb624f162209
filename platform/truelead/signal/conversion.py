"""Convert ECG files to one format: which files, to where, and one at a time.

A conversion goes through `Ecg`, which holds samples, rate and leads alone: header comments and
every field on the patient stay behind. File names are kept, so a name that tells of a patient is
for the user to change.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from truelead.errors import ConfigError, RecordError, UnsupportedFormat
from truelead.signal.formats import FORMATS
from truelead.signal.formats.address import SEPARATOR
from truelead.signal.formats.base import NOTHING_STATED, Format, StatedSignal
from truelead.signal.formats.reading import (
    SIGNAL_FILE_SUFFIXES,
    find_format,
    format_named,
    read_ecg,
    write_ecg,
)
from truelead.signal.formats.wfdb import SUFFIX as HEADER_SUFFIX
from truelead.signal.formats.wfdb import files as wfdb_files
from truelead.signal.formats.wfdb import header_path
from truelead.signal.one_step import write_in_one_step
from truelead.signal.resample import resample

REJECTED = "rejected.csv"
"""Where the files that could not be converted are listed, in the output folder."""

OPTIONS = "conversion.json"
"""What the files of an output folder were made with."""

_PATTERN_CHARACTERS = "*?["


@dataclass(frozen=True)
class ConversionOptions:
    """What shapes the output of a conversion.

    Attributes:
        to: name of the format to write.
        format: name of the format to read, None to find it out.
        stated: what the sources do not say themselves.
        resample: Hz to resample to, None to keep the source's rate.
    """

    to: str
    format: str | None = None
    stated: StatedSignal = NOTHING_STATED
    resample: float | None = None


@dataclass(frozen=True)
class Conversion:
    """One file to read and the one to write; `name` is the source as the user knows it."""

    source: Path
    target: Path
    name: str


@dataclass(frozen=True)
class Sources:
    """What was found to convert.

    Attributes:
        files: (path, its place below the named folder).
        left_alone: files in named folders that are of no known format.
    """

    files: tuple[tuple[Path, Path], ...]
    left_alone: int


def find_sources(
    named: Sequence[Path], *, format: str | None = None, output: Path | None = None
) -> Sources:
    """The ECGs that paths, patterns and folders stand for, in order, each once.

    A folder stands for all ECG files below it; signal files and segments of a WFDB record belong
    to its header. Hidden files and those below `output` do not count.

    Raises:
        ConfigError: a pattern that matches nothing.
    """
    found: dict[Path, Path] = {}
    left_alone = 0
    paths = list(_expanded(named))
    # A shell's own pattern names signal files beside their headers.
    beside = _belonging_to_records([path for path in paths if path.is_file()])
    for path in paths:
        if not path.is_dir():
            if path not in beside:
                found.setdefault(path, Path(path.name))
            continue
        below = [file for file in _files_below(path) if output not in file.parents]
        belonging = _belonging_to_records(below)
        for file in below:
            if file in belonging:
                continue
            if _is_source(file, format):
                found.setdefault(file, file.relative_to(path))
            else:
                left_alone += 1
    return Sources(tuple(found.items()), left_alone)


def plan(sources: Sources, output: Path, options: ConversionOptions) -> list[Conversion]:
    """Where each source goes.

    With a single source, `output` may be the file itself, by its suffix; otherwise it is a folder
    in which the sources' own folders are repeated.

    Raises:
        ConfigError: nothing to convert, two sources with one target, a target that is a source,
            or a format that cannot be written.
    """
    to = writable_format(options.to)
    if not sources.files:
        raise ConfigError("convert: expected at least one ECG file, found none")
    suffix = to.suffixes[0]
    if is_single_file(sources, output, to):
        ((source, place),) = sources.files
        targets = [Conversion(source, output, str(place))]
    else:
        if output.exists() and not output.is_dir():
            raise ConfigError(f"{output}: expected a folder, found a file")
        targets = [
            Conversion(source, output / place.with_name(_record_name(place) + suffix), str(place))
            for source, place in sources.files
        ]
    taken: dict[Path, str] = {}
    origins = {(header_path(s) if not s.exists() else s).resolve() for s, _ in sources.files}
    for one in targets:
        if one.target in taken:
            raise ConfigError(
                f"{one.target}: expected one source, found {taken[one.target]} and {one.name}; "
                "convert them to different folders"
            )
        if one.target.resolve() in origins:
            raise ConfigError(f"{one.target}: expected another file than a source")
        taken[one.target] = one.name
    return targets


def is_single_file(sources: Sources, output: Path, to: Format) -> bool:
    """Whether `output` names the one file to write."""
    named_file = output.suffix.lower() in to.suffixes and not output.is_dir()
    return len(sources.files) == 1 and named_file


def writable_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: it is unknown or cannot be written.
    """
    try:
        to = format_named(name)
    except UnsupportedFormat as error:
        raise ConfigError(f"--to: expected {error.expected}, found {error.found}") from None
    if to.write is None:
        raise ConfigError(f"--to: expected a format that can be written, found {to.name}")
    return to


def convert(conversion: Conversion, options: ConversionOptions) -> None:
    """Read one ECG, resample it if asked, write it.

    Raises:
        RecordError: it cannot be read, or does not fit the format to write.
        OSError: the disk refuses.
    """
    ecg = read_ecg(conversion.source, format=options.format, stated=options.stated)
    if options.resample is not None:
        ecg = resample(ecg, options.resample)
    write_ecg(ecg, conversion.target, options.to)


def is_complete(conversion: Conversion, to: Format) -> bool:
    """Whether all files of the target are there; writers put the last one in place last."""
    try:
        return all(file.is_file() for file in to.files(conversion.target))
    except RecordError:
        return False


def check_options(folder: Path, options: ConversionOptions, *, overwrite: bool) -> None:
    """Keep a folder to outputs of one kind, so that finished ones may be kept.

    Raises:
        ConfigError: the folder holds outputs made with other options, and `overwrite` is off.
    """
    # A plain dictionary of what was asked for; formats change with the package, options do not.
    text = json.dumps(asdict(options), sort_keys=True) + "\n"
    file = folder / OPTIONS
    before = file.read_text(encoding="utf-8") if file.is_file() else text
    if before != text and not overwrite:
        raise ConfigError(
            f"{folder}: expected outputs of the same options; choose another folder or --overwrite"
        )
    write_in_one_step(file, text.encode("utf-8"))


def write_rejected(folder: Path, rejected: Sequence[tuple[str, RecordError]]) -> Path | None:
    """Write `rejected.csv` (path, reason, message); without rejected files, remove an old one."""
    file = folder / REJECTED
    if not rejected:
        file.unlink(missing_ok=True)
        return None
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("path", "reason", "message"))
    rows.writerows((name, error.reason, str(error)) for name, error in rejected)
    return write_in_one_step(file, text.getvalue().encode("utf-8"))


def _expanded(named: Sequence[Path]) -> Iterator[Path]:
    for path in named:
        if path.exists() or not any(character in str(path) for character in _PATTERN_CHARACTERS):
            yield path
            continue
        anchor = Path(path.anchor) if path.is_absolute() else Path()
        pattern = path.relative_to(path.anchor) if path.is_absolute() else path
        matches = sorted(anchor.glob(str(pattern)))
        if not matches:
            raise ConfigError(f"{path}: expected a pattern that matches a file, found none")
        yield from matches


def _files_below(folder: Path) -> list[Path]:
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def _belonging_to_records(paths: Sequence[Path]) -> set[Path]:
    """The signal files and segments of the records among the paths."""
    belonging: set[Path] = set()
    for header in (path for path in paths if path.suffix == HEADER_SUFFIX):
        try:
            belonging.update(file for file in wfdb_files(header) if file != header)
        except RecordError:
            # The header itself stays a source, and is rejected with its reason.
            continue
    return belonging


def _is_source(file: Path, format: str | None) -> bool:
    if file.name in {REJECTED, OPTIONS}:
        return False
    if format is not None:
        return file.suffix.lower() in format_named(format).suffixes
    try:
        find_format(file)
    except UnsupportedFormat as error:
        return "more than one" in error.found
    except RecordError:
        return True
    return True


def _record_name(place: Path) -> str:
    """The file's name without its suffix; a record named without one keeps all of it.

    One ECG of a file with several ("exams.hdf5::438277") is named by both ("exams_438277").
    """
    name, separator, selected = place.name.partition(SEPARATOR)
    stem, suffix = os.path.splitext(name)
    suffixes = {each for one in FORMATS.values() for each in one.suffixes}
    if suffix.lower() not in suffixes.union(SIGNAL_FILE_SUFFIXES, (".txt",)):
        stem = name
    selection = re.sub(r"[^A-Za-z0-9-]+", "_", selected).strip("_")
    return f"{stem}_{selection}" if separator else stem
