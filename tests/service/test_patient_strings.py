"""200 patient strings in everything that is sent: none comes out again, anywhere."""

from __future__ import annotations

import base64
import io
import logging
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
import pydicom
import pytest
import scipy.io

from tests.signal.formats import ge_muse_document, philips_document, scp_ecg_encoder
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.audit import AuditTrail, read_audit
from truelead.service.client import to_wire
from truelead.signal import write_ecg, write_record
from truelead.types import LEADS, Ecg

Send = Callable[..., httpx.Response]
COUNT = 200


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Strings that stand nowhere else by chance."""
    rng = random.Random(2411)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [f"Zq{''.join(rng.choices(letters, k=10))}" for _ in range(COUNT)]


def edf_with(content: bytes, names: list[str]) -> bytes:
    """Patient and recording fields, and the label of the first signal, replaced."""
    patient = f"{names[0]} M 01-JAN-1950 {names[1]}".encode().ljust(80)[:80]
    recording = f"Startdate 01-JAN-2020 {names[2]}".encode().ljust(80)[:80]
    return content[:8] + patient + recording + content[168:]


def dicom_with(content: bytes, names: list[str]) -> bytes:
    """Patient fields filled, one of them in a way that the library warns about."""
    with warnings.catch_warnings(action="ignore"):
        dataset = pydicom.dcmread(io.BytesIO(content))
        dataset.PatientName, dataset.PatientID = names[:2]
        dataset.PatientBirthDate = names[2]  # no date
        for item in dataset.WaveformSequence:
            item.MultiplexGroupLabel = names[3]
        buffer = io.BytesIO()
        dataset.save_as(buffer)
    return buffer.getvalue()


def named(whole: str, document: Any, last: str, first: str) -> str:
    """The document with its own patient's name and number exchanged for others."""
    return whole.replace(document.PATIENT[0], last).replace(document.PATIENT[1], first)


