"""The HTTP interface without a server and without Ray."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest

from truelead import __version__
from truelead.errors import ServiceError
from truelead.model.answering import Answerer, Ask
from truelead.service.access import Access, token_sha256
from truelead.signal import write_record
from truelead.types import Ecg

Send = Callable[..., httpx.Response]
Body = Callable[..., dict[str, Any]]
TOKEN = "0123456789abcdef-correct"


def refusal(response: httpx.Response) -> str:
    """The one line of an error, whose form is checked on the way."""
    error = response.json()["error"]
    assert error["status"] == response.status_code
    assert "\n" not in error["message"]
    assert len(error["message"]) < 400
    return str(error["message"])


def pair(folder: Path, ecg: Ecg, name: str = "first") -> dict[str, str]:
    path = write_record(folder, ecg, name=name)
    return {
        "header": base64.b64encode(path.with_suffix(".hea").read_bytes()).decode(),
        "signal": base64.b64encode(path.with_suffix(".dat").read_bytes()).decode(),
    }


def test_one_ecg_is_answered(
    send: Send, body: Body, answerer: Answerer, ecgs: list[Ecg], model_folder: Path
) -> None:
    request = body(0)
    answer = send("POST", "/v1/ask", json=request).json()
    expected = answerer.answer([Ask((ecgs[0],), request["question"], tuple(request["options"]))])[0]
    assert answer["answer"] == expected.text
    assert answer["option_probabilities"] == pytest.approx(expected.option_probabilities, abs=1e-6)
    assert sum(answer["option_probabilities"].values()) == pytest.approx(1)
    weights = (model_folder / "model.safetensors").read_bytes()
    assert answer["model_digest"] == hashlib.sha256(weights).hexdigest()
    assert answer["model"] == "arm/finetune"
    assert answer["truelead_version"] == __version__
    assert "not for clinical use" in answer["notice"].lower()
    assert answer["notes"] == []


def test_two_ecgs_and_their_order(send: Send, body: Body) -> None:
    there = send("POST", "/v1/ask", json=body(0, 1)).json()["option_probabilities"]
    back = send("POST", "/v1/ask", json=body(1, 0)).json()["option_probabilities"]
    one = send("POST", "/v1/ask", json=body(0)).json()["option_probabilities"]
    assert there != pytest.approx(back, abs=1e-7)
    assert there != pytest.approx(one, abs=1e-7)


def test_a_free_answer_has_no_probabilities(send: Send, body: Body) -> None:
    request = body(0)
    del request["options"]
    answer = send("POST", "/v1/ask", json=request).json()
    assert answer["option_probabilities"] == {}
    assert isinstance(answer["answer"], str)
    assert len(answer["answers"]) >= 1


def test_files_microvolts_and_numbers_mean_the_same(
    send: Send, body: Body, ecgs: list[Ecg], tmp_path: Path
) -> None:
    numbers = send("POST", "/v1/ask", json=body(0)).json()
    request = body(0)
    ecg = request["ecgs"][0]
    ecg["units"] = "uV"
    ecg["leads"] = {
        name.upper(): [round(1000 * v) for v in samples]
        for name, samples in reversed(ecg["leads"].items())
    }
    microvolts = send("POST", "/v1/ask", json=request).json()
    wfdb = send("POST", "/v1/ask", json=body(ecgs=[{"wfdb": pair(tmp_path, ecgs[0])}])).json()
    files = [
        ("files", ("first.dat", (tmp_path / "first.dat").read_bytes())),
        ("files", ("first.hea", (tmp_path / "first.hea").read_bytes())),
    ]
    form = send(
        "POST",
        "/v1/ask/files",
        files=files,
        data={"question": request["question"], "options": request["options"]},
    ).json()
    for other in (microvolts, wfdb, form):
        assert other["answer"] == numbers["answer"]
        assert other["option_probabilities"] == pytest.approx(
            numbers["option_probabilities"], abs=1e-6
        )


def test_what_the_model_cannot_see_is_noted(send: Send, body: Body) -> None:
    request = body(0, 1)
    first, second = request["ecgs"]
    first["leads"]["V6"] = None
    first["leads"] = {k: v and v * 2 for k, v in first["leads"].items()}
    second["leads"] = {k: v[:300] for k, v in second["leads"].items()}
    notes = send("POST", "/v1/ask", json=request).json()["notes"]
    assert [note.split(":")[0] for note in notes] == ["ecgs.0", "ecgs.0", "ecgs.1"]
    assert "V6" in notes[0]
    assert "first 10 s of 20 s" in notes[1]
    assert "3 s" in notes[2]


def bad_requests() -> Iterator[tuple[str, Callable[[dict[str, Any]], None], tuple[str, ...]]]:
    def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
        def apply(request: dict[str, Any]) -> None:
            node: Any = request
            *parents, last = path.split("/")
            for part in parents:
                node = node[int(part) if part.isdigit() else part]
            node[int(last) if last.isdigit() else last] = value

        return apply

    def remove(path: str) -> Callable[[dict[str, Any]], None]:
        def apply(request: dict[str, Any]) -> None:
            node: Any = request
            *parents, last = path.split("/")
            for part in parents:
                node = node[int(part) if part.isdigit() else part]
            del node[last]

        return apply

    def third(request: dict[str, Any]) -> None:
        request["ecgs"] = request["ecgs"] * 3

    def seventh(request: dict[str, Any]) -> None:
        leads = request["ecgs"][0]["leads"]
        leads["John Smith"] = leads.pop("V6")

    def twice(request: dict[str, Any]) -> None:
        leads = request["ecgs"][0]["leads"]
        leads["AVR"] = leads["aVR"]

    def long(request: dict[str, Any]) -> None:
        ecg = request["ecgs"][0]
        ecg["leads"] = {name: [0.5] * 13_000 for name in ecg["leads"]}

    def nothing(request: dict[str, Any]) -> None:
        ecg = request["ecgs"][0]
        ecg["leads"] = dict.fromkeys(ecg["leads"])

    lead = "ecgs/0/leads/V3"
    yield "no question", remove("question"), ("question", "expected this field")
    yield "empty question", change("question", " \n"), ("question", "words")
    yield "long question", change("question", "x" * 1001), ("question", "1000 characters")
    yield "half a character", change("question", "\ud800"), ("question", "unicode")
    yield "one option", change("options", ["yes"]), ("options", "at least 2")
    yield "same options", change("options", ["yes", "yes"]), ("options", "different")
    yield "many options", change("options", [str(i) for i in range(33)]), ("options", "32")
    yield "unknown field", change("patient", "John"), ("expected only", "question", "1 of another")
    yield "no ECG", change("ecgs", []), ("ecgs", "at least 1")
    yield "three ECGs", third, ("ecgs", "at most 2", "found 3")
    yield "no ECGs field", remove("ecgs"), ("ecgs", "expected this field")
    yield "eleven leads", remove(lead), ("ecgs.0.leads", "12 leads", "V3 missing")
    yield "unknown lead", seventh, ("ecgs.0.leads", "12 leads", "V6 missing", "another name")
    yield "lead twice", twice, ("ecgs.0.leads", "once", "aVR twice")
    yield "short lead", change(lead, [0.1] * 999), ("ecgs.0", "leads.V3", "1000", "999")
    yield "no samples", change(lead, []), ("ecgs.0.leads.V3", "at least 1")
    yield "text sample", change(f"{lead}/7", "0.1"), ("ecgs.0.leads.V3.7", "number")
    yield "boolean sample", change(f"{lead}/7", True), ("ecgs.0.leads.V3.7", "number")
    yield "NaN", change(f"{lead}/7", float("nan")), ("ecgs.0.leads.V3.7", "finite")
    yield "infinity", change(f"{lead}/7", float("-inf")), ("ecgs.0.leads.V3.7", "finite")
    yield "beyond float32", change(f"{lead}/7", 1e300), ("ecgs.0", "1000 mV")
    yield "wrong unit", change(f"{lead}/7", 5000), ("ecgs.0", "1000 mV", "units")
    yield "unknown unit", change("ecgs/0/units", "V"), ("ecgs.0.units", "'mV' or 'uV'")
    yield "no rate", remove("ecgs/0/sampling_rate"), ("ecgs.0.sampling_rate", "this field")
    yield "slow", change("ecgs/0/sampling_rate", 10), ("ecgs.0.sampling_rate", "50")
    yield "rate NaN", change("ecgs/0/sampling_rate", float("nan")), ("ecgs.0.sampling_rate",)
    yield "too long", long, ("ecgs.0", "duration", "120 s", "130 s")
    yield "too short", change("ecgs/0/sampling_rate", 5000), ("ecgs.0", "duration", "0.2 s")
    yield "all null", nothing, ("ecgs.0", "leads", "at least one lead")
    yield "a list as ECG", change("ecgs/0", [1, 2]), ("ecgs.0", "expected")
    yield "a null ECG", change("ecgs/0", None), ("ecgs.0", "expected")
    yield "no base64", change("ecgs/0", {"wfdb": {"header": "%", "signal": ""}}), ("wfdb.header",)
    yield "no signal", change("ecgs/0", {"wfdb": {"header": ""}}), ("wfdb.signal", "this field")
    yield (
        "both forms",
        change("ecgs/0/wfdb", {"header": "", "signal": ""}),
        ("ecgs.0", "expected only the fields wfdb"),
    )


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [pytest.param(spoil, expected, id=name) for name, spoil, expected in bad_requests()],
)
def test_a_bad_request_is_one_clear_line(
    send: Send, body: Body, spoil: Callable[[dict[str, Any]], None], expected: tuple[str, ...]
) -> None:
    request = body(0)
    spoil(request)
    response = send(
        "POST",
        "/v1/ask",
        content=json.dumps(request),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 422, response.text
    message = refusal(response)
    for part in expected:
        assert part in message
    assert "Smith" not in message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 9_000,
        b'{"a": 1} x',
        b"null",
    ],
)
def test_no_json_object_is_refused(send: Send, content: bytes) -> None:
    response = send(
        "POST", "/v1/ask", content=content, headers={"Content-Type": "application/json"}
    )
    assert 400 <= response.status_code < 500
    assert "expected" in refusal(response)


def test_a_large_body_is_refused_before_it_is_read(send: Send) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 2**16
            yield b" " * 2**16

    claimed = send("POST", "/v1/ask", content=b" " * 300_000, maximum_body_bytes=200_000)
    unclaimed = send("POST", "/v1/ask", content=endless(), maximum_body_bytes=200_000)
    for response in (claimed, unclaimed):
        assert response.status_code == 413
        assert "at most 200000 bytes" in refusal(response)
    assert read < 1000 * 2**16


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000])
def test_a_false_length_is_refused(send: Send, length: str) -> None:
    response = send("POST", "/v1/ask", content=b"{}", headers={"Content-Length": length})
    assert response.status_code in {400, 413}
    refusal(response)


def test_the_token(send: Send, body: Body) -> None:
    access = Access(token_sha256(TOKEN))
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 403),
        ({"Authorization": "Bearer é".encode("latin-1")}, 403),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
    ):
        response = send(
            "POST", "/v1/ask", json=body(0), headers=headers, access=access, client=("10.0.0.9", 1)
        )
        assert response.status_code == status
        if status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
        if status >= 400:
            assert TOKEN not in refusal(response)
    for path in ("/v1/models", "/openapi.json", "/nowhere"):
        assert send("GET", path, access=access).status_code == 401
    for path in ("/healthz", "/readyz"):
        assert send("GET", path, access=access).status_code == 200


def test_without_a_token_only_this_machine_may_ask(send: Send) -> None:
    for client, base_url, status in (
        (("127.0.0.1", 1), "http://localhost:8000", 200),
        (("::1", 1), "http://[::1]:8000", 200),
        (("::1", 1), "http://[::1]", 200),
        (("10.0.0.9", 1), "http://127.0.0.1:8000", 403),
        # A page elsewhere whose name points here: the browser still says its name.
        (("127.0.0.1", 1), "http://rebound.example:8000", 403),
    ):
        response = send("GET", "/v1/models", client=client, base_url=base_url)
        assert response.status_code == status, (client, base_url)


def test_models_health_and_other_paths(send: Send, backend: Any) -> None:
    models = send("GET", "/v1/models").json()
    assert models["models"] == [backend.description.model_dump(mode="json")]
    assert [model["id"] for model in models["data"]] == ["arm/finetune"]
    assert send("GET", "/v1/models/arm/finetune").json() == models["data"][0]
    assert send("GET", "/v1/models/arm/pretrain").status_code == 404
    assert send("GET", "/healthz").json()["status"] == "ok"
    assert send("GET", "/nowhere").status_code == 404
    assert send("GET", "/v1/ask").status_code == 405


def test_the_openapi_document_names_every_path_and_limit(send: Send) -> None:
    document = send("GET", "/openapi.json").json()
    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/ask",
        "/v1/ask/files",
        "/v1/compare",
        "/v1/samples",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/templates",
        "/v1/examples",
        "/v1/examples/{number}",
    }
    schemas = document["components"]["schemas"]
    assert schemas["AskRequest"]["properties"]["ecgs"]["maxItems"] == 2
    assert {"413", "422", "429", "503"} <= set(document["paths"]["/v1/ask"]["post"]["responses"])
    for path in ("/v1/ask", "/v1/compare", "/v1/chat/completions", "/v1/embeddings"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        jsonschema.validate(content["example"], {"$ref": f"#/components/schemas/{name}"} | document)


@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_backend_that_cannot_answer(send: Send, body: Body, backend: Any, status: int) -> None:
    class Busy:
        describe = backend.describe

        async def answer(self, ask: Any) -> Any:
            raise ServiceError("model: busy", status=status)

    response = send("POST", "/v1/ask", json=body(0), backend=Busy())
    assert response.status_code == status
    assert ("Retry-After" in response.headers) == (status != 504)


def test_an_unexpected_error_shows_nothing(send: Send, body: Body, backend: Any) -> None:
    class Broken:
        describe = backend.describe

        async def answer(self, ask: Any) -> Any:
            raise RuntimeError("secret of John Smith")

    response = send("POST", "/v1/ask", json=body(0), backend=Broken())
    assert response.status_code == 500
    assert "Smith" not in refusal(response)


def test_a_lead_that_is_missing_is_not_a_lead_of_zeros_by_accident(
    send: Send, body: Body, ecgs: list[Ecg]
) -> None:
    request = body(0)
    request["ecgs"][0]["leads"]["V6"] = [None] * 1000
    assert send("POST", "/v1/ask", json=request).json()["notes"] == ["ecgs.0: not recorded: V6"]
    assert np.isfinite(ecgs[0].signal_LT).all()
