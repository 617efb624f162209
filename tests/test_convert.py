"""`truelead convert`: one file, folders, patterns, bad files, and a second start."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from truelead.cli import app
from truelead.cli_ecg import READABLE, WRITABLE
from truelead.errors import ConfigError
from truelead.signal import write_record
from truelead.signal.conversion import find_sources
from truelead.signal.formats import FORMATS
from truelead.signal.formats.base import StatedSignal
from truelead.signal.formats.reading import read_ecg, write_ecg
from truelead.types import Ecg

RUNNER = CliRunner()


def make(seed: int = 0, samples: int = 1000, rate: float = 200.0, name: str = "made") -> Ecg:
    noise = np.random.default_rng(seed).normal(size=(12, samples))
    return Ecg((np.round(noise * 1000) / 1000).astype(np.float32), rate, record_id=name)


def convert(*arguments: object) -> Result:
    return RUNNER.invoke(app, ["convert", *map(str, arguments)])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of five ECGs in three formats, two bad files, and two that are no ECGs."""
    folder = tmp_path / "mixed"
    write_record(folder / "a", make(1), name="one")
    write_record(folder / "a", make(2), name="two")
    write_ecg(make(3), folder / "b" / "three.edf")
    write_ecg(make(4), folder / "b" / "deep" / "four.xml", "aecg")
    write_ecg(make(5), folder / "five.dcm")
    (folder / "b" / "cut.edf").write_bytes((folder / "b" / "three.edf").read_bytes()[:700])
    (folder / "empty.scp").write_bytes(b"")
    (folder / "README.txt").write_text("words\n")
    (folder / ".hidden.edf").write_bytes(b"")
    (folder / "notes.pdf").write_bytes(b"%PDF-1.7\n")
    return folder


def test_help_names_every_format() -> None:
    assert READABLE.split(", ") == list(FORMATS)
    assert WRITABLE.split(", ") == [n for n, one in FORMATS.items() if one.write is not None]


def test_one_file_to_one_file(tmp_path: Path) -> None:
    source = write_record(tmp_path, make(), name="one")
    target = tmp_path / "out" / "renamed.edf"
    done = convert(source, "--to", "edf", "--output", target)
    assert done.exit_code == 0, done.output
    assert "converted 1" in done.output
    assert [file.name for file in target.parent.iterdir()] == ["renamed.edf"]
    np.testing.assert_allclose(read_ecg(target).signal_LT, make().signal_LT, rtol=0, atol=0.000501)


def test_one_bad_file_is_said_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "bad.edf").write_bytes(b"0       ")
    done = convert(tmp_path / "bad.edf", "--to", "csv", "--output", tmp_path / "good.csv")
    assert done.exit_code == 1
    assert "set aside 1" in done.output
    assert "bad.edf" in done.output
    assert not (tmp_path / "good.csv").exists()
    missing = convert(tmp_path / "none.edf", "--to", "csv", "--output", tmp_path / "good.csv")
    assert missing.exit_code == 1
    assert "file: expected a readable file" in missing.output


