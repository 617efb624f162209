"""Which fields of a file speak of the patient, by their names alone.

What is listed here never reaches an `Ecg` or a file that TrueLead writes; the list tells users what
a source still holds. A name is shown only where it is one of the standard's or of the lists below,
because a stranger's field name can be anyone's name: the rest is counted as what it is ("other
comments", "private tags"). The list is no proof that a file holds nothing else.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from truelead.errors import MalformedHeader
from truelead.signal.formats.address import parse_address
from truelead.signal.formats.base import DEFAULT_LIMITS
from truelead.signal.formats.optional_package import optional_package
from truelead.signal.formats.reading import read_head
from truelead.signal.formats.scp_ecg_sections import sections_of
from truelead.signal.formats.wfdb import files as wfdb_files
from truelead.signal.formats.xml_document import local_name, read_document
from truelead.signal.record_files import read_regular_file
from truelead.signal.wfdb_header import read_header

_COMMENT_NAMES = {
    name.lower(): name
    for name in (
        "Age",
        "Sex",
        "Gender",
        "Dx",
        "Rx",
        "Hx",
        "Sx",
        "Name",
        "Patient",
        "Patient ID",
        "Subject ID",
        "Date of birth",
        "Birth date",
        "Height",
        "Weight",
        "Diagnose",
        "Diagnoses",
        "Diagnosis",
        "ECG date",
        "Recording date",
    )
}
_PLAIN_WORDS = re.compile(r"[^a-z]+")

# SCP-ECG, section 1: tags that speak of the patient, of who treated them, or of when.
_SCP_TAGS = {
    0: "last name",
    1: "first name",
    2: "patient identification",
    3: "second last name",
    4: "age",
    5: "date of birth",
    6: "height",
    7: "weight",
    8: "sex",
    9: "race",
    10: "drugs",
    11: "systolic blood pressure",
    12: "diastolic blood pressure",
    13: "diagnosis or referral indication",
    16: "acquiring institution",
    17: "analyzing institution",
    18: "acquiring department",
    19: "analyzing department",
    20: "referring physician",
    21: "latest confirming physician",
    22: "technician",
    23: "room",
    25: "date of acquisition",
    26: "time of acquisition",
    30: "free text",
    31: "ECG sequence number",
    32: "medical history codes",
    35: "medical history text",
}
_SCP_SECTIONS = {8: "diagnosis text", 11: "interpretive statements"}

_XML_NAMES = {
    "aecg": "birthTime administrativeGenderCode raceCode name effectiveTime subjectOf "
    "trialSubject clinicalTrial responsibleParty assignedPerson location",
    "muse": "PatientID PatientLastName PatientFirstName DateofBirth PatientAge Gender Race "
    "HeightCM WeightKG AcquisitionDate AcquisitionTime Location LocationName SiteName Site "
    "RoomID EditDate EditTime EditorID EditorLastName EditorFirstName OverreaderID "
    "OverreaderLastName OverreaderFirstName AcquisitionTechID AcquisitionTechLastName "
    "AcquisitionTechFirstName AttendingMDLastName AttendingMDFirstName ReferringMDLastName "
    "ReferringMDFirstName OrderingMDLastName OrderingMDFirstName AdmitDate AdmitTime "
    "OrderNumber HISOrderNumber VisitNumber TestReason StmtText",
    "philips": "patientid uniquepatientid MRN lastname firstname middlename dateofbirth age sex "
    "race height weight dateofacquisition operator operatorid referringphysician "
    "attendingphysician confirmingphysician orderingclinician institutionname "
    "institutionlocationid departmentname facilityname location roomnumber "
    "orderenteredby encounterid visitnumber reasonfororder comment statement",
}
_XML_ROOTS = {"aecg": "AnnotatedECG", "muse": "RestingECG", "philips": "restingecgdata"}

_VARIABLE_WORDS = "patient name age sex gender birth date time id mrn diagnosis height weight"
# What TrueLead writes where DICOM demands a date.
_DICOM_PLACEHOLDERS = ("19850101", "000000", "19850101000000")
_DICOM_REPRESENTATIONS = frozenset(("PN", "DA", "DT", "TM"))
_DICOM_KEYWORDS = (
    "AccessionNumber AdmittingDiagnosesDescription DeviceSerialNumber EthnicGroup "
    "InstitutionAddress InstitutionName InstitutionalDepartmentName IssuerOfPatientID "
    "MedicalAlerts OtherPatientIDs ReasonForStudy RequestedProcedureDescription StationName "
    "StudyDescription StudyID UnformattedTextValue"
)


def patient_fields(path: Path, format_name: str) -> tuple[str, ...]:
    """Names of the fields of a file that may speak of the patient and are not empty.

    Args:
        path: a file that the format's reader has read.
        format_name: its name in `FORMATS`.

    Returns:
        names without their values, each once, in the file's order; empty for formats that hold
        only numbers.

    Raises:
        RecordError: the file cannot be read.
    """
    find = _FINDERS.get(format_name)
    return tuple(dict.fromkeys(find(parse_address(path).file))) if find else ()


def _wfdb(path: Path) -> Iterable[str]:
    for file in wfdb_files(path):
        if file.suffix != ".hea":
            continue
        header = read_header(file)
        if header.base_date is not None:
            yield "recording date"
        if header.base_time is not None:
            yield "recording time"
        for comment in header.comments:
            key = re.split(r"[:=]", comment, maxsplit=1)[0].strip(" <>").lower()
            if key in _COMMENT_NAMES:
                yield f"comment {_COMMENT_NAMES[key]}"
            elif comment:
                yield "other comments"


def _edf(path: Path) -> Iterable[str]:
    header = read_head(path)
    if set(header[8:88].split()) - {b"X"}:
        yield "patient identification"
    if set(header[88:168].split()) - {b"X", b"Startdate"}:
        yield "recording identification"
    if header[168:176] not in (b"01.01.85", b" " * 8):
        yield "start date"


def _scp_ecg(path: Path) -> Iterable[str]:
    content = read_regular_file(
        os.fspath(path),
        maximum_bytes=4 * DEFAULT_LIMITS.maximum_samples * DEFAULT_LIMITS.maximum_leads,
        field="file",
        where=os.fspath(path),
    )
    sections = sections_of(content, path)
    body = sections.get(1, b"")
    at = 0
    while at + 3 <= len(body) and body[at] != 255:
        tag, length = struct.unpack_from("<BH", body, at)
        at += 3 + length
        if length and body[at - length : at].strip(b"\x00"):
            if tag in _SCP_TAGS:
                yield _SCP_TAGS[tag]
            elif tag >= 200:
                yield "manufacturer's tags"
    for number, name in _SCP_SECTIONS.items():
        if number in sections:
            yield name
    if any(number == 9 or number > 12 for number in sections):
        yield "manufacturer's sections"


def _xml(format_name: str) -> Callable[[Path], Iterable[str]]:
    names = {name.lower(): name for name in _XML_NAMES[format_name].split()}

    def find(path: Path) -> Iterable[str]:
        root = read_document(
            path, root=_XML_ROOTS[format_name], document_type_allowed=format_name == "muse"
        )
        for element in root.iter():
            name = names.get(local_name(element).lower())
            if name is None:
                continue
            inside = list(element.iter())
            said = any((each.text or "").strip() for each in inside) or any(
                value and not key.endswith("nullFlavor")
                for each in inside
                for key, value in each.attrib.items()
            )
            if said:
                yield name

    return find


def _dicom(path: Path) -> Iterable[str]:
    pydicom = optional_package("pydicom", where=path)
    try:
        # pydicom's warnings quote values.
        with warnings.catch_warnings(action="ignore"):
            dataset = pydicom.dcmread(path, stop_before_pixels=True, defer_size="1 KB")
            elements = [
                (
                    element.tag.is_private,
                    element.VR,
                    element.keyword,
                    element.is_empty or str(element.value) in _DICOM_PLACEHOLDERS,
                )
                for element in dataset.iterall()
            ]
    except (OSError, ValueError, KeyError, AttributeError, NotImplementedError, TypeError):
        raise MalformedHeader(path, field="data set", expected="readable DICOM tags") from None
    for private, representation, keyword, empty in elements:
        if empty:
            continue
        if private:
            yield "private tags"
        elif keyword and (
            representation in _DICOM_REPRESENTATIONS
            or (keyword.startswith("Patient") and keyword != "PatientIdentityRemoved")
            or keyword in _DICOM_KEYWORDS.split()
        ):
            yield keyword


def _variable_words(names: Iterable[str]) -> Iterable[str]:
    """Which of the telling words stand in the names of variables and attributes."""
    for name in names:
        for word in _PLAIN_WORDS.split(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()):
            if word in _VARIABLE_WORDS.split():
                yield f"a field on {word}"


def _hdf5(path: Path) -> Iterable[str]:
    h5py = optional_package("h5py", where=path)
    names: list[str] = []

    def collect(name: str, item: object) -> None:
        names.append(name)
        names.extend(getattr(item, "attrs", ()))

    try:
        with h5py.File(path, "r") as file:
            names.extend(file.attrs)
            file.visititems(collect)
    except (OSError, ValueError, RuntimeError, KeyError):
        raise MalformedHeader(path, field="file", expected="readable HDF5") from None
    return _variable_words(names)


def _matlab(path: Path) -> Iterable[str]:
    from scipy.io import whosmat

    try:
        names = [name for name, _, _ in whosmat(path)]
    except NotImplementedError:
        return _hdf5(path)
    except (OSError, ValueError, TypeError, KeyError):
        raise MalformedHeader(path, field="file", expected="a readable MAT-file") from None
    return _variable_words(names)


_FINDERS: dict[str, Callable[[Path], Iterable[str]]] = {
    "wfdb": _wfdb,
    "edf": _edf,
    "dicom": _dicom,
    "aecg": _xml("aecg"),
    "muse": _xml("muse"),
    "philips": _xml("philips"),
    "scp-ecg": _scp_ecg,
    "hdf5": _hdf5,
    "matlab": _matlab,
}
