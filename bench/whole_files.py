"""One whole file of each format, to be damaged: by the package's writer, or by an independent one.

The formats that the package only reads are written here by h5py and scipy, and by the encoders of
the tests, which follow the published layouts and share nothing with the readers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

from tests.signal.formats import ge_muse_document, philips_document, scp_ecg_encoder
from truelead.signal.formats import FORMATS
from truelead.signal.formats.base import NOTHING_STATED, Format, StatedSignal
from truelead.types import LEADS, Ecg

_ARRAY = StatedSignal(sampling_rate=100.0, units="mV", leads=LEADS, orientation="leads-by-samples")
_STATED = {
    "csv": StatedSignal(sampling_rate=100.0, units="mV"),
    "npy": _ARRAY,
    "hdf5": _ARRAY,
    "matlab": _ARRAY,
}


@dataclass(frozen=True)
class WholeFile:
    """A file of a format.

    Attributes:
        name: of the format, and which of its ways to store the samples.
        format: its reader.
        content: the bytes.
        stated: what a user must say of it.
    """

    name: str
    format: Format
    content: bytes
    stated: StatedSignal


def whole_files(ecg: Ecg) -> Iterator[WholeFile]:
    """A file of every format but WFDB, of which a record is two files.

    Args:
        ecg: 12 leads at 100 Hz, for the formats that hold any ECG.
    """
    for name, form in FORMATS.items():
        if name == "wfdb":
            continue
        stated = _STATED.get(name, NOTHING_STATED)
        with tempfile.TemporaryDirectory() as folder:
            for kind, content in _contents(form, ecg, Path(folder)):
                yield WholeFile(f"{name}{kind}", form, content, stated)


def _contents(form: Format, ecg: Ecg, folder: Path) -> Iterator[tuple[str, bytes]]:
    path = folder / f"whole{form.suffixes[0]}"
    if form.write is not None:
        yield "", form.write(ecg, path).read_bytes()
    elif form.name == "hdf5":
        for kind, settings in {"": {}, " (gzip)": {"compression": "gzip"}}.items():
            with h5py.File(path, "w") as root:
                root.create_dataset("rest/ecg", data=ecg.signal_LT, **settings)
            yield kind, path.read_bytes()
    elif form.name == "matlab":
        for kind, compressed in {"": False, " (zlib)": True}.items():
            savemat(path, {"ecg": ecg.signal_LT}, do_compression=compressed)
            yield kind, path.read_bytes()
    elif form.name == "scp-ecg":
        microvolts_LT = np.rint(ecg.signal_LT * 1000).astype(int)
        for kind, coded in {"": False, " (Huffman)": True}.items():
            yield kind, scp_ecg_encoder.twelve_leads(microvolts_LT, coded=coded)
    elif form.name == "muse":
        digits = ge_muse_document.digits_of(1.0)
        yield "", ge_muse_document.whole(digits).encode("iso-8859-1")
    elif form.name == "philips":
        leads = philips_document.digits_of(1.0)
        plain = philips_document.text_of(philips_document.plain_of(leads))
        yield "", philips_document.version_1_03(leads, plain, "False").encode()
        yield " (XLI)", philips_document.whole(leads).encode()
    else:
        raise NotImplementedError(f"{form.name}: expected a way to write a whole file")
