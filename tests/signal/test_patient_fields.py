"""Fields on the patient are listed by name; planted values appear in no output at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.signal.formats import scp_ecg_encoder
from truelead.cli import app
from truelead.errors import RecordError
from truelead.signal import write_record
from truelead.signal.formats import FORMATS
from truelead.signal.formats.reading import read_ecg, write_ecg
from truelead.signal.patient_fields import patient_fields
from truelead.types import Ecg

SECRETS = [f"Zyx{number:03d}Qvw{(number * 7919) % 10007:05d}" for number in range(200)]


def of_wfdb(folder: Path, ecg: Ecg, secrets: list[str]) -> Path:
    path = write_record(folder, ecg, name="planted").with_suffix(".hea")
    lines = path.read_text().splitlines()
    lines[0] += " 12:30:00 01/02/1999"
    comments = [f"# Name: {secrets[0]}", f"# {secrets[1]}: 44", f"#Dx: {secrets[2]}"]
    comments += [f"# {secret}" for secret in secrets[3:]]
    path.write_text("\n".join([*lines, *comments]) + "\n")
    return path


def of_scp_ecg(folder: Path, ecg: Ecg, secrets: list[str]) -> Path:
    tags = dict(zip((0, 1, 2, 3, 10, 13, 16, 20, 22, 30, 35, 210), secrets, strict=False))
    digital_LT = np.rint(ecg.signal_LT * 1000).astype(np.int64)
    path = folder / "planted.scp"
    path.write_bytes(scp_ecg_encoder.twelve_leads(digital_LT, patient=tags))
    return path


def of_edf(folder: Path, ecg: Ecg, secrets: list[str]) -> Path:
    path = write_ecg(ecg, folder / "planted.edf")
    content = bytearray(path.read_bytes())
    content[8:88] = f"{secrets[0]} M 01-JAN-1950 {secrets[1]}".ljust(80).encode()
    content[88:168] = f"Startdate 02-MAR-2002 {secrets[2]} X X".ljust(80).encode()
    content[168:176] = b"02.03.02"
    path.write_bytes(bytes(content))
    return path


def of_dicom(folder: Path, ecg: Ecg, secrets: list[str]) -> Path:
    pydicom = pytest.importorskip("pydicom")
    path = write_ecg(ecg, folder / "planted.dcm")
    dataset = pydicom.dcmread(path)
    dataset.PatientName = f"{secrets[0]}^{secrets[1]}"
    dataset.PatientID = secrets[2]
    dataset.ReferringPhysicianName = secrets[3]
    dataset.InstitutionName = secrets[4]
    dataset.PatientComments = " ".join(secrets[5:15])
    dataset.StudyDate = "19990102"
    dataset.add_new((0x0009, 0x0010), "LO", "MAKER")
    dataset.add_new((0x0009, 0x1001), "LO", secrets[15])
    dataset.save_as(path)
    return path


def of_aecg(folder: Path, ecg: Ecg, secrets: list[str]) -> Path:
    path = write_ecg(ecg, folder / "planted.xml", "aecg")
    subject = (
        f'<trialSubject><id extension="{secrets[0]}"/><subjectDemographicPerson>'
        f'<name>{secrets[1]}</name><birthTime value="19500101"/></subjectDemographicPerson>'
        f"</trialSubject>"
    )
    text = path.read_text()
    masked = '<trialSubject><id nullFlavor="MSK"/></trialSubject>'
    assert masked in text
    path.write_text(text.replace(masked, subject))
    return path


PLANTERS: dict[str, Callable[[Path, Ecg, list[str]], Path]] = {
    "wfdb": of_wfdb,
    "scp-ecg": of_scp_ecg,
    "edf": of_edf,
    "dicom": of_dicom,
    "aecg": of_aecg,
}
EXPECTED = {
    "wfdb": {"recording date", "recording time", "comment Name", "comment Dx", "other comments"},
    "scp-ecg": {"last name", "first name", "patient identification", "free text"},
    "edf": {"patient identification", "recording identification", "start date"},
    "dicom": {"PatientName", "PatientID", "ReferringPhysicianName", "StudyDate", "private tags"},
    "aecg": {"trialSubject", "name", "birthTime"},
}


def planted(name: str, folder: Path, make_ecg: Callable[..., Ecg], part: int = 0) -> Path:
    return PLANTERS[name](folder, make_ecg(samples=500), SECRETS[part * 40 : part * 40 + 40])


@pytest.mark.parametrize("name", PLANTERS)
def test_fields_are_listed_by_name(name: str, tmp_path: Path, make_ecg: Callable[..., Ecg]) -> None:
    found = patient_fields(planted(name, tmp_path, make_ecg), name)
    assert set(found) >= EXPECTED[name]
    assert len(found) == len(set(found))
    assert not any(secret in " ".join(found) for secret in SECRETS)


@pytest.mark.parametrize("name", [n for n, one in FORMATS.items() if one.write is not None])
def test_what_is_written_has_none(name: str, tmp_path: Path, make_ecg: Callable[..., Ecg]) -> None:
    path = write_ecg(make_ecg(), tmp_path / f"made{FORMATS[name].suffixes[0]}", name)
    assert patient_fields(path, name) == ()


@pytest.mark.parametrize("name", PLANTERS)
def test_planted_strings_reach_no_output(
    name: str, tmp_path: Path, make_ecg: Callable[..., Ecg], capfd: pytest.CaptureFixture[str]
) -> None:
    part = list(PLANTERS).index(name)
    source = planted(name, tmp_path, make_ecg, part)
    secrets = SECRETS[part * 40 : part * 40 + 40]
    before = b"".join(file.read_bytes() for file in FORMATS[name].files(source))
    assert sum(secret.encode() in before for secret in secrets) >= 2
    runner = CliRunner()
    said = ""
    for arguments in (
        ["inspect", str(source)],
        ["inspect", str(source), "--json"],
        ["plot", str(source), "--output", str(tmp_path / "out.svg")],
        *(
            ["convert", str(source), "--to", to, "--output", str(tmp_path / f"as-{to}")]
            for to in ("wfdb", "edf", "dicom", "aecg", "csv", "npy")
        ),
    ):
        done = runner.invoke(app, arguments)
        assert done.exit_code == 0, done.output
        said += done.output
    written = [file for file in tmp_path.rglob("as-*/*") if file.is_file()]
    assert len(written) == 7 + 6
    for file in (*written, tmp_path / "out.svg"):
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), file
    # Damaged everywhere, so that the errors speak.
    random = np.random.default_rng(part)
    content = source.read_bytes()
    for _ in range(40):
        changed = bytearray(content)
        for at in random.integers(len(changed), size=8):
            changed[at] = random.integers(256)
        damaged = source.with_name("damaged" + source.suffix)
        damaged.write_bytes(bytes(changed[: random.integers(1, len(changed) + 1)]))
        try:
            read_ecg(damaged)
            patient_fields(damaged, name)
        except RecordError as error:
            said += f"{error}\n"
    captured = capfd.readouterr()
    said += captured.out + captured.err
    assert not any(secret in said for secret in secrets)


def test_formats_of_numbers_alone_have_no_fields(
    tmp_path: Path, make_ecg: Callable[..., Ecg]
) -> None:
    path = write_ecg(make_ecg(), tmp_path / "a.csv")
    assert patient_fields(path, "csv") == ()


def test_variables_are_named_by_known_words_alone(tmp_path: Path) -> None:
    import scipy.io

    scipy.io.savemat(tmp_path / "a.mat", {"patientAge": 4, "Zyx_name": 1, "ecg": np.zeros((2, 2))})
    found = patient_fields(tmp_path / "a.mat", "matlab")
    assert set(found) == {"a field on patient", "a field on age", "a field on name"}
