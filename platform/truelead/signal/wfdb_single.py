"""One WFDB record (or one segment of it): its signal files -> the 12 leads in millivolts.

Shape suffixes: L leads (12), T samples, F frames, W samples in one frame of a file, R rows: the
leads of one file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from truelead.errors import MalformedHeader
from truelead.signal.leads import lead_columns
from truelead.signal.wfdb_decoders import DECODERS, Digital
from truelead.signal.wfdb_fallback import read_with_wfdb_package
from truelead.signal.wfdb_record import ReadLimits, RecordHeader, SignalSpecification
from truelead.signal.wfdb_signal import (
    check_group,
    read_signal_file,
    to_millivolts,
    verify_checksums,
)
from truelead.types import LEADS


def read_leads(
    header: RecordHeader,
    folder: str,
    record: str,
    *,
    limits: ReadLimits,
    verify: bool,
) -> tuple[NDArray[np.float32], float]:
    """Read the leads of a record without segments.

    Where all leads have the same number of samples in a frame, all of them are kept and the rate
    is that many times the header's; where they differ, each frame is averaged, as WFDB does.

    Args:
        header: the parsed header.
        folder: where the record lies.
        record: the header's name in that folder, without ".hea".
        limits: what the record may claim.
        verify: whether to verify the header's checksums.

    Returns:
        float32 (12, T) in mV with NaN where not recorded, and the sampling rate in Hz.

    Raises:
        RecordError: one of its subclasses, see `wfdb_reader.read_record`.
    """
    where = os.path.join(folder, record + ".hea")
    position_of_row = lead_columns([signal.description for signal in header.signals], where=where)
    row_of_position = {position: row for row, position in position_of_row.items()}
    per_frame = {header.signals[position].samples_per_frame for position in row_of_position}
    kept_per_frame = per_frame.pop() if len(per_frame) == 1 else 1

    positions_of_file: dict[str, list[int]] = {}
    for position, signal in enumerate(header.signals):
        positions_of_file.setdefault(signal.file_name, []).append(position)

    signal_LT: NDArray[np.float32] | None = None
    for positions in positions_of_file.values():
        group = [header.signals[position] for position in positions]
        used = [column for column, p in enumerate(positions) if p in row_of_position]
        if not used:
            continue
        check_group(group, where=where)
        if group[0].storage_format in DECODERS:
            frames_FW = read_signal_file(folder, group, header.samples, where=where, limits=limits)
        else:
            frames_FW = read_with_wfdb_package(
                folder, record, positions, group, header.samples, where=where, limits=limits
            )
        used.sort(key=lambda column: row_of_position[positions[column]])
        rows = [row_of_position[positions[column]] for column in used]
        leads_RT = _leads_of_file(frames_FW, group, used, kept_per_frame, where, verify)
        if len(rows) == len(LEADS):
            return leads_RT, header.sampling_rate * kept_per_frame
        if signal_LT is None:
            signal_LT = np.full((len(LEADS), leads_RT.shape[1]), np.nan, dtype=np.float32)
        if signal_LT.shape[1] != leads_RT.shape[1]:
            raise MalformedHeader(
                where,
                field="number of samples",
                expected="a number, as the signal files differ in length",
                found="none",
            )
        signal_LT[rows] = leads_RT
    assert signal_LT is not None, "lead_columns found a lead, so a file was read"
    return signal_LT, header.sampling_rate * kept_per_frame


def _leads_of_file(
    frames_FW: Digital,
    group: Sequence[SignalSpecification],
    used: list[int],
    kept_per_frame: int,
    where: str,
    verify: bool,
) -> NDArray[np.float32]:
    """The rows of one file in millivolts: the signals `used`, in that order."""
    if frames_FW.shape[1] == len(group) and not any(group[column].skew for column in used):
        # The common case: one sample a frame. One transposed copy, then whole-matrix arithmetic.
        plain = used == list(range(len(group)))
        digital_RT = np.ascontiguousarray(frames_FW.T if plain else frames_FW.T[used])
        signals = [group[column] for column in used]
        if verify:
            verify_checksums(digital_RT, signals, where=where)
        return to_millivolts(digital_RT, signals, where=where)

    starts = np.cumsum([0] + [signal.samples_per_frame for signal in group])
    rows = []
    for column in used:
        signal = group[column]
        digital_1T = np.ascontiguousarray(
            frames_FW[:, starts[column] : starts[column + 1]]
        ).reshape(1, -1)
        if verify:
            verify_checksums(digital_1T, [signal], where=where)
        row_T = to_millivolts(digital_1T, [signal], where=where)[0]
        if signal.samples_per_frame != kept_per_frame:
            frames_FN = row_T.reshape(-1, signal.samples_per_frame)
            row_T = frames_FN.mean(axis=1, dtype=np.float64).astype(np.float32)
        rows.append(_without_skew(row_T, signal.skew * kept_per_frame))
    return np.stack(rows)


def _without_skew(row_T: NDArray[np.float32], skew: int) -> NDArray[np.float32]:
    """Move a signal that lags by `skew` samples back to time 0; its end is then unknown."""
    if skew == 0:
        return row_T
    moved_T = np.full_like(row_T, np.nan)
    if skew < row_T.size:
        moved_T[: row_T.size - skew] = row_T[skew:]
    return moved_T
