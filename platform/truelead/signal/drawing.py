"""The 12-lead ECG as cardiologists read it: 25 mm a second, 10 mm a millivolt, on ECG paper.

Layout and scale: Kligfield et al., Recommendations for the Standardization and Interpretation of
the Electrocardiogram, Part I, Circulation 2007.

Each lead is drawn about its own median, since a device's offset says nothing; within a lead
nothing is scaled or filtered.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg
from truelead.signal.resample import resample
from truelead.signal.sheet import Sheet, Stroke, Words, grid
from truelead.types import LEADS, Ecg

Layout = Literal["3x4", "12x1"]

MILLIMETRES_PER_SECOND = 25.0
MILLIMETRES_PER_MILLIVOLT = 10.0
SECONDS = 10.0
"""Length of one row; what is longer is cut, and the caption says so."""

NOT_FOR_CLINICAL_USE = "TrueLead - not for clinical use"

PAPER = "#fffcfb"
THIN_LINE = "#fbdcd8"
THICK_LINE = "#f0aca4"
INK = "#16181d"
PALE_INK = "#8b8f98"

_LEFT = 15.0
_RIGHT = 7.0
_CAPTION = 10.0
_FOOTER = 8.0
_TITLE = 10.0
_SMALLEST_HALF_ROW = 10.0
_LARGEST_HALF_ROW = 40.0
_PULSE_WIDTH = 5.0
_LABEL_SIZE = 3.4
_FINEST_RATE = 2000.0
_LABEL_WIDTH = 9.0

# Rows of the sheet: the leads of each, one after the other in time.
_ROWS: dict[str, tuple[tuple[str, ...], ...]] = {
    "3x4": (
        ("I", "aVR", "V1", "V4"),
        ("II", "aVL", "V2", "V5"),
        ("III", "aVF", "V3", "V6"),
        ("II",),
    ),
    "12x1": tuple((lead,) for lead in LEADS),
}


@dataclass(frozen=True)
class _Trace:
    """One lead in its place: x and y in mm, y upwards from the row's zero line; NaN is a gap."""

    lead: str
    left: float
    width: float
    x_T: NDArray[np.float64]
    y_T: NDArray[np.float64]


def draw_svg(
    ecgs: Sequence[Ecg],
    title: str = "",
    *,
    captions: Sequence[str] | None = None,
    layout: Layout = "3x4",
) -> str:
    """Draw one ECG, or two one above the other, as an SVG of true size.

    Args:
        ecgs: one or two.
        title: a line above everything; any text.
        captions: one line an ECG; its record_id where None.
        layout: "3x4" (three rows of four leads of 2.5 s each, and lead II as rhythm strip) or
            "12x1" (a row of 10 s for each lead).

    Returns:
        SVG text: self-contained, in millimetres, each lead a path with data-name "lead II".

    Raises:
        InvalidEcg: not one or two ECGs, or not as many captions.
    """
    return _sheet(ecgs, title, captions, layout).to_svg()


def draw_png(
    ecgs: Sequence[Ecg],
    title: str = "",
    *,
    captions: Sequence[str] | None = None,
    layout: Layout = "3x4",
    dots_per_inch: float = 150.0,
) -> bytes:
    """Draw the same sheet as `draw_svg` as a PNG.

    Raises:
        InvalidEcg: not one or two ECGs, or not as many captions.
    """
    return _sheet(ecgs, title, captions, layout).to_png(dots_per_inch)


