"""Chat completions, asked by OpenAI's own client over a real loopback port."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn

from truelead.service.access import Access, token_sha256
from truelead.service.api import create_api
from truelead.service.client import to_wire
from truelead.service.run import free_port
from truelead.signal import write_ecg, write_record
from truelead.types import Ecg

MODEL = "arm/finetune"
TOKEN = "0123456789abcdef-correct"
QUESTION = "Is there any sign of infarction?"
Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def client(calibrated: Any) -> Iterator[openai.OpenAI]:
    port = free_port()
    app = create_api(calibrated, Access(token_sha256(TOKEN)))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key=TOKEN,
        max_retries=0,
        http_client=httpx.Client(trust_env=False, timeout=60),
    ) as connected:
        yield connected
    server.should_exit = True
    thread.join(10)


def ecg_part(sent: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_ecg", "input_ecg": sent}


def text_part(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def ask(client: openai.OpenAI, messages: list[Any], **fields: Any) -> Any:
    extra = {"truelead": {"options": ["yes", "no"]}} | fields.pop("extra_body", {})
    return client.chat.completions.create(
        model=MODEL, messages=messages, extra_body=extra, **fields
    )


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_an_answer_with_what_truelead_says_of_it(
    client: openai.OpenAI, ecgs: list[Ecg], send: Send, calibrated: Any
) -> None:
    found = ask(client, [user(ecg_part(to_wire(ecgs[0])), text_part(QUESTION))])
    body = {"question": QUESTION, "options": ["yes", "no"], "ecgs": [to_wire(ecgs[0])]}
    expected = send("POST", "/v1/ask", json=body, backend=calibrated).json()
    [choice] = found.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == expected["answer"]
    assert choice.finish_reason == "stop"
    assert found.object == "chat.completion"
    assert found.model == MODEL
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.usage.completion_tokens > 1
    said = found.truelead
    for name in ("reliance", "option_probabilities", "model_digest", "ecgs"):
        assert said[name] == expected[name]
    assert said["reliance"]["false_alarm_rate"] == 0.05
    assert "not for clinical use" in said["notice"].lower()
    assert said["notes"] == []
    assert said["request_id"] in found.id


def test_every_form_of_an_ecg_means_the_same(
    client: openai.OpenAI, ecgs: list[Ecg], tmp_path: Path
) -> None:
    pair = write_record(tmp_path, ecgs[0], name="first")
    file = write_ecg(ecgs[0], tmp_path / "first.edf")

    def text(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    wfdb = {"header": text(pair.with_suffix(".hea")), "signal": text(pair.with_suffix(".dat"))}
    shown: list[dict[str, Any]] = [
        to_wire(ecgs[0]),
        {"wfdb": wfdb},
        {"file": {"name": "C:\\ecgs\\first.edf", "content": text(file)}},
    ]
    answers = [
        ask(client, [user(text_part(QUESTION), ecg_part(sent))]).truelead["option_probabilities"]
        for sent in shown
    ]
    for answer in answers[1:]:
        assert answer == pytest.approx(answers[0], abs=1e-3)


def test_a_conversation_keeps_its_ecgs_and_asks_the_last_question(
    client: openai.OpenAI, ecgs: list[Ecg], send: Send, calibrated: Any
) -> None:
    first = ask(client, [user(ecg_part(to_wire(ecgs[0])), text_part("Is it normal?"))])
    turn = first.choices[0].message.model_dump()
    found = ask(
        client,
        [
            {"role": "system", "content": "Answer like a pirate."},
            user(ecg_part(to_wire(ecgs[0])), text_part("Is it normal?")),
            turn,
            user(ecg_part(to_wire(ecgs[1])), text_part(QUESTION)),
        ],
        temperature=0.7,
    )
    body = {"question": QUESTION, "options": ["yes", "no"], "ecgs": list(map(to_wire, ecgs[:2]))}
    expected = send("POST", "/v1/ask", json=body, backend=calibrated).json()
    assert found.truelead["option_probabilities"] == pytest.approx(
        expected["option_probabilities"], abs=1e-6
    )
    notes = " ".join(found.truelead["notes"])
    assert "system messages are not read" in notes
    assert "of earlier turns the model reads the ECGs only" in notes
    assert "temperature: without effect" in notes


def test_a_stream_holds_the_same_answer(client: openai.OpenAI, ecgs: list[Ecg]) -> None:
    messages = [user(ecg_part(to_wire(ecgs[0])), text_part(QUESTION))]
    whole = ask(client, messages)
    options = {"include_usage": True}
    chunks = list(ask(client, messages, stream=True, stream_options=options))
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == whole.choices[0].message.content
    *_, last, usage = chunks
    assert last.choices[0].finish_reason == "stop"
    assert last.truelead["reliance"] == whole.truelead["reliance"]
    assert usage.choices == []
    assert usage.usage == whole.usage


def test_a_stream_ends_as_openai_says(ecgs: list[Ecg], send: Send) -> None:
    message = user(ecg_part(to_wire(ecgs[0])), text_part(QUESTION))
    response = send(
        "POST",
        "/v1/chat/completions",
        json={"model": MODEL, "messages": [message], "stream": True},
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: {") for event in events[:-2])


def test_attribution_only_on_request(client: openai.OpenAI, ecgs: list[Ecg]) -> None:
    messages = [user(ecg_part(to_wire(ecgs[0])), text_part(QUESTION))]
    assert ask(client, messages).truelead["attribution"] is None
    extra = {"truelead": {"options": ["yes", "no"], "attribution": True}}
    [found] = ask(client, messages, extra_body=extra).truelead["attribution"]
    assert len(found["leads"]) == 12
    assert found["windows"][-1]["end_seconds"] == 10


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"model": "gpt-4o"}, 404, "model: expected 'arm/finetune'"),
        ({"messages": []}, 422, "messages: expected at least 1"),
        ({"messages": [{"role": "user", "content": QUESTION}]}, 422, "1 to 2 ECGs"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 422, "messages.0.role"),
        ({"n": 2}, 422, "n: expected 1"),
        ({"tools": []}, 422, "expected only the fields"),
        ({"response_format": {"type": "json_object"}}, 422, "expected only the fields"),
        ({"truelead": {"options": ["yes"]}}, 422, "options"),
    ],
)
def test_what_the_model_cannot_do_is_refused(
    send: Send, ecgs: list[Ecg], change: dict[str, Any], status: int, expected: str
) -> None:
    message = user(ecg_part(to_wire(ecgs[0])), text_part(QUESTION))
    response = send(
        "POST", "/v1/chat/completions", json={"model": MODEL, "messages": [message]} | change
    )
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert expected in error["message"]
    assert error["type"] == error["code"] == error["kind"]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (["ecg ecg ecg text"], "found 3"),
        (["ecg text", "assistant"], "user's question last"),
        (["ecg"], "words in the last turn"),
        (["ecg text", "text", "ecg", "ecg text"], "found 3"),
    ],
)
def test_conversations_that_cannot_be_asked(
    send: Send, ecgs: list[Ecg], turns: list[str], expected: str
) -> None:
    parts = {"ecg": ecg_part(to_wire(ecgs[0])), "text": text_part(QUESTION)}
    messages = [
        {"role": "assistant", "content": "yes"}
        if turn == "assistant"
        else user(*(parts[name] for name in turn.split()))
        for turn in turns
    ]
    body = {"model": MODEL, "messages": messages}
    response = send("POST", "/v1/chat/completions", json=body, maximum_body_bytes=2**23)
    assert response.status_code == 422
    assert expected in response.json()["error"]["message"]


def test_the_clients_other_routes(client: openai.OpenAI, ecgs: list[Ecg]) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "truelead"
    shown: Any = [to_wire(ecg) for ecg in ecgs[:2]]
    # The client asks for base64 by itself, and gives numbers back.
    found = client.embeddings.create(model=MODEL, input=shown)
    numbers = client.embeddings.create(model=MODEL, input=shown, encoding_format="float")
    for one, other in zip(found.data, numbers.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert isinstance(one.embedding[0], float)


def test_the_clients_errors(client: openai.OpenAI, ecgs: list[Ecg]) -> None:
    message = user(ecg_part(to_wire(ecgs[0])), text_part(QUESTION))
    with pytest.raises(openai.NotFoundError, match="expected 'arm/finetune'"):
        client.chat.completions.create(model="gpt-4o", messages=[message])  # type: ignore[list-item]
    with pytest.raises(openai.AuthenticationError, match="Bearer"):
        client.with_options(default_headers={"Authorization": "Basic x"}).models.list()
    with pytest.raises(openai.UnprocessableEntityError, match="1 to 2 ECGs"):
        ask(client, [user(text_part(QUESTION))])
