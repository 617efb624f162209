"""From a record on disk to clean millivolts."""

from truelead.signal.drawing import draw_png, draw_svg
from truelead.signal.formats.reading import read_ecg, write_ecg
from truelead.signal.leads import canonical_lead_name
from truelead.signal.resample import fit_duration, resample
from truelead.signal.wfdb_header import read_header
from truelead.signal.wfdb_reader import read_record
from truelead.signal.wfdb_record import ReadLimits, RecordHeader
from truelead.signal.wfdb_writer import write_record

__all__ = [
    "ReadLimits",
    "RecordHeader",
    "canonical_lead_name",
    "draw_png",
    "draw_svg",
    "fit_duration",
    "read_ecg",
    "read_header",
    "read_record",
    "resample",
    "write_ecg",
    "write_record",
]