def _sheet(
    ecgs: Sequence[Ecg], title: str, captions: Sequence[str] | None, layout: Layout
) -> Sheet:
    if len(ecgs) not in (1, 2):
        raise InvalidEcg("drawing", field="ecgs", expected="one or two", found=f"{len(ecgs)}")
    if captions is not None and len(captions) != len(ecgs):
        raise InvalidEcg(
            "drawing", field="captions", expected=f"{len(ecgs)}", found=f"{len(captions)}"
        )
    if layout not in _ROWS:
        raise InvalidEcg(
            "drawing", field="layout", expected=" or ".join(_ROWS), found=repr(layout)[:24]
        )
    rows = [_rows_of(ecg, layout) for ecg in ecgs]
    heights = [[_row_height(row) for row in ecg_rows] for ecg_rows in rows]
    top = _TITLE if title else 0.0
    paper_height = sum(_CAPTION + sum(up + down for up, down in each) for each in heights)
    # Whole large squares, so that the grid ends on a thick line.
    paper_height = 5 * np.ceil(paper_height / 5)
    width = _LEFT + SECONDS * MILLIMETRES_PER_SECOND + _RIGHT
    width = 5 * np.ceil(width / 5)
    sheet = Sheet(
        width=width,
        height=top + paper_height + _FOOTER,
        background=PAPER,
        title=title or "12-lead ECG",
    )
    sheet.marks.append(
        Stroke(tuple(grid(width, paper_height, 1.0, top)), THIN_LINE, 0.1, "grid 1 mm")
    )
    sheet.marks.append(
        Stroke(tuple(grid(width, paper_height, 5.0, top)), THICK_LINE, 0.18, "grid 5 mm")
    )
    if title:
        sheet.marks.append(Words(_short(title, 120), 5.0, 6.8, size=4.2, colour=INK, bold=True))

    y = top
    for index, (ecg, ecg_rows, ecg_heights) in enumerate(zip(ecgs, rows, heights, strict=True)):
        caption = captions[index] if captions is not None else _caption(ecg, index, len(ecgs))
        if index:
            line = np.array([(0.0, y), (width, y)])
            sheet.marks.append(Stroke((line,), PALE_INK, 0.35, "divider"))
        sheet.marks.append(Words(_short(caption, 110), 5.0, y + 6.0, size=3.4, bold=True))
        sheet.marks.append(
            Words(_scale_text(ecg), width - 5.0, y + 6.0, size=2.8, colour=INK, anchor="end")
        )
        y += _CAPTION
        for row, (up, down) in zip(ecg_rows, ecg_heights, strict=True):
            _draw_row(sheet, row, y + up)
            y += up + down
    foot = sheet.height - 2.8
    sheet.marks.append(
        Words("25 mm/s    10 mm/mV    each lead about its median, unfiltered", 5.0, foot, size=2.8)
    )
    sheet.marks.append(
        Words(NOT_FOR_CLINICAL_USE, width - 5.0, foot, size=2.8, anchor="end", bold=True)
    )
    return sheet


def _rows_of(ecg: Ecg, layout: Layout) -> list[list[_Trace]]:
    if ecg.sampling_rate > _FINEST_RATE:
        # Points closer than a twentieth of the pen's width only make the file larger.
        ecg = resample(ecg, _FINEST_RATE)
    rows = []
    for leads in _ROWS[layout]:
        seconds = SECONDS / len(leads)
        traces = []
        for column, lead in enumerate(leads):
            # The columns go on in time, as on a recorder that switches leads.
            first = round(column * seconds * ecg.sampling_rate)
            last = round((column + 1) * seconds * ecg.sampling_rate)
            whole_T = ecg.signal_LT[LEADS.index(lead)].astype(np.float64)
            # One sample more joins the trace to the next column's edge.
            part_T = whole_T[first : last + 1]
            known_T = whole_T[np.isfinite(whole_T)]
            middle = float(np.median(known_T)) if known_T.size else 0.0
            left = _LEFT + column * seconds * MILLIMETRES_PER_SECOND
            start = column * seconds
            times = (first + np.arange(part_T.size)) / ecg.sampling_rate - start
            traces.append(
                _Trace(
                    lead=lead,
                    left=left,
                    width=seconds * MILLIMETRES_PER_SECOND,
                    x_T=left + times * MILLIMETRES_PER_SECOND,
                    y_T=(part_T - middle) * MILLIMETRES_PER_MILLIVOLT,
                )
            )
        rows.append(traces)
    return rows


