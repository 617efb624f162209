"""Read a 12-lead WFDB record into an `Ecg`, safely and fast.

Everything a header claims is compared with `ReadLimits` and with the real size of the files before
memory is reserved. Header comments, which may hold patient data, never reach an error.
"""

from __future__ import annotations

import os

from truelead.errors import LeadError
from truelead.signal.record_files import split_record_path
from truelead.signal.wfdb_header import read_header
from truelead.signal.wfdb_record import ReadLimits
from truelead.signal.wfdb_segments import read_segments
from truelead.signal.wfdb_single import read_leads
from truelead.types import LEADS, Ecg

_DEFAULT_LIMITS = ReadLimits()


def read_record(
    path: str | os.PathLike[str],
    *,
    limits: ReadLimits = _DEFAULT_LIMITS,
    verify_checksums: bool = True,
) -> Ecg:
    """Read one record.

    Args:
        path: of the record, with or without ".hea"; its signal files lie beside it.
        limits: what the record may claim before it is refused.
        verify_checksums: compare each lead with the 16-bit checksum in the header. Skip it only
            for sets known to have written wrong ones.

    Returns:
        the ECG in mV, leads in canonical order, NaN where a lead or a sample is missing (see
        `Ecg.lead_mask_L`). `record_id` is the record's file name without extension.

    Raises:
        MissingFile: the header or a signal file is not there.
        MalformedHeader: the header cannot be parsed, contradicts itself, or names a file outside
            its folder.
        RecordTooLarge: it claims more than `limits` allow.
        TruncatedSignal: a signal file is shorter than the header says.
        ChecksumMismatch: the samples of a lead do not add up.
        LeadError: a lead occurs twice or is none of an ECG, or no standard lead is there.
        UnsupportedFormat: the storage format or the unit of a lead is not supported.
    """
    folder, record = split_record_path(path)
    where = os.path.join(folder, record + ".hea")
    header = read_header(path, limits=limits)
    if header.segments:
        signal_LT, sampling_rate = read_segments(
            header, folder, where=where, limits=limits, verify=verify_checksums
        )
    elif header.lead_count == 0:
        raise LeadError(
            where, field="leads", expected=f"at least one of {', '.join(LEADS)}", found="no signal"
        )
    else:
        signal_LT, sampling_rate = read_leads(
            header, folder, record, limits=limits, verify=verify_checksums
        )
    return Ecg(signal_LT=signal_LT, sampling_rate=sampling_rate, record_id=record)
