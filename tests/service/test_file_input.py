"""Files as people have them, in every format, over HTTP; and files as attackers have them."""

from __future__ import annotations

import base64
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from truelead.signal import write_ecg, write_record
from truelead.signal.formats.reading import writable_formats
from truelead.types import LEADS, Ecg

Send = Callable[..., httpx.Response]
QUESTION = {"question": "Is there any sign of infarction?", "options": ["yes", "no"]}
STATED = {
    "sampling_rate": "100",
    "units": "mV",
    "leads": ",".join(LEADS),
    "orientation": "leads-by-samples",
}
NAME = "smith_john.hidden"


def post(send: Send, *files: tuple[str, bytes], **data: Any) -> httpx.Response:
    return send(
        "POST",
        "/v1/ask",
        data=QUESTION | data,
        files=[("files", file) for file in files],
        maximum_body_bytes=2**23,
    )


def line(response: httpx.Response, status: int = 422) -> str:
    assert response.status_code == status, response.text
    message = response.json()["error"]["message"]
    assert "\n" not in message
    assert "smith" not in response.text.lower()
    assert tempfile.gettempdir() not in message
    return str(message)


@pytest.fixture(scope="module")
def numbers(send: Send, body: Callable[..., Any]) -> dict[str, float]:
    answer = send("POST", "/v1/ask", json=body(0, **QUESTION)).json()
    return dict(answer["option_probabilities"])


@pytest.mark.parametrize("format", writable_formats(), ids=lambda one: one.name)
def test_every_format_that_can_be_written_is_read(
    send: Send, ecgs: list[Ecg], tmp_path: Path, numbers: dict[str, float], format: Any
) -> None:
    path = write_ecg(ecgs[0], tmp_path / f"a{format.suffixes[0]}", format.name)
    files = [(f"../../{NAME}{file.suffix}", file.read_bytes()) for file in format.files(path)]
    if format.name == "wfdb":  # the header names its signal file
        files = [(file.name, file.read_bytes()) for file in format.files(path)]
    stated = {name: STATED[name] for name in format.needs if name in STATED}
    if stated and "orientation" not in format.needs:
        stated.pop("leads", None)
    before = set(Path(tempfile.gettempdir()).glob("truelead_*"))
    response = post(send, *files, **stated)
    assert response.status_code == 200, response.text
    # What is stored to a microvolt or two is answered almost alike.
    assert response.json()["option_probabilities"] == pytest.approx(numbers, abs=2e-3)
    assert set(Path(tempfile.gettempdir()).glob("truelead_*")) <= before
    assert "smith" not in response.text.lower()


def test_two_files_of_two_formats_are_compared(
    send: Send, ecgs: list[Ecg], tmp_path: Path, body: Callable[..., Any]
) -> None:
    record = write_record(tmp_path, ecgs[1], name="second")
    first = write_ecg(ecgs[0], tmp_path / "first.edf")
    files = [first, record.with_suffix(".dat"), record.with_suffix(".hea")]
    sent = [("files", (file.name, file.read_bytes())) for file in files]
    found = send("POST", "/v1/compare", data=QUESTION, files=sent, maximum_body_bytes=2**23)
    expected = send("POST", "/v1/compare", json=body(0, 1, **QUESTION))
    assert found.status_code == 200, found.text
    assert found.json()["option_probabilities"] == pytest.approx(
        expected.json()["option_probabilities"], abs=2e-3
    )
    line(send("POST", "/v1/compare", data=QUESTION, files=sent[:1]))
    line(send("POST", "/v1/compare", json=body(0)))


def test_samples_come_back_for_drawing(send: Send, ecgs: list[Ecg], tmp_path: Path) -> None:
    path = write_ecg(ecgs[0], tmp_path / "a.npy")
    files = [("files", ("x.npy", path.read_bytes()))]
    [ecg] = send("POST", "/v1/samples", files=files, data=STATED).json()["ecgs"]
    assert (ecg["sampling_rate"], ecg["units"]) == (100, "mV")
    found_LT = np.array([ecg["leads"][lead] for lead in LEADS])
    assert np.allclose(found_LT, ecgs[0].signal_LT, atol=1e-6)
    line(send("POST", "/v1/samples", files=files, data=STATED | QUESTION))