def _label_height(row: list[_Trace]) -> float:
    """mm above the zero line at which the row's lead names stand clear of the traces below."""
    clear = _SMALLEST_HALF_ROW - 2.0
    for trace in row:
        near = np.isfinite(trace.y_T) & (trace.x_T < trace.left + _LABEL_WIDTH)
        clear = max(clear, float(trace.y_T[near].max(initial=0.0)))
    return min(clear + 1.2, _LARGEST_HALF_ROW - _LABEL_SIZE)


def _row_height(row: list[_Trace]) -> tuple[float, float]:
    """(mm above, mm below) the zero line, in whole large squares, so that rows do not overlap."""
    known = np.concatenate([trace.y_T[np.isfinite(trace.y_T)] for trace in row])
    highest = max(float(known.max(initial=0.0)), _label_height(row) + _LABEL_SIZE)
    lowest = float(known.min(initial=0.0))
    up = np.clip(5 * np.ceil((highest + 1) / 5), _SMALLEST_HALF_ROW + 5, _LARGEST_HALF_ROW)
    down = np.clip(5 * np.ceil((1 - lowest) / 5), _SMALLEST_HALF_ROW, _LARGEST_HALF_ROW)
    return float(up), float(down)


def _draw_row(sheet: Sheet, row: list[_Trace], zero: float) -> None:
    pulse_left = _LEFT - 2.0 - _PULSE_WIDTH - 2.0
    steps = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (1.0 + _PULSE_WIDTH, 1.0)]
    steps += [(1.0 + _PULSE_WIDTH, 0.0), (2.0 + _PULSE_WIDTH, 0.0)]
    pulse = np.array(
        [(pulse_left + x, zero - millivolt * MILLIMETRES_PER_MILLIVOLT) for x, millivolt in steps]
    )
    sheet.marks.append(Stroke((pulse,), INK, 0.25, "calibration 1 mV"))
    label_y = zero - _label_height(row)
    for column, trace in enumerate(row):
        if column:
            edge = [np.array([(trace.left, zero + a), (trace.left, zero + b)]) for a, b in _TICKS]
            sheet.marks.append(Stroke(tuple(edge), INK, 0.25, "column edge"))
        pieces = _pieces(trace.x_T, zero - trace.y_T)
        if pieces:
            sheet.marks.append(Stroke(tuple(pieces), INK, 0.28, f"lead {trace.lead}"))
        else:
            line = np.array([(trace.left + 1, zero), (trace.left + trace.width - 1, zero)])
            sheet.marks.append(
                Stroke((line,), PALE_INK, 0.25, f"missing lead {trace.lead}", dashed=True)
            )
            sheet.marks.append(
                Words(
                    "not recorded",
                    trace.left + trace.width / 2,
                    zero - 1.5,
                    size=2.8,
                    colour=PALE_INK,
                    anchor="middle",
                )
            )
        sheet.marks.append(
            Words(trace.lead, trace.left + 1.2, label_y, size=_LABEL_SIZE, colour=INK, bold=True)
        )


# Between two leads of a row: short strokes above and below the zero line.
_TICKS = ((-8.0, -5.5), (5.5, 8.0))


def _pieces(x_T: NDArray[np.float64], y_T: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The runs of recorded samples, each (points, 2); a single sample becomes a dot."""
    known = np.isfinite(y_T)
    if not known.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    points = np.stack([x_T, y_T], axis=1)
    return [
        points[start:end] if end - start > 1 else np.repeat(points[start:end], 2, axis=0)
        for start, end in edges.reshape(-1, 2)
    ]


def _caption(ecg: Ecg, index: int, count: int) -> str:
    name = ecg.record_id or "ECG"
    if count == 1:
        return name
    return f"{'First' if index == 0 else 'Second'} ECG: {name}"


def _scale_text(ecg: Ecg) -> str:
    shown = min(ecg.duration_seconds, SECONDS)
    length = f"{shown:.3g} s"
    if ecg.duration_seconds > SECONDS + 0.5 / ecg.sampling_rate:
        length = f"first {shown:.3g} s of {ecg.duration_seconds:.4g} s"
    return f"{length}    {ecg.sampling_rate:g} Hz"


def _short(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