def test_a_folder_goes_on_past_bad_files_and_is_resumed(mixed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = convert(mixed, "--to", "wfdb", "--output", output, "--resample", 100)
    assert done.exit_code == 1, done.output
    assert "converted 5" in done.output
    assert "set aside 2" in done.output
    assert "left alone: 2 files of no known format" in done.output
    headers = sorted(str(file.relative_to(output)) for file in output.rglob("*.hea"))
    assert headers == ["a/one.hea", "a/two.hea", "b/deep/four.hea", "b/three.hea", "five.hea"]
    for header in headers:
        ecg = read_ecg(output / header)
        assert (ecg.sampling_rate, ecg.signal_LT.shape) == (100.0, (12, 500))
    with (output / "rejected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["reason"]) for row in rows] == [
        ("b/cut.edf", rows[0]["reason"]),
        ("empty.scp", rows[1]["reason"]),
    ]
    assert all(row["path"].split("/")[-1] in row["message"] for row in rows)

    # A second start keeps what is whole, and writes what is not.
    kept = (output / "a" / "one.dat").stat().st_mtime_ns
    (output / "a" / "two.dat").unlink()
    (mixed / "b" / "cut.edf").unlink()
    (mixed / "empty.scp").unlink()
    again = convert(mixed, "--to", "wfdb", "--output", output, "--resample", 100)
    assert again.exit_code == 0, again.output
    assert "converted 1, kept 4 finished" in again.output
    assert (output / "a" / "one.dat").stat().st_mtime_ns == kept
    assert not (output / "rejected.csv").exists()
    anew = convert(mixed, "--to", "wfdb", "--output", output, "--resample", 100, "--overwrite")
    assert "converted 5" in anew.output


def test_outputs_of_other_options_are_not_mistaken_for_finished(
    mixed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    convert(mixed, "--to", "csv", "--output", output, "--resample", 100)
    other = convert(mixed, "--to", "csv", "--output", output)
    assert isinstance(other.exception, ConfigError)
    assert "choose another folder or --overwrite" in str(other.exception)
    convert(mixed, "--to", "csv", "--output", output, "--overwrite")
    stated = StatedSignal(sampling_rate=200.0)
    assert read_ecg(output / "five.csv", stated=stated).signal_LT.shape == (12, 1000)


def test_a_pattern_and_several_sources(mixed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = convert(f"{mixed}/a/*", mixed / "five.dcm", "--to", "npy", "--output", output)
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in output.glob("*.npy")) == ["five.npy", "one.npy", "two.npy"]
    nothing = convert(f"{mixed}/*.none", "--to", "npy", "--output", output)
    assert isinstance(nothing.exception, ConfigError)


def test_what_files_do_not_say_is_stated(tmp_path: Path) -> None:
    source = tmp_path / "bare.npy"
    np.save(source, np.full((400, 2), 1500, dtype=np.int16))
    silent = convert(source, "--to", "wfdb", "--output", tmp_path / "out")
    assert silent.exit_code == 1
    assert "--orientation" in silent.output
    done = convert(
        *(source, "--to", "wfdb", "--output", tmp_path / "out", "--rate", 250, "--units", "adc"),
        *("--gain", 1000, "--leads", "V1, II", "--orientation", "samples-by-leads", "--overwrite"),
    )
    assert done.exit_code == 0, done.output
    ecg = read_ecg(tmp_path / "out" / "bare")
    np.testing.assert_allclose(ecg.signal_LT[[1, 6]], 1.5)
    assert ecg.lead_mask_L.sum() == 2


def test_mistakes_are_said_before_any_work(mixed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for arguments, message in (
        ((mixed, "--to", "pdf", "--output", output), "--to: expected one of"),
        ((mixed, "--to", "scp-ecg", "--output", output), "can be written, found scp-ecg"),
        ((mixed, "--to", "csv", "--output", output, "--format", "pdf"), "--format: expected"),
        ((mixed, "--to", "csv", "--output", mixed / "five.dcm"), "expected a folder"),
        ((mixed / "five.dcm", "--to", "dicom", "--output", mixed), "another file than a source"),
        ((mixed / "a" / "one", "--to", "wfdb", "--output", mixed / "a"), "than a source"),
    ):
        done = convert(*arguments)
        assert isinstance(done.exception, ConfigError), arguments
        assert message in str(done.exception)
    write_ecg(make(6), mixed / "a" / "one.csv")
    doubled = convert(mixed, "--to", "edf", "--output", output)
    assert "expected one source, found a/one.csv and a/one.hea" in str(doubled.exception)
    assert not output.exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "found none" in str(convert(empty, "--to", "edf", "--output", output).exception)


def test_a_place_that_cannot_be_written_is_one_line(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = convert(mixed, "--to", "csv", "--output", tmp_path / "file" / "below")
    assert isinstance(done.exception, ConfigError)
    assert "a place that can be written" in str(done.exception)


def test_outputs_inside_the_source_folder_are_no_sources(mixed: Path) -> None:
    output = mixed / "converted"
    assert convert(mixed, "--to", "csv", "--output", output).exit_code == 1
    again = convert(mixed, "--to", "csv", "--output", output)
    assert "converted 0, kept 5 finished" in again.output


def test_a_record_counts_once_whatever_names_it(mixed: Path) -> None:
    found = find_sources([mixed / "a"])
    assert [str(place) for _, place in found.files] == ["one.hea", "two.hea"]
    by_the_shell = find_sources(sorted((mixed / "a").iterdir()))
    assert [path.name for path, _ in by_the_shell.files] == ["one.hea", "two.hea"]
    only = find_sources([mixed], format="edf")
    assert [str(place) for _, place in only.files] == ["b/cut.edf", "b/three.edf"]


def test_inspect_and_plot_take_every_format(mixed: Path, tmp_path: Path) -> None:
    for source in (mixed / "five.dcm", mixed / "b" / "deep" / "four.xml", mixed / "a" / "one.dat"):
        done = RUNNER.invoke(app, ["inspect", str(source), "--json"])
        body = json.loads(done.output)
        assert (body["sampling_rate"], body["samples"], body["missing_leads"]) == (200.0, 1000, [])
        assert len(body["leads"]) == 12
        drawn = tmp_path / "drawn.svg"
        assert RUNNER.invoke(app, ["plot", str(source), "-o", str(drawn)]).exit_code == 0
        assert "<svg" in drawn.read_text()
