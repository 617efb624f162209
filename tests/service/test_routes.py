"""The routes that help to ask: templates, examples, embeddings, the page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from truelead.questions.bank import QuestionBank
from truelead.questions.templates import TEMPLATES
from truelead.service.access import Access, token_sha256
from truelead.service.client import to_wire
from truelead.service.examples import EXAMPLES
from truelead.types import Ecg

Send = Callable[..., httpx.Response]


def test_templates_can_be_filled_as_the_bank_fills_them(send: Send) -> None:
    found = send("GET", "/v1/templates").json()
    bank = QuestionBank()
    assert [one["template_id"] for one in found["templates"]] == list(bank.templates)
    spoken = {
        kind: {value["value"]: value["spoken"] for value in values}
        for kind, values in found["domains"].items()
    }
    for one in found["templates"]:
        template = TEMPLATES[one["template_id"]]
        attributes = next(iter(bank.attributes(template.template_id)))
        words = {
            place: spoken[slot][value]
            for place, slot, value in zip(
                one["placeholders"], one["slots"], attributes, strict=True
            )
        }
        for pattern in one["wordings"]:
            text = pattern.format(**words)
            assert "{" not in text
        options = one["options"]
        if options:
            assert set(options) >= set(bank.options(template.template_id, attributes)) - {
                "not sure"
            }
        elif template.kind == "choose":
            kept = [
                spoken[slot][value]
                for slot, value in zip(one["slots"], attributes, strict=True)
                if slot not in ("lead", "feature")
            ]
            assert (*kept, "none") == bank.options(template.template_id, attributes)


def test_every_example_can_be_asked_about(send: Send) -> None:
    listed = send("GET", "/v1/examples").json()["examples"]
    assert len(listed) == len(EXAMPLES)
    for entry in listed:
        example = send("GET", f"/v1/examples/{entry['number']}").json()
        assert example["title"] == entry["title"]
        assert example["generated"] is True
        body = {"question": "Normal?", "options": ["yes", "no"], "ecgs": [example["ecg"]]}
        assert send("POST", "/v1/ask", json=body).status_code == 200
    codes = send("GET", "/v1/examples/1").json()["codes"]
    assert "AFIB" in codes
    assert send("GET", f"/v1/examples/{len(EXAMPLES)}").status_code == 404
    assert send("GET", "/v1/examples/x").status_code == 422


def test_embeddings_in_both_encodings(send: Send, ecgs: list[Ecg], backend: Any) -> None:
    shown = [to_wire(ecg) for ecg in ecgs[:2]]
    answer = send("POST", "/v1/embeddings", json={"input": shown}).json()
    packed = send(
        "POST", "/v1/embeddings", json={"input": shown, "encoding_format": "base64"}
    ).json()
    for one, other in zip(answer["data"], packed["data"], strict=True):
        vector = np.frombuffer(base64.b64decode(other["embedding"]), "<f4")
        assert one["embedding"] == pytest.approx(vector.tolist(), abs=1e-6)
    single = send("POST", "/v1/embeddings", json={"input": shown[0], "kind": "projector"}).json()
    expected = backend.batch_answerer.embed((ecgs[0],), "projector").vectors[0]
    assert single["data"][0]["embedding"] == pytest.approx(list(expected), abs=1e-5)
    assert single["model_digest"] == backend.description.digest
    for change in ({"input": []}, {"input": shown * 9}, {"kind": "x"}, {"model": "gpt"}):
        response = send(
            "POST", "/v1/embeddings", json={"input": shown} | change, maximum_body_bytes=2**24
        )
        assert response.status_code in (404, 422)


def test_the_page_needs_no_token_but_what_it_asks_does(send: Send) -> None:
    access = Access(token_sha256("0123456789abcdef-correct"))
    page = send("GET", "/", access=access)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert send("GET", "/page/__init__.py", access=access).status_code == 404
    assert send("GET", "/page/..%2f__init__.py", access=access).status_code == 404
    assert send("GET", "/v1/templates", access=access).status_code == 401
    assert send("GET", "/metrics", access=access).status_code == 401
