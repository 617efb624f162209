"""DICOM ECG waveforms: the rhythm groups of a file -> the 12 leads in millivolts.

DICOM PS3.3 A.34.3 to A.34.5 (12-lead, general and ambulatory ECG) and C.10.9; see
`dicom_waveform` for how a file is parsed and `dicom_channel` for how leads are told.

Shape suffixes: L leads (12), T samples, C channels of a group.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import LeadError, UnsupportedFormat
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.claims import check_samples, millivolts_of, one_unit, voltage_unit
from truelead.signal.formats.dicom_channel import channel_rows
from truelead.signal.formats.dicom_waveform import Channel, Group, waveform_groups
from truelead.signal.formats.dicom_writer import write
from truelead.signal.formats.statement import refuse_contradiction
from truelead.signal.formats.xml_ecg import checked_rate, ecg_of
from truelead.signal.record_files import read_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

# What devices call the group of the one beat that stands for all of them.
_BEAT_LABEL = re.compile(r"MEDIAN|AVERAGE|REPRESENTATIVE|TEMPLATE|BEAT")
# The samples themselves, 4 bytes each at most, and all else that a file may hold.
_OTHER_BYTES = 16 * 2**20
_MAXIMUM_FILE_BYTES = 512 * 2**20
# A start between two samples is refused unless it is this near to one, in samples.
_TOLERANCE = 0.1


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read the rhythm recording of a DICOM ECG.

    Original groups come before derived ones, and median beats are never taken. The 12 leads may
    be spread over groups of one sampling rate; a group that starts later, or a channel with a
    skew of whole samples, is placed there, with NaN before and after. A smaller group whose leads
    all stand in the others (a rhythm strip) is left out.

    Raises:
        RecordError: one of its kinds.
    """
    where = str(path)
    bound = min(4 * limits.maximum_samples * limits.maximum_leads, _MAXIMUM_FILE_BYTES)
    content = read_regular_file(
        where, maximum_bytes=bound + _OTHER_BYTES, field="file", where=where
    )
    groups = waveform_groups(content, where=where, limits=limits)
    chosen = _rhythm_groups(groups, where=where)
    rates = {group.sampling_rate for group, _ in chosen}
    if len(rates) != 1:
        raise UnsupportedFormat(
            where,
            field="sampling frequency",
            expected="one for all groups that hold leads",
            found=f"{len(rates)}",
        )
    sampling_rate = checked_rate(rates.pop(), where=where)
    places = {row: (group, position) for group, rows in chosen for row, position in rows.items()}
    units = {
        row: voltage_unit(
            group.channels[position].unit,
            where=where,
            field=f"sensitivity unit of lead {LEADS[row]}",
        )
        for row, (group, position) in places.items()
    }
    refuse_contradiction(
        stated,
        path,
        sampling_rate=sampling_rate,
        leads=[LEADS[row] for row in places],
        units=one_unit(set(units.values())),
    )
    starts = {
        row: _start(group, group.channels[position], sampling_rate, LEADS[row], where=where)
        for row, (group, position) in places.items()
    }
    first = min(starts.values())
    length = max(starts[row] + group.samples for row, (group, _) in places.items()) - first
    check_samples(length, where=where, limits=limits)
    millivolts = {}
    for row, (group, position) in places.items():
        row_T = np.full(length, np.nan)
        start = starts[row] - first
        row_T[start : start + group.samples] = _physical(group, position) * millivolts_of(
            units[row]
        )
        millivolts[row] = row_T
    return ecg_of(path, millivolts, sampling_rate=sampling_rate)


def _rhythm_groups(groups: list[Group], *, where: str) -> list[tuple[Group, dict[int, int]]]:
    """The groups to read, each with its row of `LEADS` -> channel."""
    rhythm = [group for group in groups if not _BEAT_LABEL.search(group.label)]
    if not rhythm:
        raise UnsupportedFormat(
            where, field="multiplex groups", expected="a rhythm recording", found="median beats"
        )
    if any(group.original for group in rhythm):
        rhythm = [group for group in rhythm if group.original]
    found = [
        (group, channel_rows([channel.source for channel in group.channels], where=where))
        for group in rhythm
    ]
    found.sort(key=lambda pair: -len(pair[1]))
    largest = len(found[0][1])
    if largest == 0:
        raise LeadError(
            where, field="leads", expected=f"at least one of {', '.join(LEADS)}", found="none"
        )
    chosen: list[tuple[Group, dict[int, int]]] = []
    taken: set[int] = set()
    for group, rows in found:
        doubled = taken & rows.keys()
        if not doubled and rows:
            chosen.append((group, rows))
            taken |= rows.keys()
        elif doubled != rows.keys() or (rows and len(rows) == largest):
            raise LeadError(
                where,
                field="leads",
                expected="each lead in one rhythm group",
                found=f"{', '.join(LEADS[row] for row in sorted(doubled))} in several",
            )
    return chosen


def _start(group: Group, channel: Channel, sampling_rate: float, lead: str, *, where: str) -> int:
    """The sample at which the channel begins, counted from the acquisition's start."""
    seconds = group.offset_seconds + channel.skew_seconds
    exact = seconds * sampling_rate + channel.skew_samples
    # A start beyond what an ECG may last is caught here, before it becomes an index.
    if abs(exact) > 1e9 or abs(exact - round(exact)) > _TOLERANCE:
        raise UnsupportedFormat(
            where,
            field=f"start of lead {lead}",
            expected="offset and skew that add up to whole samples",
            found=f"{exact:g} samples",
        )
    return round(exact)


def _physical(group: Group, position: int) -> NDArray[np.float64]:
    """Voltages in the channel's unit; padding is NaN."""
    stored_TC = np.frombuffer(group.data, dtype=group.sample_type).reshape(group.samples, -1)
    stored_T = stored_TC[:, position]
    channel = group.channels[position]
    physical_T: NDArray[np.float64] = (
        stored_T.astype(np.float64) * (channel.sensitivity * channel.correction) + channel.baseline
    )
    if group.padding is not None:
        padding = np.frombuffer(group.padding, dtype=group.sample_type)[0]
        physical_T[stored_T == padding] = np.nan
    return physical_T


def recognise(head: bytes) -> bool:
    """Whether DICM stands behind the preamble of 128 bytes (DICOM PS3.10, 7.1)."""
    return head[128:132] == b"DICM"


FORMAT = Format(
    name="dicom",
    title="DICOM ECG waveform",
    suffixes=(".dcm", ".dicom"),
    read=read,
    recognise=recognise,
    write=write,
)
