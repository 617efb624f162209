"""Commands that look at single ECGs: inspect, plot, convert, in every format that is read.

The readers are imported when a command runs, so that `truelead --help` does not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from truelead.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from truelead.signal.conversion import Conversion, ConversionOptions
    from truelead.signal.formats.base import StatedSignal

PANEL = "ECG files"
MESSAGES_SHOWN = 5

console = Console(soft_wrap=True, highlight=False, markup=False)

READABLE = "wfdb, edf, dicom, aecg, muse, philips, scp-ecg, hdf5, matlab, csv, npy"
WRITABLE = "wfdb, edf, dicom, aecg, csv, npy"
"""The formats of `truelead.signal.formats.FORMATS`; a test compares them."""

FormatName = Annotated[
    str | None,
    typer.Option("--format", help=f"Format to read, found out by content: {READABLE}."),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", metavar="HZ", help="Sampling rate, where the file does not say it."),
]
Units = Annotated[
    str | None,
    typer.Option("--units", help="mV, uV, V, or adc with --gain, where the file is silent."),
]
Leads = Annotated[
    str | None,
    typer.Option("--leads", metavar="I,II,...", help="Leads in file order, for unnamed columns."),
]
Gain = Annotated[
    float | None, typer.Option("--gain", help="ADC units per millivolt, with --units adc.")
]
Orientation = Annotated[
    str | None,
    typer.Option("--orientation", help="Of bare arrays: samples-by-leads or leads-by-samples."),
]


def statement(
    rate: float | None,
    units: str | None,
    leads: str | None,
    gain: float | None,
    orientation: str | None,
) -> StatedSignal:
    """What the options state of the files."""
    from truelead.signal.formats.base import StatedSignal

    names = tuple(name.strip() for name in leads.split(",")) if leads else None
    return StatedSignal(
        sampling_rate=rate, units=units, leads=names, gain=gain, orientation=orientation
    )


def inspect(
    record: Annotated[
        Path, typer.Argument(help="An ECG file, or a WFDB record with or without .hea.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    format: FormatName = None,
    rate: Rate = None,
    units: Units = None,
    leads: Leads = None,
    gain: Gain = None,
    orientation: Orientation = None,
) -> None:
    """Show what an ECG file holds, and how good it is. No patient data.

    Format, rate, length; of each lead its range, missing samples, flatness, clipping, the share of
    baseline wander and the noise; and which fields speak of the patient, by name only.

    Example: truelead inspect ecg.csv --rate 500 --units uV
    """
    from truelead.signal.formats.reading import find_format, read_ecg
    from truelead.signal.patient_fields import patient_fields
    from truelead.signal.quality import lead_qualities

    stated = statement(rate, units, leads, gain, orientation)
    source, found = find_format(record, format=format)
    ecg = read_ecg(source, format=found.name, stated=stated)
    qualities = lead_qualities(ecg)
    fields = patient_fields(source, found.name)
    if as_json:
        body: dict[str, Any] = {
            "format": found.name,
            "sampling_rate": ecg.sampling_rate,
            "samples": ecg.signal_LT.shape[1],
            "seconds": ecg.duration_seconds,
            "units": "mV",
            "leads": [asdict(quality) for quality in qualities],
            "missing_leads": [quality.lead for quality in qualities if not quality.recorded],
            "patient_fields": list(fields),
        }
        print(json.dumps(body, indent=2, allow_nan=False))
        return
    console.print(f"{found.title}, {ecg.sampling_rate:g} Hz, {ecg.duration_seconds:g} s")
    console.print(f"        {'range, mV':<18} wander  noise   (baseline share, mV above 40 Hz)")
    for quality in qualities:
        if not quality.recorded:
            console.print(f"  {quality.lead:>4}  not recorded")
            continue
        share = "-" if quality.wander_share is None else f"{quality.wander_share:.0%}"
        noise = "-" if quality.noise_millivolts is None else f"{quality.noise_millivolts:.3f}"
        notes = [
            *([f"{quality.missing} samples missing"] if quality.missing else []),
            *(["flat"] if quality.flat else []),
            *([f"clipped {quality.clipped_share:.1%}"] if quality.clipped_share else []),
        ]
        console.print(
            f"  {quality.lead:>4}  {quality.minimum:+.2f} to {quality.maximum:+.2f} mV "
            f"{share:>6}  {noise:>5}" + (f"   {', '.join(notes)}" if notes else "")
        )
    if fields:
        console.print(f"patient fields present: {', '.join(fields)} (dropped by convert)")
    else:
        console.print("patient fields present: none that this format names")


def plot(
    records: Annotated[list[Path], typer.Argument(help="One or two ECG files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="FILE.svg or FILE.png")] = Path(
        "ecg.svg"
    ),
    title: str = "",
    format: FormatName = None,
    rate: Rate = None,
    units: Units = None,
    leads: Leads = None,
    gain: Gain = None,
    orientation: Orientation = None,
) -> None:
    """Draw one ECG on the paper grid, or two one above the other.

    Example: truelead plot before.dcm after.edf --output both.png
    """
    from truelead.signal import draw_png, draw_svg
    from truelead.signal.formats.reading import read_ecg

    if output.suffix not in {".svg", ".png"} or len(records) > 2:
        raise ConfigError("plot: expected one or two records and an output FILE.svg or FILE.png")
    stated = statement(rate, units, leads, gain, orientation)
    ecgs = [read_ecg(record, format=format, stated=stated) for record in records]
    if output.suffix == ".svg":
        output.write_text(draw_svg(ecgs, title=title), encoding="utf-8")
    else:
        output.write_bytes(draw_png(ecgs, title=title))
    console.print(f"drawn: {output}")


def convert(
    sources: Annotated[
        list[Path], typer.Argument(help="ECG files, folders, or quoted patterns ('ecgs/*.xml').")
    ],
    to: Annotated[str, typer.Option("--to", help=f"Format to write: {WRITABLE}.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder; with one source, a file, too.")
    ],
    format: FormatName = None,
    rate: Rate = None,
    units: Units = None,
    leads: Leads = None,
    gain: Gain = None,
    orientation: Orientation = None,
    resample: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Resample, with an anti-alias filter."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write finished outputs anew.")
    ] = False,
) -> None:
    """Convert ECG files; comments and fields on the patient stay behind.

    A folder is converted file by file, its subfolders repeated in the output folder. What cannot be
    converted is listed in rejected.csv there with its reason, the rest goes on, and the command
    ends with status 1. Started again, it keeps what is finished. File names are kept as they are.

    Example: truelead convert ecgs/ --to wfdb --output records --resample 100
    """
    from truelead.signal import conversion

    options = conversion.ConversionOptions(
        to=to,
        format=format,
        stated=statement(rate, units, leads, gain, orientation),
        resample=resample,
    )
    written_format = conversion.writable_format(to)
    if format is not None and format not in READABLE.split(", "):
        raise ConfigError(f"--format: expected one of {READABLE}")
    found = conversion.find_sources(sources, format=format, output=output)
    planned = conversion.plan(found, output, options)
    single = conversion.is_single_file(found, output, written_format)
    try:
        if not single:
            conversion.check_options(output, options, overwrite=overwrite)
        written, kept, rejected = _convert_all(planned, options, overwrite=overwrite)
        listed = None if single else conversion.write_rejected(output, rejected)
    except OSError as error:
        # Sources that cannot be read are rejected one by one: what is left is the output's disk.
        raise ConfigError(
            f"{output}: expected a place that can be written, found {type(error).__name__}"
        ) from error
    console.print(f"converted {written}" + (f", kept {kept} finished" if kept else ""))
    if found.left_alone:
        console.print(f"left alone: {found.left_alone} files of no known format")
    if rejected:
        console.print(f"set aside {len(rejected)}" + (f", see {listed}" if listed else ""))
        for _, reason in rejected[:MESSAGES_SHOWN]:
            console.print(f"  {reason}")
        raise typer.Exit(1)


def _convert_all(
    planned: Sequence[Conversion], options: ConversionOptions, *, overwrite: bool
) -> tuple[int, int, list[tuple[str, RecordError]]]:
    """(written, kept, rejected with their reasons), with a bar on a terminal."""
    from truelead.signal import conversion

    to = conversion.writable_format(options.to)
    written = kept = 0
    rejected: list[tuple[str, RecordError]] = []
    hidden = not console.is_terminal or len(planned) == 1
    with Progress(console=console, transient=True, disable=hidden) as progress:
        for one in progress.track(planned, description="converting"):
            if not overwrite and conversion.is_complete(one, to):
                kept += 1
                continue
            try:
                conversion.convert(one, options)
                written += 1
            except RecordError as error:
                rejected.append((one.name, error))
    return written, kept, rejected


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (inspect, plot, convert):
        text = cleandoc(command.__doc__ or "")
        # Lines of a paragraph are joined: the terminal breaks them where it is wide.
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        app.command(help="\n\n".join(paragraphs), rich_help_panel=PANEL)(command)
