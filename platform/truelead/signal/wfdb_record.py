"""What a WFDB header says, as values: header(5) of the WFDB Applications Guide, PhysioNet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time
from typing import NamedTuple

DEFAULT_SAMPLING_RATE = 250.0
"""Hz where the record line gives no rate (header(5))."""

DEFAULT_GAIN = 200.0
"""Units of the ADC per physical unit where the gain is 0 or missing (header(5))."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a record may claim before the reader refuses it.

    Attributes:
        maximum_samples: samples of one signal.
        maximum_leads: signals of one record.
        maximum_header_bytes: size of a header file.
        maximum_segments: segments of a multi-segment record.
    """

    maximum_samples: int = 1_000_000
    maximum_leads: int = 64
    maximum_header_bytes: int = 65_536
    maximum_segments: int = 1_000


class SignalSpecification(NamedTuple):
    """One signal line. A named tuple: twelve of them are made for each record that is read.

    Attributes:
        file_name: the signal file beside the header.
        storage_format: WFDB's number of the sample format ("16", "212", ...).
        samples_per_frame: samples of this signal in each frame.
        skew: frames by which the stored signal lags behind time 0.
        byte_offset: bytes before the first sample of the file; None where not given.
        gain: ADC units per physical unit, never 0.
        baseline: ADC value at 0 physical units.
        units: physical unit, such as "mV".
        adc_resolution, adc_zero, initial_value, block_size: as stored, 0 where not given
            (initial_value then equals adc_zero).
        checksum: 16-bit sum of all samples, in any signedness; None where not given.
        description: the lead's name.
    """

    file_name: str
    storage_format: str
    samples_per_frame: int = 1
    skew: int = 0
    byte_offset: int | None = None
    gain: float = DEFAULT_GAIN
    baseline: int = 0
    units: str = "mV"
    adc_resolution: int = 0
    adc_zero: int = 0
    initial_value: int = 0
    checksum: int | None = None
    block_size: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment line: another record of `samples` frames, or a gap where the name is "~"."""

    name: str
    samples: int


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """A parsed header.

    Attributes:
        name: the record's name, without a folder.
        sampling_rate: frames a second (Hz).
        samples: frames in the record; None where the header leaves it open.
        lead_count: number of signals.
        signals: one entry a signal; empty in a multi-segment header.
        segments: one entry a segment; empty in an ordinary header.
        counter_rate, base_counter: the counter's ticks a second and its value at sample 0.
        base_time, base_date: when sample 0 was recorded; None where absent or unreadable.
        comments: the comment lines without "#". They may hold patient data.
    """

    name: str
    sampling_rate: float
    samples: int | None
    lead_count: int
    signals: tuple[SignalSpecification, ...] = ()
    segments: tuple[Segment, ...] = ()
    counter_rate: float | None = None
    base_counter: float = 0.0
    base_time: time | None = field(default=None, repr=False)
    base_date: date | None = field(default=None, repr=False)
    comments: tuple[str, ...] = field(default=(), repr=False)