def test_what_is_missing_is_asked_for_by_the_fields_name(
    send: Send, ecgs: list[Ecg], tmp_path: Path
) -> None:
    path = write_ecg(ecgs[0], tmp_path / "a.npy")
    content = path.read_bytes()
    message = line(post(send, (f"{NAME}.npy", content)))
    assert "--" not in message
    assert "files" in message or "ecgs.0.file" in message
    assert "the field" in message
    assert "expected a number" in line(post(send, (f"{NAME}.npy", content), sampling_rate="fast"))
    body = {"file": {"name": f"{NAME}.npy", "content": base64.b64encode(content).decode()}}
    told = body["file"] | {
        "sampling_rate": 100,
        "units": "mV",
        "leads": list(LEADS),
        "orientation": "leads-by-samples",
    }
    silent = send("POST", "/v1/ask", json={"question": "Normal?", "ecgs": [body]})
    assert "--" not in line(silent)
    stated = send("POST", "/v1/ask", json={"question": "Normal?", "ecgs": [{"file": told}]})
    assert stated.status_code == 200, stated.text


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("../../../etc/smith", b"x")
    return buffer.getvalue()


def bomb() -> bytes:
    entities = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 12))
    return (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "smith">{entities}]>'
        '<AnnotatedECG xmlns="urn:hl7-org:v3">&a11;</AnnotatedECG>'
    ).encode()


def external() -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        b'<AnnotatedECG xmlns="urn:hl7-org:v3">&e;</AnnotatedECG>'
    )


def huge_npy() -> bytes:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 999999999999), }"
    header += " " * (117 - len(header)) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def pickled_npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"smith": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def infinite_npy() -> bytes:
    buffer = io.BytesIO()
    signal_LT = np.zeros((12, 1000), np.float32)
    signal_LT[0, 0] = np.inf
    np.save(buffer, signal_LT)
    return buffer.getvalue()


def huge_edf() -> bytes:
    fields = [b"0", b"smith john", b"", b"01.01.85", b"00.00.00", b"99999999", b"", b"99999999"]
    widths = [8, 80, 80, 8, 8, 8, 44, 8]
    head = b"".join(f[:w].ljust(w) for f, w in zip(fields, widths, strict=True))
    return head + b"1".ljust(8) + b"9999"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", archive()),
        ("a.edf", archive()),
        ("a.xml", bomb()),
        ("a.xml", external()),
        ("a.npy", huge_npy()),
        ("a.npy", pickled_npy()),
        ("a.npy", infinite_npy()),
        ("a.edf", huge_edf()),
        ("a.hea", b"smith 12 500 5000\n"),
        ("a.dat", bytes(24_000)),
        ("a.dcm", b"\x00" * 128 + b"DICM" + b"\xff" * 64),
        ("a.scp", b"\xff" * 512),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\xff" * 256),
        ("a.mat", b"MATLAB 5.0 MAT-file" + b"\xff" * 256),
        ("a.csv", b"smith,john\n1,2\n"),
        ("a.csv", b"I,II\n" + b"9" * 100_000),
        ("a", b""),
        ("smith\x00.edf", b"smith"),
        ("a." + "x" * 2_000, b"smith"),
        ("\udcff.edf".encode("utf-8", "surrogateescape").decode("latin-1"), b"smith"),
        ("::smith::#1.h5", b"smith"),
    ],
)
def test_a_hostile_file_is_one_typed_line(send: Send, name: str, content: bytes) -> None:
    message = line(post(send, (name, content), **STATED))
    assert "expected" in message


def test_wrong_leads_are_named_by_place_not_by_content(
    send: Send, ecgs: list[Ecg], tmp_path: Path
) -> None:
    content = write_ecg(ecgs[0], tmp_path / "a.npy").read_bytes()
    for leads in (
        "Smith," + ",".join(LEADS[1:]),
        ",".join(LEADS[:11]),
        "I," + ",".join(LEADS[:11]),
    ):
        line(post(send, ("a.npy", content), **STATED | {"leads": leads}))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"smith": "1"}, "expected only the fields"),
        ({"attribution": "perhaps"}, "attribution: expected true or false"),
        ({"units": "furlongs"}, "units"),
        ({"format": "smith"}, "format"),
        ({"gain": "-1"}, "gain"),
        ({"files": "text"}, "files: expected files"),
    ],
)
def test_wrong_fields_of_a_form(
    send: Send, ecgs: list[Ecg], tmp_path: Path, fields: dict[str, str], expected: str
) -> None:
    content = write_ecg(ecgs[0], tmp_path / "a.npy").read_bytes()
    response = post(send, ("a.npy", content), **STATED | fields)
    assert response.status_code == 422, response.text
    assert expected in response.json()["error"]["message"]


def test_only_json_and_forms(send: Send) -> None:
    for path in ("/v1/ask", "/v1/compare", "/v1/chat/completions", "/v1/embeddings", "/v1/samples"):
        response = send("POST", path, content=b"{}", headers={"Content-Type": "text/plain"})
        line(response, 415)
    broken = send(
        "POST",
        "/v1/ask",
        content=b"--x\r\nsmith",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert broken.status_code in (400, 422)
    many = send("POST", "/v1/ask", data=QUESTION, files=[("files", ("a", b"1"))] * 20)
    line(many, 400)
