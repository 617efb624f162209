"""GE MUSE documents, written apart from the package by the layout of MUSE's RestingECG."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

import numpy as np

from truelead.signal.generator import generate_ecg
from truelead.types import LEADS

PATIENT = ("Zebulon-Quagmire", "MRN-8812345")
STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
DOCTYPE = '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">'


def digits_of(seconds: float = 2.0, rate: int = 250) -> dict[str, np.ndarray]:
    """Lead -> int16 (T,): a generated ECG in units of 4.88 uV."""
    ecg = generate_ecg(4, {}, sampling_rate=rate, seconds=seconds).ecg
    return {
        lead: np.rint(lead_T / 0.00488).astype("<i2")
        for lead, lead_T in zip(LEADS, ecg.signal_LT, strict=True)
    }


def lead_data(
    lead: str,
    digits_T: np.ndarray,
    *,
    gain: str = "4.88",
    units: str = "MICROVOLTS",
    off: str = "FALSE",
    checksum: bool = True,
) -> str:
    content = digits_T.tobytes()
    text = base64.encodebytes(content).decode()
    crc = f"<LeadDataCRC32>{zlib.crc32(content)}</LeadDataCRC32>" if checksum else ""
    return (
        f"<LeadData><LeadByteCountTotal>{len(content)}</LeadByteCountTotal>"
        f"<LeadTimeOffset>0</LeadTimeOffset>"
        f"<LeadSampleCountTotal>{digits_T.size}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>{gain}</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>{units}</LeadAmplitudeUnits><LeadID>{lead}</LeadID>"
        f"<LeadOffsetFirstSample>0</LeadOffsetFirstSample><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadOff>{off}</LeadOff>{crc}<WaveFormData>{text}</WaveFormData></LeadData>\n"
    )


def waveform(leads: str, *, kind: str = "Rhythm", base: str = "250", exponent: str = "0") -> str:
    return (
        f"<Waveform><WaveformType>{kind}</WaveformType>"
        f"<NumberofLeads>{leads.count('<LeadData>')}</NumberofLeads>"
        f"<SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>{base}</SampleBase>"
        f"<SampleExponent>{exponent}</SampleExponent>{leads}</Waveform>"
    )


def document(*waveforms: str) -> str:
    return (
        f'<?xml version="1.0" encoding="ISO-8859-1"?>\n{DOCTYPE}\n<RestingECG>'
        f"<PatientDemographics><PatientID>{PATIENT[1]}</PatientID>"
        f"<PatientLastName>{PATIENT[0]} \u00e9</PatientLastName></PatientDemographics>"
        f"{''.join(waveforms)}</RestingECG>"
    )


def whole(digits: Mapping[str, np.ndarray], leads: tuple[str, ...] = STORED) -> str:
    return document(waveform("".join(lead_data(lead, digits[lead]) for lead in leads)))
