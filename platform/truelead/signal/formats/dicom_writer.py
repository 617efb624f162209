"""Write an `Ecg` as a DICOM ECG waveform, without anything about patient, place or time.

The 12-Lead ECG Waveform object where the ECG fits it (DICOM PS3.3 A.34.3: 200 to 1,000 Hz, at
most 16,384 samples a lead), otherwise the Ambulatory one (A.34.5: 50 to 1,000 Hz).

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from truelead.errors import InvalidEcg
from truelead.signal.formats.dicom_channel import LEAD_NUMBERS
from truelead.signal.formats.dicom_waveform import (
    AMBULATORY_ECG,
    EXPLICIT_LITTLE_ENDIAN,
    TWELVE_LEAD_ECG,
)
from truelead.signal.formats.optional_package import optional_package
from truelead.signal.formats.sixteen_bits import MISSING, stored_in_16_bits
from truelead.signal.one_step import write_in_one_step
from truelead.types import LEADS, Ecg

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TWELVE_LEAD_RATES = (200.0, 1000.0)
_TWELVE_LEAD_SAMPLES = 16_384
_AMBULATORY_RATES = (50.0, 1000.0)
_NUMBER_OF_LEAD = {lead: number for number, lead in LEAD_NUMBERS.items()}
# DICOM demands a date and a time of the acquisition; this is EDF+'s date for "withheld".
_DATE, _TIME = "19850101", "000000"
_MAXIMUM_FIELD = 16


def write(ecg: Ecg, path: Path) -> Path:
    """Write one file in one step; equal ECGs make equal files, their UIDs included.

    Steps are those of `stored_in_16_bits`, 1 uV for all but huge voltages; missing samples are
    written as the padding value.

    Raises:
        InvalidEcg: the rate is outside what DICOM's ECG objects allow, or a voltage is too large.
        UnsupportedFormat: pydicom is not installed.
    """
    where = ecg.record_id or path.name
    optional_package("pydicom", where=where)
    import pydicom

    sop_class = _sop_class(ecg, where=where)
    rows = [
        stored_in_16_bits(row_T, lead, where=where)
        for row_T, lead in zip(ecg.signal_LT, LEADS, strict=True)
    ]
    data = np.stack([stored_T for _, stored_T in rows], axis=1).tobytes()
    steps = [step for step, _ in rows]
    digest = hashlib.sha256(f"{ecg.sampling_rate!r} {steps} {sop_class}".encode() + data)

    dataset = _anonymous_dataset(sop_class, digest.hexdigest())
    group = pydicom.Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(LEADS)
    group.NumberOfWaveformSamples = ecg.signal_LT.shape[1]
    group.SamplingFrequency = _decimal_string(ecg.sampling_rate, where=where)
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = [
        _channel(lead, step) for lead, step in zip(LEADS, steps, strict=True)
    ]
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.add_new("WaveformPaddingValue", "OW", np.array(MISSING, dtype="<i2").tobytes())
    group.add_new("WaveformData", "OW", data)
    dataset.WaveformSequence = [group]

    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return write_in_one_step(path, buffer.getvalue())


def _sop_class(ecg: Ecg, *, where: str) -> str:
    rate, samples = ecg.sampling_rate, ecg.signal_LT.shape[1]
    lowest, highest = _TWELVE_LEAD_RATES
    if lowest <= rate <= highest and samples <= _TWELVE_LEAD_SAMPLES:
        return TWELVE_LEAD_ECG
    lowest, highest = _AMBULATORY_RATES
    if lowest <= rate <= highest:
        return AMBULATORY_ECG
    raise InvalidEcg(
        where,
        field="sampling_rate",
        expected=f"{lowest:g} to {highest:g} Hz in DICOM's ECG objects",
        found=f"{rate:g}",
    )


def _anonymous_dataset(sop_class: str, digest: str) -> Dataset:
    """The modules around the waveform; what may be empty is, what may not says nothing."""
    import pydicom
    from pydicom.dataset import FileMetaDataset

    dataset = pydicom.Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = _uid(digest, "instance")
    dataset.StudyInstanceUID = _uid(digest, "study")
    dataset.SeriesInstanceUID = _uid(digest, "series")
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        setattr(dataset, keyword, "")
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Only the waveform was written"
    dataset.Modality = "ECG"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Manufacturer = "TrueLead"
    dataset.ContentDate = _DATE
    dataset.ContentTime = _TIME
    dataset.AcquisitionDateTime = _DATE + _TIME
    dataset.AcquisitionContextSequence = []
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(EXPLICIT_LITTLE_ENDIAN)
    return dataset


def _channel(lead: str, step: int) -> Dataset:
    from pydicom.dataset import Dataset

    definition = Dataset()
    definition.ChannelLabel = lead
    definition.ChannelSourceSequence = [_code(f"2:{_NUMBER_OF_LEAD[lead]}", "MDC", f"Lead {lead}")]
    definition.ChannelSensitivity = str(step)
    definition.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    definition.ChannelSensitivityCorrectionFactor = "1"
    definition.ChannelBaseline = "0"
    definition.ChannelSampleSkew = "0"
    definition.WaveformBitsStored = 16
    return definition


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = scheme
    code.CodeMeaning = meaning
    return code


def _uid(digest: str, purpose: str) -> str:
    """A UID of the branch for UUIDs (ITU-T X.667), made from the content."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{purpose} {digest}').int}"


def _decimal_string(rate: float, *, where: str) -> str:
    text = f"{rate:.14g}"
    if len(text) > _MAXIMUM_FIELD or float(text) != rate:
        raise InvalidEcg(
            where,
            field="sampling_rate",
            expected=f"a rate that {_MAXIMUM_FIELD} characters hold exactly",
            found=text,
        )
    return text
