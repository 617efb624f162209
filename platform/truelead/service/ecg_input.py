"""From the wire to `Ecg`: millivolts in canonical order, within the service's limits.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import hashlib

import numpy as np

from truelead.errors import InvalidEcg, LeadError, RecordTooLarge
from truelead.service import limits
from truelead.service.file_input import decode_file
from truelead.service.wfdb_input import decode_wfdb
from truelead.service.wire import ModelDescription
from truelead.service.wire_ecg import FileInput, LeadsInput, WfdbInput
from truelead.types import LEADS, Ecg


def decode_ecg(sent: LeadsInput | WfdbInput | FileInput, *, where: str = "ecg") -> Ecg:
    """One ECG of a request.

    Raises:
        RecordError: a subclass says what is wrong with it.
    """
    if isinstance(sent, WfdbInput):
        ecg = decode_wfdb(sent.wfdb.header, sent.wfdb.signal, where=f"{where}.wfdb")
    elif isinstance(sent, FileInput):
        ecg = decode_file(sent.file, where=f"{where}.file")
    else:
        ecg = _from_leads(sent, where)
    _check(ecg, where)
    return ecg


def notes_on(ecgs: tuple[Ecg, ...], model: ModelDescription) -> tuple[str, ...]:
    """What the model cannot see of the ECGs, one line each."""
    notes = []
    for at, ecg in enumerate(ecgs):
        missing = [lead for lead, seen in zip(LEADS, ecg.lead_mask_L, strict=True) if not seen]
        if missing:
            notes.append(f"ecgs.{at}: not recorded: {', '.join(missing)}")
        if ecg.duration_seconds > model.seconds + 0.5 / ecg.sampling_rate:
            notes.append(
                f"ecgs.{at}: only the first {model.seconds:g} s of "
                f"{ecg.duration_seconds:g} s are read"
            )
        elif ecg.duration_seconds < model.seconds - 0.5 / ecg.sampling_rate:
            notes.append(
                f"ecgs.{at}: {ecg.duration_seconds:g} s long, the model was trained on "
                f"{model.seconds:g} s"
            )
    return tuple(notes)


def signal_sha256(ecg: Ecg) -> str:
    """SHA-256 of the float32 millivolts: the same as `model.reference_ecgs.signal_digest`.

    Here without that module, which loads torch.
    """
    return hashlib.sha256(np.ascontiguousarray(ecg.signal_LT, np.float32).tobytes()).hexdigest()


def _from_leads(sent: LeadsInput, where: str) -> Ecg:
    lengths = {lead: len(samples) for lead, samples in sent.leads.items() if samples is not None}
    if not lengths:
        raise LeadError(where, field="leads", expected="samples of at least one lead", found="none")
    samples = max(lengths.values())
    for lead, length in lengths.items():
        if length != samples:
            raise LeadError(
                where,
                field=f"leads.{lead}",
                expected=f"{samples} samples like the longest lead",
                found=f"{length}",
            )
    signal_LT = np.full((len(LEADS), samples), np.nan)
    for row, lead in enumerate(LEADS):
        values = sent.leads[lead]
        if values is not None:
            signal_LT[row] = values  # None becomes NaN
    if sent.units == "uV":
        signal_LT /= 1000.0
    # Anything beyond float32 becomes infinite here and is refused by `_check`.
    with np.errstate(over="ignore"):
        return Ecg(signal_LT.astype(np.float32), float(sent.sampling_rate))


def _check(ecg: Ecg, where: str) -> None:
    samples = ecg.signal_LT.shape[1]
    if not limits.MINIMUM_SAMPLING_RATE <= ecg.sampling_rate <= limits.MAXIMUM_SAMPLING_RATE:
        raise InvalidEcg(
            where,
            field="sampling_rate",
            expected=f"{limits.MINIMUM_SAMPLING_RATE:g} to {limits.MAXIMUM_SAMPLING_RATE:g} Hz",
            found=f"{ecg.sampling_rate:g}",
        )
    if samples > limits.MAXIMUM_SAMPLES:
        raise RecordTooLarge(
            where, field="samples", expected=f"at most {limits.MAXIMUM_SAMPLES}", found=f"{samples}"
        )
    if not limits.MINIMUM_SECONDS <= ecg.duration_seconds <= limits.MAXIMUM_SECONDS:
        raise InvalidEcg(
            where,
            field="duration",
            expected=f"{limits.MINIMUM_SECONDS:g} to {limits.MAXIMUM_SECONDS:g} s",
            found=f"{ecg.duration_seconds:g} s",
        )
    if not ecg.lead_mask_L.any():
        raise InvalidEcg(
            where, field="signal", expected="samples of at least one lead", found="none"
        )
    if np.any(np.abs(ecg.signal_LT) > limits.MAXIMUM_MILLIVOLTS):
        raise InvalidEcg(
            where,
            field="signal",
            expected=f"at most {limits.MAXIMUM_MILLIVOLTS:g} mV (check the units)",
            found="more",
        )
