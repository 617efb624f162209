"""The file formats of ECGs, by the name that users write; one file a format.

Adding one: a module with a constant `FORMAT` (see `base.Format`) and a line here. Libraries that
only one format needs are imported inside its functions.
"""

from truelead.signal.formats import (
    csv_table,
    dicom,
    edf,
    ge_muse,
    hdf5,
    hl7_aecg,
    matlab,
    npy,
    philips_xml,
    scp_ecg,
    wfdb,
)
from truelead.signal.formats.base import Format

FORMATS: dict[str, Format] = {
    "wfdb": wfdb.FORMAT,
    "edf": edf.FORMAT,
    "dicom": dicom.FORMAT,
    "aecg": hl7_aecg.FORMAT,
    "muse": ge_muse.FORMAT,
    "philips": philips_xml.FORMAT,
    "scp-ecg": scp_ecg.FORMAT,
    "hdf5": hdf5.FORMAT,
    "matlab": matlab.FORMAT,
    "csv": csv_table.FORMAT,
    "npy": npy.FORMAT,
}
"""In the order in which users see them; which one fits a file is its own `recognise`."""
