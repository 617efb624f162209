"""Whatever is sent: an answer or one clear line, never a 5xx; the client writes what is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from truelead.service.client import to_wire
from truelead.service.ecg_input import decode_ecg
from truelead.service.exchange import Embedded, Reply, Work
from truelead.service.stated_reliance import state_reliance
from truelead.service.wire_ecg import LeadsInput
from truelead.types import LEADS, Ecg

Send = Callable[..., httpx.Response]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["mV", "uV", "yes", "AAAA"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["wfdb", "leads", "units", "header", "signal", "I", "V6", "x"]), inner
        )
    ),
    max_leaves=12,
)
numbers = st.floats() | st.integers() | st.none() | st.text(max_size=3)
leads = st.fixed_dictionaries(
    {lead: st.just([0.1] * 200) | st.none() | st.lists(numbers, max_size=3) for lead in LEADS}
)
ecg = (
    st.fixed_dictionaries(
        {
            "sampling_rate": st.just(100) | values,
            "units": st.just("mV") | values,
            "leads": leads | values,
        }
    )
    | st.fixed_dictionaries(
        {"wfdb": st.fixed_dictionaries({"header": st.text(), "signal": st.text()})}
    )
    | st.fixed_dictionaries(
        {
            "file": st.fixed_dictionaries(
                {
                    "name": st.text(),
                    "content": st.text() | st.sampled_from(["k05VTVBZ", "SSxJSQox"]),
                },
                optional={"units": st.just("mV") | values, "leads": values, "format": values},
            )
        }
    )
    | values
)
requests = (
    st.fixed_dictionaries(
        {
            "question": st.text(min_size=1, max_size=30) | values,
            "ecgs": st.lists(ecg, max_size=3) | values,
        },
        optional={
            "options": st.just(["yes", "no"]) | values,
            "attribution": values,
            "extra": values,
        },
    )
    | values
)
WELL_FORMED = {
    "question": "q",
    "ecgs": [{"sampling_rate": 100, "units": "mV", "leads": {lead: [0.1] * 200 for lead in LEADS}}],
}


class Always:
    """A backend that answers at once: the wire is what is tested."""

    def __init__(self, description: Any) -> None:
        self.description = description

    async def describe(self) -> Any:
        return self.description

    async def answer(self, ask: Any) -> Reply:
        signals = [named.ecg.signal_LT for named in ask.ecgs]
        assert all(signal_LT.dtype == np.float32 for signal_LT in signals)
        assert all(not np.isinf(signal_LT).any() for signal_LT in signals)
        reliance = state_reliance(None, None, ecgs=len(ask.ecgs), free=not ask.options)
        return Reply("yes", ("yes",), {}, self.description, reliance, Work(1, 1))

    async def models(self) -> Any:
        return (self.description,)

    async def embed(self, ecgs: Any, kind: str, model: str = "") -> Embedded:
        return Embedded(tuple((1.0, 2.0) for _ in ecgs), self.description)


@pytest.fixture(scope="module")
def always(backend: Any) -> Always:
    return Always(backend.description)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(request_body=WELL_FORMED)
@given(request_body=requests)
def test_any_json_is_answered_or_refused_in_one_line(
    send: Send, always: Always, request_body: Any
) -> None:
    response = send(
        "POST",
        "/v1/ask",
        content=json.dumps(request_body),
        headers={"Content-Type": "application/json"},
        backend=always,
    )
    assert response.status_code in {200, 422}
    if response.status_code == 422:
        message = response.json()["error"]["message"]
        assert "\n" not in message
        assert 0 < len(message) < 500


messages = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "tool"]) | values,
            "content": st.text(max_size=8)
            | st.lists(
                st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)})
                | st.fixed_dictionaries({"type": st.just("input_ecg"), "input_ecg": ecg})
                | values,
                max_size=3,
            )
            | values,
        }
    )
    | values,
    max_size=3,
)
openai_requests = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("arm/finetune") | values,
        "messages": messages | values,
        "input": st.lists(ecg, max_size=2) | values,
        "stream": values,
        "temperature": values,
        "truelead": values,
        "kind": st.sampled_from(["encoder", "projector"]) | values,
        "encoding_format": st.sampled_from(["float", "base64"]) | values,
    },
)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    request_body=openai_requests, path=st.sampled_from(["/v1/chat/completions", "/v1/embeddings"])
)
def test_any_request_in_openais_schema_is_answered_or_refused(
    send: Send, always: Always, request_body: Any, path: str
) -> None:
    response = send(
        "POST",
        path,
        content=json.dumps(request_body),
        headers={"Content-Type": "application/json"},
        backend=always,
    )
    assert response.status_code in {200, 404, 422}
    if response.status_code != 200:
        message = response.json()["error"]["message"]
        assert "\n" not in message
        assert 0 < len(message) < 500


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200), header=st.binary(max_size=80), kind=st.integers(0, 2))
def test_any_bytes_are_refused(
    send: Send, always: Always, content: bytes, header: bytes, kind: int
) -> None:
    if kind == 0:
        types = {"Content-Type": "application/json"}
        response = send("POST", "/v1/ask", content=content, headers=types, backend=always)
    elif kind == 1:
        types = {"Content-Type": "multipart/form-data; boundary=x"}
        response = send("POST", "/v1/ask/files", content=content, headers=types, backend=always)
    else:
        files = [("files", ("a.hea", header)), ("files", ("a.dat", content))]
        response = send(
            "POST", "/v1/ask/files", files=files, data={"question": "?"}, backend=always
        )
    assert 400 <= response.status_code < 500
    assert "\n" not in response.json()["error"]["message"]


@pytest.mark.parametrize("missing", ["nothing", "lead", "samples"])
def test_the_client_writes_what_the_service_reads(ecgs: list[Ecg], missing: str) -> None:
    signal_LT = ecgs[0].signal_LT.copy()
    if missing == "lead":
        signal_LT[3] = np.nan
    if missing == "samples":
        signal_LT[3, 5:9] = np.nan
    sent = json.loads(json.dumps(to_wire(Ecg(signal_LT, 100.0, "id", "patient")), allow_nan=False))
    assert set(sent) == {"sampling_rate", "units", "leads"}
    read = decode_ecg(LeadsInput.model_validate(sent))
    assert read.sampling_rate == 100
    np.testing.assert_allclose(read.signal_LT, signal_LT, atol=1e-6, equal_nan=True)
