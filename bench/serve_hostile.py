"""Requests that no honest caller sends: malformed bodies, damaged files, files made to do harm."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.format_mutations import mutation
from truelead.service.client import to_wire
from truelead.signal import write_ecg
from truelead.signal.formats import FORMATS
from truelead.types import LEADS, Ecg

JSON_PATHS = ("/v1/ask", "/v1/compare", "/v1/chat/completions", "/v1/embeddings")
FORM_PATHS = ("/v1/ask", "/v1/ask/files", "/v1/compare", "/v1/samples")
STATED = {
    "sampling_rate": "100",
    "units": "mV",
    "leads": ",".join(LEADS),
    "orientation": "leads-by-samples",
}
_JSON = {"Content-Type": "application/json"}
_PIECES = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"NaN", b"Infinity", b"-Infinity", b"1e999",
    b"\\u0000", b"\\ud800", b"\xff\xfe", b"\x00", b"9" * 400, b'"ecgs"', b'"leads"', b'"known"',
    b'"wfdb"', b'"file"', b"true",
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """A request and what it is.

    Attributes:
        must_refuse: whether an answer would be wrong.
    """

    kind: str
    path: str
    sent: dict[str, Any] = field(repr=False)
    must_refuse: bool = False


def malformed(count: int, ecg: Ecg, folder: Path, *, seed: int = 0) -> Iterator[Hostile]:
    """Bodies and files with something broken: half of them bodies, half of them files."""
    chance = random.Random(seed)
    contents = _contents(ecg, folder)
    whole = json.dumps(
        {"question": "Normal?", "options": ["yes", "no"], "ecgs": [to_wire(ecg)]}
    ).encode()
    chat = {"type": "input_ecg", "input_ecg": to_wire(ecg)}
    messages = [{"role": "user", "content": [chat, {"type": "text", "text": "Normal?"}]}]
    bodies = (
        whole,
        json.dumps({"model": "bench/finetune", "messages": messages}).encode(),
        json.dumps({"input": [to_wire(ecg)]}).encode(),
    )
    for number in range(count):
        if number % 2 == 0:
            content = _broken(chance.choice(bodies), chance)
            yield Hostile(
                "body", chance.choice(JSON_PATHS), {"content": content, "headers": _headers(chance)}
            )
            continue
        name = chance.choice(sorted(contents))
        _, damaged = mutation(contents[name], seed, number)
        suffix = FORMATS[name].suffixes[0] if FORMATS[name].suffixes else ""
        files = [("files", (f"a{suffix}", damaged))]
        if name == "wfdb":
            files.append(("files", ("a.dat", contents["edf"][-12_000:])))
        data = {"question": "Normal?"} | (STATED if chance.random() < 0.3 else {})
        path = chance.choice(FORM_PATHS)
        if path == "/v1/samples":
            data.pop("question")
        yield Hostile(f"{name} file", path, {"files": files, "data": data})


def harmful(ecg: Ecg, folder: Path) -> list[Hostile]:
    """Files made to exhaust memory, to leave their folder, or to pass for an ECG; all refused."""
    aecg = write_ecg(ecg, folder / "whole.xml", "aecg").read_bytes()
    body = aecg[aecg.index(b"<AnnotatedECG") :]
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "lol">'
    for level in "bcdefghij":
        bomb += f'<!ENTITY {level} "{f"&{chr(ord(level) - 1)};" * 10}">'.encode()
    outside = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../../tmp/escaped.hea", "x" * 100_000)
    array = io.BytesIO()
    np.save(array, ecg.signal_LT)
    claimed = array.getvalue().replace(b"(12, 1000)", b"(12, 9999999999999)")
    dtype_of_objects = array.getvalue().replace(b"'<f4'", b"'|O'")
    infinite, nothing = io.BytesIO(), io.BytesIO()
    np.save(infinite, np.full((12, 1000), np.inf, np.float32))
    np.save(nothing, np.full((12, 1000), np.nan, np.float32))
    edf = write_ecg(ecg, folder / "whole.edf").read_bytes()
    header = "a 12 100 1000\n" + "".join(
        f"../../etc/passwd 16 1000/mV 16 0 0 0 0 {x}\n" for x in LEADS
    )
    huge = "a 12 100 99999999999\n" + "".join(f"a.dat 16 1000/mV 16 0 0 0 0 {x}\n" for x in LEADS)
    renamed = "a 12 100 1000\n" + "".join(
        f"a.dat 16 1000/mV 16 0 0 0 0 X{at}\n" for at in range(12)
    )
    samples = b"\0" * 24_000
    files: dict[str, Sequence[tuple[str, bytes]]] = {
        "XML bomb": [("a.xml", bomb + b"]>" + body.replace(b">", b">&j;", 1))],
        "XML that reads a file": [("a.xml", outside + body.replace(b">", b">&x;", 1))],
        "zip slip": [("a.zip", packed.getvalue())],
        "zip named as an ECG": [("a.dcm", packed.getvalue())],
        "gzip bomb": [("a.edf", gzip.compress(b"\0" * 10_000_000))],
        "path in a header": [("a.hea", header.encode()), ("b.dat", samples), ("c.dat", samples)],
        "path in a name": [("../../../etc/passwd", b"root:x:0:0")],
        "huge claim, WFDB": [("a.hea", huge.encode()), ("a.dat", samples)],
        "huge claim, NPY": [("a.npy", claimed)],
        "huge claim, EDF": [("a.edf", edf[:236] + b"99999999" + edf[244:])],
        "NPY of objects": [("a.npy", dtype_of_objects)],
        "infinite samples": [("a.npy", infinite.getvalue())],
        "no samples": [("a.npy", nothing.getvalue())],
        "wrong leads": [("a.hea", renamed.encode()), ("a.dat", samples)],
        "MATLAB with a huge claim": [("a.mat", _matlab_claim())],
        "nothing": [("a.edf", b"")],
    }
    found = []
    for kind, some in files.items():
        data = {"question": "Normal?"} | (STATED if some[0][0].endswith(".npy") else {})
        sent = {"files": [("files", file) for file in some], "data": data}
        found.append(Hostile(kind, "/v1/ask", sent, must_refuse=True))
    return found + _harmful_numbers(ecg)


def _harmful_numbers(ecg: Ecg) -> list[Hostile]:
    """JSON whose numbers are no samples."""
    whole = {"question": "Normal?", "ecgs": [to_wire(ecg)]}
    text = json.dumps(whole)
    first = json.dumps(whole["ecgs"][0]["leads"]["I"])  # type: ignore[index]
    found = []
    for kind, other in {
        "NaN in JSON": "[NaN" + ", 0.0" * 999 + "]",
        "infinity in JSON": "[1e999" + ", 0.0" * 999 + "]",
        "words in place of samples": '["a"' + ", 0.0" * 999 + "]",
        "too many samples": "[0" + ", 0" * 130_000 + "]",
        "deep nesting": "[" * 50_000 + "]" * 50_000,
    }.items():
        content = text.replace(first, other, 1).encode()
        found.append(
            Hostile(kind, "/v1/ask", {"content": content, "headers": _JSON}, must_refuse=True)
        )
    pair = {"header": base64.b64encode(b"x" * 70_000).decode(), "signal": "AAAA"}
    content = json.dumps({"question": "?", "ecgs": [{"wfdb": pair}]}).encode()
    sent = {"content": content, "headers": _JSON}
    return [*found, Hostile("long header", "/v1/ask", sent, must_refuse=True)]


def _contents(ecg: Ecg, folder: Path) -> dict[str, bytes]:
    return {
        name: form.write(ecg, folder / f"whole-{name}{form.suffixes[0]}").read_bytes()
        for name, form in FORMATS.items()
        if form.write is not None
    }


def _matlab_claim() -> bytes:
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    return header + struct.pack("<II", 14, 0x7FFFFFFF) + b"\0" * 64


def _broken(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            changed[at:at] = chance.choice(_PIECES)
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 4_000)]
        elif kind == 2:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        else:
            # Of the beginning, where the fields stand.
            near = chance.randrange(min(200, len(changed) + 1))
            changed[near : near + chance.randrange(0, 12)] = chance.choice(_PIECES)
    return bytes(changed)


def _headers(chance: random.Random) -> dict[str, str]:
    kinds = ("application/json",) * 6 + ("text/plain", "multipart/form-data", "")
    more = ("multipart/form-data; boundary=a", "application/json; charset=utf-7")
    return {"Content-Type": chance.choice((*kinds, *more))}
