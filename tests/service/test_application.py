"""The whole service on a real Ray cluster, over real HTTP."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from truelead.errors import ConfigError, ServiceError
from truelead.model.answering import Answerer, Ask
from truelead.service.audit import AuditTrail, read_audit
from truelead.service.client import ask
from truelead.service.run import APPLICATION, free_port, serve_model, stop
from truelead.signal import write_record
from truelead.types import Ecg

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Body = Callable[..., dict[str, Any]]
TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def audit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def url(ray_cluster: Any, calibrated_folder: Path, audit_folder: Path) -> Iterator[str]:
    address = serve_model(
        calibrated_folder,
        port=free_port(),
        token=TOKEN,
        block=False,
        arguments={
            "cpus_per_replica": 0.5,
            "batch": {"size": 8, "wait_seconds": 0.2},
            "maximum_body_bytes": 2**20,
            "audit": str(audit_folder),
        },
    )
    yield address
    stop()


def test_health_readiness_and_models(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"Authorization": "Bearer x"}).status_code == 403
        models = client.get("/v1/models", headers=BEARER).json()["models"]
        assert [model["name"] for model in models] == ["arm/finetune"]


def test_the_client_gets_the_models_own_answer(
    url: str, answerer: Answerer, ecgs: list[Ecg]
) -> None:
    for shown, options in ((ecgs[:1], ("yes", "no")), (ecgs[:2], ("yes", "no")), (ecgs[:1], None)):
        answer = ask(url, shown, "What changed?", options, token=TOKEN)
        expected = answerer.answer([Ask(tuple(shown), "What changed?", options or ())])[0]
        assert answer.answer == expected.text
        assert answer.option_probabilities == pytest.approx(expected.option_probabilities, abs=1e-5)


def test_files_in_both_ways(url: str, body: Body, ecgs: list[Ecg], tmp_path: Path) -> None:
    path = write_record(tmp_path, ecgs[0], name="smith_john")
    header, signal = path.with_suffix(".hea").read_bytes(), path.with_suffix(".dat").read_bytes()
    pair = {
        "header": base64.b64encode(header).decode(),
        "signal": base64.b64encode(signal).decode(),
    }
    request = body(0, ecgs=[{"wfdb": pair}])
    with httpx.Client(base_url=url, headers=BEARER, trust_env=False) as client:
        numbers = client.post("/v1/ask", json=body(0))
        wfdb = client.post("/v1/ask", json=request)
        form = client.post(
            "/v1/ask/files",
            data={"question": request["question"], "options": request["options"]},
            files=[("files", ("smith_john.hea", header)), ("files", ("smith_john.dat", signal))],
        )
        damaged = client.post(
            "/v1/ask/files",
            data={"question": request["question"]},
            files=[
                ("files", ("smith_john.hea", header)),
                ("files", ("smith_john.dat", signal[:-2] + b"\x11\x22")),
            ],
        )
    for response in (wfdb, form):
        assert response.status_code == 200, response.text
        assert response.json()["option_probabilities"] == pytest.approx(
            numbers.json()["option_probabilities"], abs=1e-5
        )
    assert damaged.status_code == 422
    assert damaged.json()["error"]["kind"] == "checksum"
    assert "smith" not in damaged.text.lower()


def test_bad_input_through_the_whole_path(url: str, body: Body) -> None:
    with httpx.Client(base_url=url, headers=BEARER, trust_env=False) as client:
        three = client.post("/v1/ask", json=body(0, 1, 2))
        large = client.post("/v1/ask", content=b" " * (2**20 + 1))
        nonsense = client.post(
            "/v1/ask", content=b"{", headers={"Content-Type": "application/json"}
        )
    assert three.status_code == 422
    assert "ecgs: expected at most 2, found 3" in three.json()["error"]["message"]
    assert large.status_code == 413
    assert nonsense.status_code == 422


def test_questions_that_come_together_are_answered_together_and_alike(
    url: str, body: Body, answerer: Answerer, ecgs: list[Ecg]
) -> None:
    from ray import serve

    handle = serve.get_deployment_handle("Model", app_name=APPLICATION)
    requests = [body(at % 8) if at % 2 else body(at % 8, (at + 1) % 8) for at in range(16)]
    with httpx.Client(base_url=url, headers=BEARER, trust_env=False, timeout=60) as client:

        def send(request: dict[str, Any]) -> dict[str, float]:
            response = client.post("/v1/ask", json=request)
            assert response.status_code == 200, response.text
            found: dict[str, float] = response.json()["option_probabilities"]
            return found

        alone = [send(request) for request in requests[:4]]
        before = len(handle.recent_batch_sizes.remote().result(timeout_s=10))
        with ThreadPoolExecutor(16) as pool:
            together = list(pool.map(send, requests))
    sizes = handle.recent_batch_sizes.remote().result(timeout_s=10)[before:]
    assert sum(sizes) == 16
    assert 1 < max(sizes) <= 8
    for single, batched in zip(alone, together, strict=False):
        assert batched == pytest.approx(single, abs=1e-5)
    for request, batched in zip(requests, together, strict=True):
        assert sum(batched.values()) == pytest.approx(1)
        assert set(batched) == set(request["options"])


def test_reliance_attribution_and_the_cache_through_the_whole_path(
    url: str, ecgs: list[Ecg], body: Body
) -> None:
    [fresh] = [ecgs[7]]
    answer = ask(url, [fresh], "Is it new?", ["yes", "no"], token=TOKEN, attribution=True)
    assert answer.reliance.nats is not None
    assert answer.reliance.false_alarm_rate == 0.05
    assert answer.attribution is not None
    assert len(answer.attribution[0].leads) == 12
    with httpx.Client(base_url=url, headers=BEARER, trust_env=False) as client:

        def encoded() -> float:
            text = client.get("/metrics").text
            [line] = [x for x in text.splitlines() if x.startswith("truelead_ecg_encodings_total")]
            return float(line.split()[-1])

        before = encoded()
        for question in ("Is it the same?", "Still the same?"):
            client.post("/v1/ask", json=body(7, question=question)).raise_for_status()
        assert encoded() == before
        vectors = client.post("/v1/embeddings", json={"input": body(7)["ecgs"]}).json()
        assert len(vectors["data"]) == 1


def test_a_stream_of_openais_client(url: str, body: Body) -> None:
    [ecg] = body(0)["ecgs"]
    parts: list[Any] = [
        {"type": "input_ecg", "input_ecg": ecg},
        {"type": "text", "text": "Is it normal?"},
    ]
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=TOKEN, http_client=httpx.Client(trust_env=False)
    ) as client:
        chunks = list(
            client.chat.completions.create(
                model="arm/finetune",
                messages=[{"role": "user", "content": parts}],
                extra_body={"truelead": {"options": ["yes", "no"]}},
                stream=True,
            )
        )
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert words in ("yes", "no")
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_caller_that_is_not_local_needs_the_token(url: str, body: Body) -> None:
    with pytest.raises(ServiceError, match="Bearer") as refused:
        ask(url, [], "anything", token=None)
    assert refused.value.status == 401


def test_a_second_service_is_refused_while_one_runs(url: str, model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="serves nothing yet"):
        serve_model(model_folder, port=free_port(), block=False)
    taken = urlsplit(url).port
    assert taken is not None
    with pytest.raises(ConfigError, match="port"):
        serve_model(model_folder, port=taken, block=False)


def test_stopping_leaves_nothing(url: str, audit_folder: Path) -> None:
    """Last of this module: stops the service that the others used."""
    from ray import serve
    from ray.util.state import list_actors

    stop()
    status = serve.status()
    assert not status.applications
    assert not status.proxies
    port = urlsplit(url).port
    assert port is not None
    with socket.socket() as caller, pytest.raises(OSError, match="refused"):
        caller.connect(("127.0.0.1", port))
    alive = [
        actor.class_name
        for actor in list_actors(filters=[("state", "=", "ALIVE")])
        if "Serve" in actor.class_name or "Proxy" in actor.class_name
    ]
    assert alive == []
    AuditTrail(audit_folder).close()  # what the ingress may have left in its journal
    rows = read_audit(audit_folder).to_pylist()
    assert {row["route"] for row in rows} >= {"/v1/ask", "/v1/chat/completions"}
    assert len({row["request_id"] for row in rows}) == len(rows) > 20
