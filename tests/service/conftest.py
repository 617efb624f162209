"""A tiny saved model, an ECG, and requests about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from truelead.config import parse_recipe
from truelead.model.answering import Answerer, Ask
from truelead.model.build import build_model, save_model
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.client import to_wire
from truelead.service.exchange import Inquiry, Reply
from truelead.service.model_replica import describe_model
from truelead.types import Ecg

QUESTION = "Is there any sign of infarction?"
OPTIONS = ["yes", "no", "not sure"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised model of the built-in kind."""
    recipe = parse_recipe(
        {
            "name": "tiny",
            "encoder": {"name": "resnet1d", "options": {"width": 8}},
            "projector": {"name": "mlp", "options": {"tokens": 4}},
            "language_model": {
                "hidden_size": 32,
                "layers": 2,
                "heads": 2,
                "vocabulary_size": 300,
            },
        }
    )
    model, processor = build_model(recipe, None, [QUESTION, *OPTIONS, "What changed?"])
    return save_model(tmp_path_factory.mktemp("run") / "arm" / "finetune", model.eval(), processor)


@pytest.fixture(scope="session")
def answerer(model_folder: Path) -> Answerer:
    return Answerer.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def ecgs() -> list[Ecg]:
    """Ten seconds of noise at 100 Hz, in whole microvolts."""
    rng = np.random.default_rng(5)
    return [
        Ecg((rng.normal(0, 300, (12, 1000)).round() / 1000).astype(np.float32), 100.0)
        for _ in range(8)
    ]


@pytest.fixture(scope="session")
def body(ecgs: list[Ecg]) -> Callable[..., dict[str, Any]]:
    """A request about the ECGs with these numbers; other fields as given."""

    def make(*numbers: int, **fields: Any) -> dict[str, Any]:
        return {
            "question": QUESTION,
            "options": OPTIONS,
            "ecgs": [to_wire(ecgs[number]) for number in numbers],
        } | fields

    return make


class LocalBackend:
    """The model in this process, as the HTTP interface sees it."""

    def __init__(self, answerer: Answerer, folder: Path) -> None:
        self.answerer = answerer
        self.description = describe_model(folder, answerer)

    async def answer(self, inquiry: Inquiry) -> Any:
        ask = Ask(inquiry.ecgs, inquiry.question, inquiry.options)
        answer = self.answerer.answer([ask])[0]
        return Reply(answer.text, answer.answers, answer.option_probabilities, self.description)

    async def describe(self) -> Any:
        return self.description


Send = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def backend(answerer: Answerer, model_folder: Path) -> LocalBackend:
    return LocalBackend(answerer, model_folder)


@pytest.fixture(scope="session")
def send(backend: LocalBackend) -> Send:
    """One request to the application without any server: (method, path, **httpx arguments)."""

    def request(
        method: str,
        path: str,
        *,
        access: Access | None = None,
        client: tuple[str, int] = ("127.0.0.1", 40000),
        base_url: str = "http://127.0.0.1:8000",
        maximum_body_bytes: int = 2**21,
        backend: Any = backend,
        **arguments: Any,
    ) -> httpx.Response:
        app = create_api(backend, access or Access(), maximum_body_bytes=maximum_body_bytes)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)

        async def run() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=base_url) as caller:
                return await caller.request(method, path, **arguments)

        return asyncio.run(run())

    return request