def hdf5_with(arrays: dict[str, Any], name: str) -> bytes:
    """Datasets, and the name as an attribute of the file and of each."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["PatientName"] = name
        for key, values in arrays.items():
            file[key] = values
            file[key].attrs["operator"] = name
    return buffer.getvalue()


def matlab_with(variables: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    return buffer.getvalue()


def requests(names: list[str], ecg: Ecg, folder: Path) -> list[dict[str, Any]]:
    """Requests that hold each of the names somewhere, answered or refused."""
    path = write_record(folder, ecg, name="plain")
    header, signal = path.with_suffix(".hea").read_text(), path.with_suffix(".dat").read_bytes()
    edf = write_ecg(ecg, folder / "a.edf").read_bytes()
    aecg = write_ecg(ecg, folder / "a.xml", "aecg").read_text()
    dicom = write_ecg(ecg, folder / "a.dcm").read_bytes()
    buffer = io.BytesIO()
    np.save(buffer, ecg.signal_LT)
    left = list(names)

    def take(count: int) -> list[str]:
        taken, left[:] = left[:count], left[count:]
        assert len(taken) == count
        return taken

    def form(*files: tuple[str, bytes], **data: Any) -> dict[str, Any]:
        return {"files": [("files", file) for file in files], "data": data}

    sent: list[dict[str, Any]] = []
    said = {"sampling_rate": "100", "units": "mV", "orientation": "leads-by-samples"}
    canonical = {"leads": ",".join(LEADS)}
    digital = np.rint(ecg.signal_LT * 1000).astype(np.int64)
    muse_leads, philips_leads = ge_muse_document.digits_of(), philips_document.digits_of()
    table = ecg.signal_LT.T.round(3)
    while len(left) >= 49:
        a, b, c, d = take(4)
        commented = header.replace("plain.dat", f"{a}.dat").replace("plain ", f"{a} ", 1)
        commented += f"# Name: {b}\n# <age>: {c}\n"
        sent.append(
            form((f"{a}.hea", commented.encode()), (f"{a}.dat", signal), question=f"Is {d} ill?")
        )
        a, b, c = take(3)
        wrong = header.replace("V6", a).replace("mV", b) + f"# {c}\n"
        sent.append(form((f"{a}.hea", wrong.encode()), ("plain.dat", signal), question="Normal?"))
        a, b, c, d = take(4)
        sent.append(form((f"{d}.edf", edf_with(edf, [a, b, c])), question="Normal?"))
        hidden = take(4)
        sent.append(form(("a.dcm", dicom_with(dicom, hidden)), question="Normal?"))
        a, b = take(2)
        commented = aecg.replace("<AnnotatedECG", f"<!-- {a} --><AnnotatedECG", 1)
        sent.append(form((f"{b}.xml", commented.encode()), question="Normal?"))
        a, b, c = take(3)
        leads = {"leads": ",".join((a, *LEADS[1:]))}
        sent.append(form((f"{b}.npy", buffer.getvalue()), question="Normal?", **said, **leads))
        sent.append(form(("a.csv", f"{c},II\n1,2\n".encode()), question="Normal?"))
        a, b, c = take(3)
        wire = to_wire(ecg)
        wire["leads"][a] = wire["leads"].pop("V1")
        sent.append({"json": {"question": b, "ecgs": [wire]}})
        sent.append({"json": {"question": "Normal?", "ecgs": [to_wire(ecg)], "patient": c}})
        a, b, c, d = take(4)
        # The names of fields that nobody knows, at several depths.
        sent.append({"json": {"question": "Normal?", "ecgs": [to_wire(ecg)], a: 1}})
        sent.append({"json": {"question": "Normal?", "ecgs": [to_wire(ecg) | {b: 1}]}})
        file = {"name": "a.edf", "content": base64.b64encode(edf).decode(), c: 1}
        sent.append({"json": {"question": "Normal?", "ecgs": [{"file": file}]}})
        sent.append(form(("a.edf", edf), question="Normal?", **{d: "1"}))
        a, b, c, d = take(4)
        hdf5 = {"ecg": ecg.signal_LT}
        sent.append(form(("a.h5", hdf5_with(hdf5, a)), question="Normal?", **said, **canonical))
        other = {"ecg": ecg.signal_LT, b: ecg.signal_LT}
        sent.append(form(("a.h5", hdf5_with(other, c)), question="Normal?", **said, **canonical))
        sent.append(form((f"{d}.h5", hdf5_with({d: np.zeros(3)}, d)), question="Normal?", **said))
        a, b, c, d = take(4)
        mat = {"ecg": ecg.signal_LT, "note": a}
        sent.append(form((f"{b}.mat", matlab_with(mat)), question="Normal?", **said, **canonical))
        mat = {c: ecg.signal_LT, d: ecg.signal_LT}
        sent.append(form(("a.mat", matlab_with(mat)), question="Normal?", **said, **canonical))
        a, b, c, d = take(4)
        rows = "\n".join(",".join(map(str, row)) for row in table.tolist())
        whole = f"{','.join(LEADS)}\n{rows}\n"
        stated = {"sampling_rate": "100", "units": "mV"}
        sent.append(form((f"{a}.csv", whole.encode()), question="Normal?", **stated))
        sent.append(form(("a.csv", f"# {b}\n{whole}".encode()), question="Normal?", **stated))
        sent.append(form(("a.csv", f"{c},{whole}".encode()), question="Normal?", **stated))
        sent.append(form(("a.csv", f"{whole}{d}\n".encode()), question="Normal?", **stated))
        a, b, c, d = take(4)
        muse = named(ge_muse_document.whole(muse_leads), ge_muse_document, a, b)
        sent.append(form((f"{c}.xml", muse.encode()), question="Normal?"))
        wrong = muse.replace("<LeadID>V1<", f"<LeadID>{d}<")
        sent.append(form(("a.xml", wrong.encode()), question="Normal?"))
        a, b, c, d = take(4)
        philips = named(philips_document.whole(philips_leads), philips_document, a, b)
        sent.append(form((f"{c}.xml", philips.encode()), question="Normal?"))
        wrong = philips.replace("PhilipsECG", d)
        sent.append(form(("a.xml", wrong.encode()), question="Normal?"))
        a, b, c = take(3)
        scp = scp_ecg_encoder.twelve_leads(digital, patient={0: a, 1: b, 2: c})
        sent.append(form(("a.scp", scp), question="Normal?"))
    for name in left:
        file = {"name": f"{name}.xyz", "content": base64.b64encode(name.encode()).decode()}
        sent.append({"json": {"question": "Normal?", "ecgs": [{"file": file}]}})
    return sent


def test_no_patient_string_comes_out(
    names: list[str],
    send: Send,
    calibrated: Any,
    ecgs: list[Ecg],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.WARNING, "httpx")  # the caller's own log
    caplog.set_level(logging.DEBUG)
    folder = tmp_path / "audit"
    audit = AuditTrail(folder)
    app = create_api(calibrated, Access(), audit=audit)
    sent = requests(names, ecgs[0], tmp_path)
    caplog.clear()  # what writing the files has said
    capfd.readouterr()
    # Every name really is in a request, or in the file of one.
    whole = "".join(repr(one) for one in sent)
    assert all(name in whole or base64.b64encode(name.encode()).decode() in whole for name in names)
    out: list[str] = []
    statuses: list[int] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for one in sent:
            path = random.Random(len(out)).choice(("/v1/ask", f"/v1/ask?patient={names[0]}"))
            headers = {"X-Request-ID": names[1], "User-Agent": names[2], "Referer": names[3]}
            response = send("POST", path, app=app, headers=headers, **one)
            statuses.append(response.status_code)
            out.append(response.text + repr(dict(response.headers)))
    out.extend(str(warning.message) for warning in warned)
    out.append(send("GET", f"/{names[4]}", app=app).text)
    out.append(send("GET", f"/v1/models/{names[5]}", app=app).text)
    for name in (names[6], names[7][:1] * 300 + names[7]):
        unknown = {"question": "Normal?", "model": name, "ecgs": [{"known": "0" * 64}]}
        out.append(send("POST", "/v1/ask", app=app, json=unknown).text)
    out.append(send("GET", "/metrics", app=app).text)
    audit.close()
    out.append(str(read_audit(folder).to_pylist()))
    out.extend(file.name for file in folder.iterdir())
    out.append(caplog.text)
    out.extend(capfd.readouterr())
    assert statuses.count(200) >= 20
    assert statuses.count(422) >= 20
    assert set(statuses) == {200, 422}
    assert "request_id" in caplog.text
    assert read_audit(folder).num_rows == statuses.count(200)
    text = "\n".join(out).lower()
    found = [name for name in names if name.lower() in text]
    assert found == []
