"""Onsets, peaks and offsets of P waves, QRS complexes and T waves that LUDB's cardiologists marked.

Layout: Kalyakulina A. et al., LUDB, IEEE Access 8 (2020), version 1.0.1: beside each record a WFDB
annotation file for each lead (extensions i, ii, iii, avr, ... v6). The marks are "(" for an onset,
")" for an offset and p, N or t for the peak of a P wave, QRS complex or T wave.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from truelead.data.sources.wfdb_annotations import read_annotations
from truelead.errors import DataError, MalformedHeader, RecordError
from truelead.signal import read_header
from truelead.types import LEADS

SAMPLING_RATE = 500
"""Hz, of every record of the set."""

RECORDS_FOLDER = "data"

WaveKind = Literal["P", "QRS", "T", "unknown"]
_KINDS: dict[str, WaveKind] = {"p": "P", "N": "QRS", "t": "T"}
_SYMBOLS = {1: "N", 24: "p", 27: "t", 39: "(", 40: ")"}
"""WFDB's annotation codes of the marks."""


@dataclass(frozen=True)
class Wave:
    """One marked wave in one lead; places in samples from the record's start at 500 Hz.

    Attributes:
        kind: "P", "QRS" or "T"; "unknown" where an onset and an offset have no peak between
            them, since only the peak's mark says which wave it is.
        onset, peak, offset: None where the mark is absent. They are as marked: in a few leads an
            onset stands some samples after its peak.
    """

    kind: WaveKind
    onset: int | None
    peak: int | None
    offset: int | None


def load_delineation(root: Path, record_id: str) -> dict[str, list[Wave]]:
    """Every marked wave of a record, for each of the 12 leads, in the order of the marks.

    The cardiologists left out the first and last beats of a record, so that an unmarked wave near
    its ends is not an absent one.

    Args:
        root: the set's folder, which holds `ludb.csv` and `data/`.
        record_id: "1" .. "200".

    Raises:
        DataError: `record_id` is no whole number.
        RecordError: the header or an annotation file is missing or is not what the layout says.
    """
    if not (record_id.isascii() and record_id.isdigit()):
        raise DataError("record_id: expected a whole number, as LUDB names its records")
    path = Path(root) / RECORDS_FOLDER / record_id
    header = read_header(path)
    if header.sampling_rate != SAMPLING_RATE or header.samples is None:
        raise MalformedHeader(
            f"{path}.hea",
            field="record line",
            expected=f"{SAMPLING_RATE} Hz and a number of samples",
            found=f"{header.sampling_rate:g} Hz",
        )
    return {lead: _lead_waves(path, lead, header.samples) for lead in LEADS}


def waves_of_marks(marks: Iterable[tuple[int, str]]) -> list[Wave]:
    """Marks (place, symbol) of one lead, in order of time, as waves; no mark is left out.

    An offset ends a wave, and so does whatever cannot belong to it: a second peak or a second
    onset. An onset right after a peak is that peak's where the peak has none and an offset
    follows, and else the next wave's.
    """
    waves: list[Wave] = []
    kind: WaveKind = "unknown"
    onset: int | None = None
    peak: int | None = None

    def close(offset: int | None = None) -> None:
        nonlocal kind, onset, peak
        if (onset, peak, offset) != (None, None, None):
            waves.append(Wave(kind, onset, peak, offset))
        kind, onset, peak = "unknown", None, None

    for place, symbol in marks:
        if symbol == ")":
            close(place)
        elif symbol == "(":
            if onset is not None:
                close()
            onset = place
        else:
            if peak is not None:
                later = onset if onset is not None and onset > peak else None
                onset = None if later is not None else onset
                close()
                onset = later
            kind, peak = _KINDS[symbol], place
    close()
    return waves


def _lead_waves(record: Path, lead: str, samples: int) -> list[Wave]:
    path = record.with_name(f"{record.name}.{lead.lower()}")
    annotations = read_annotations(path)
    if annotations.sampling_rate not in (None, SAMPLING_RATE):
        raise RecordError(
            path,
            field="rate",
            expected=f"{SAMPLING_RATE} Hz",
            found=f"{annotations.sampling_rate:g} Hz",
        )
    last = 0
    for number, (place, code) in enumerate(annotations.marks, start=1):
        if code not in _SYMBOLS:
            raise RecordError(path, field=f"mark {number}", expected="one of ( ) p N t")
        if not last <= place < samples:
            raise RecordError(
                path,
                field=f"mark {number}",
                expected=f"a sample below {samples}, in order of time",
                found=str(place),
            )
        last = place
    return waves_of_marks((place, _SYMBOLS[code]) for place, code in annotations.marks)
