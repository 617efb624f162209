"""What a file format of ECGs offers; each format is one file of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg


@dataclass(frozen=True)
class StatedSignal:
    """What the user states of a file that does not say it itself (CSV, NPY, HDF5).

    Nothing is ever guessed: a reader that needs a field which is None here and absent from the
    file raises, and names the option. A format whose files say everything refuses a statement
    that contradicts the file.

    Attributes:
        sampling_rate: Hz.
        units: "mV", "uV" or "V", or "adc" together with `gain`.
        leads: names of the columns or rows in file order.
        gain: ADC units per millivolt where `units` is "adc".
        orientation: "samples-by-leads" or "leads-by-samples", for arrays without names.
    """

    sampling_rate: float | None = None
    units: str | None = None
    leads: tuple[str, ...] | None = None
    gain: float | None = None
    orientation: str | None = None


NOTHING_STATED = StatedSignal()
DEFAULT_LIMITS = ReadLimits()


class ReadFile(Protocol):
    """Reads one file (or record of several files) into an `Ecg`."""

    def __call__(self, path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
        """`Ecg.record_id` is the file's name without extension, `patient_id` a pseudonym or "".

        Raises:
            RecordError: one of its kinds; the message names file, field and what was expected,
                never patient data.
        """
        ...


class WriteFile(Protocol):
    """Writes one `Ecg` in one step; no patient data goes into the file."""

    def __call__(self, ecg: Ecg, path: Path) -> Path:
        """Returns the path of what was written.

        Raises:
            InvalidEcg: the ECG does not fit the format.
        """
        ...


def only_the_file(path: Path) -> Iterable[Path]:
    """The files of a record that is one file."""
    return (path,)


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        name: as users write it ("edf").
        title: as people know it ("EDF and EDF+").
        suffixes: endings in lower case with the dot, the usual one first; `write` uses the first.
        read: the reader.
        recognise: whether the first bytes (at most `HEAD_BYTES`) are this format's. A suffix is
            shared (".xml", ".mat", ".dat"), so content decides.
        write: the writer, None where there is none.
        files: the files that hold a record, in the order in which they are hashed.
        needs: the fields of `StatedSignal` that the format's files do not say.
        precision_millivolts: how far a sample may be off after writing and reading, in mV.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    read: ReadFile
    recognise: Callable[[bytes], bool]
    write: WriteFile | None = None
    files: Callable[[Path], Iterable[Path]] = only_the_file
    needs: tuple[str, ...] = ()
    precision_millivolts: float = 0.000501


HEAD_BYTES = 4096
