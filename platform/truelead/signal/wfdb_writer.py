"""Write an `Ecg` as a WFDB record the way PTB-XL does: format 16, checksums, one .dat file.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from truelead.errors import InvalidEcg
from truelead.signal.one_step import write_in_one_step
from truelead.signal.wfdb_decoders import INVALID_SAMPLE
from truelead.types import LEADS, Ecg

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MISSING = INVALID_SAMPLE["16"]


def write_record(
    folder: str | os.PathLike[str], ecg: Ecg, *, adc_gain: float = 1000, name: str | None = None
) -> Path:
    """Write `folder/name.dat` and `folder/name.hea`, each in one step, the header last.

    A reader therefore never sees half a record, and a header that exists has its samples. Lead
    names are in capitals (AVR, AVL, AVF), as in PTB-XL.

    Args:
        folder: made if it is not there.
        ecg: rounded to 1 / `adc_gain` mV; NaN becomes WFDB's "no sample" (-32768).
        adc_gain: ADC units per mV; PTB-XL has 1000.
        name: of the record, `ecg.record_id` where None; letters, digits, "_" and "-".

    Returns:
        the record's path without extension, as `read_record` takes it.

    Raises:
        InvalidEcg: the name cannot be a record's, or a voltage does not fit 16 bits at this gain.
    """
    name = ecg.record_id if name is None else name
    if _NAME.fullmatch(name) is None:
        raise InvalidEcg(
            "record", field="name", expected="letters, digits, '_' and '-'", found=repr(name[:32])
        )
    if not (np.isfinite(adc_gain) and adc_gain > 0):
        raise InvalidEcg(name, field="adc_gain", expected="above 0", found=f"{adc_gain}")
    missing_LT = np.isnan(ecg.signal_LT)
    digital_LT = np.rint(ecg.signal_LT.astype(np.float64) * adc_gain)
    digital_LT[missing_LT] = 0
    largest = float(np.abs(digital_LT).max())
    if not largest <= -_MISSING - 1:
        raise InvalidEcg(
            name,
            field="signal",
            expected=f"at most {(-_MISSING - 1) / adc_gain:g} mV in 16 bits at gain {adc_gain:g}",
            found=f"{largest / adc_gain:g} mV",
        )
    digital_LT[missing_LT] = _MISSING
    stored_LT = digital_LT.astype("<i2")

    rate = f"{ecg.sampling_rate:.12g}"
    lines = [f"{name} {len(LEADS)} {rate} {stored_LT.shape[1]}"]
    checksums = stored_LT.sum(axis=1, dtype=np.int64) & 0xFFFF
    for lead, first, checksum in zip(LEADS, stored_LT[:, 0], checksums, strict=True):
        lines.append(
            f"{name}.dat 16 {float(adc_gain)!r}(0)/mV 16 0 {first} {checksum} 0 {lead.upper()}"
        )
    folder = Path(folder)
    write_in_one_step(folder / f"{name}.dat", np.ascontiguousarray(stored_LT.T).tobytes())
    write_in_one_step(folder / f"{name}.hea", "".join(f"{line}\n" for line in lines).encode())
    return folder / name
