"""A tiny saved model, an ECG, and requests about it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI

from tests.model.tuned_stage import SLOT, write_tuned_stage
from truelead.config import parse_recipe
from truelead.errors import TrueLeadError
from truelead.model.adapter_writing import write_adapter
from truelead.model.answering import Answerer
from truelead.model.build import build_model, save_model
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest, signal_digest
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.batch_answering import BatchAnswerer
from truelead.service.client import to_wire
from truelead.service.exchange import Embedded, EmbeddingKind, Inquiry, Reply
from truelead.service.wire import ModelDescription
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
def calibrated_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with reference ECGs beside it, and thresholds: closed -0.01, free none."""
    folder = tmp_path_factory.mktemp("calibrated") / "arm" / "finetune"
    shutil.copytree(model_folder, folder)
    calibrate(folder)
    return folder


def calibrate(folder: Path) -> None:
    answerer = Answerer.from_pretrained(folder)
    rng = np.random.default_rng(11)
    ecg_RLT = rng.normal(0, 1, (4, 12, 1000)).astype(np.float32)
    with torch.inference_mode():
        features_RPD = answerer.model.encode(torch.from_numpy(ecg_RLT)).numpy().astype(np.float16)
    references = ReferenceEcgs(features_RPD, tuple(signal_digest(ecg) for ecg in ecg_RLT))
    references.save(folder)
    RelianceThreshold(
        closed=-0.01,
        free=None,
        false_alarm_rate=0.05,
        answers=100,
        patients=50,
        model=model_digest(folder),
        references=references.digest,
    ).save(folder)


@pytest.fixture(scope="session")
def stages(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two tunings of the model by adapters, the second with a severity slot and calibrated."""
    root = tmp_path_factory.mktemp("tuned")
    first = write_tuned_stage(model_folder, root / "first" / "finetune", seed=1)
    strategy = {"severity_slot": SLOT, "answer_rule": {"rule": "strata-sum"}}
    second = root / "second" / "finetune"
    calibrate(write_tuned_stage(model_folder, second, seed=2, strategy=strategy))
    return {"first": first, "second": second}


@pytest.fixture(scope="session")
def adapters(
    model_folder: Path, stages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What each of the stages has beyond the model."""
    root = tmp_path_factory.mktemp("adapters")
    for name, stage in stages.items():
        (root / name).mkdir()
        write_adapter(root / name, base=model_folder, stage=stage, lora=stage / "adapter")
    return {name: root / name for name in stages}


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

    def __init__(self, folder: Path) -> None:
        self.batch_answerer = BatchAnswerer(folder)
        self.description = self.batch_answerer.description

    async def answer(self, inquiry: Inquiry) -> Reply:
        [found] = self.batch_answerer.answer_all([inquiry])
        if isinstance(found, TrueLeadError):
            raise found
        if inquiry.attribution:
            found = replace(found, attribution=self.batch_answerer.attribute(inquiry, found))
        return found

    async def embed(self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind, model: str = "") -> Embedded:
        return self.batch_answerer.embed(ecgs, kind)

    async def models(self) -> tuple[ModelDescription, ...]:
        return (self.description,)

    async def describe(self) -> ModelDescription:
        return self.description

    async def described(self) -> ModelDescription:
        return self.description


Send = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def backend(model_folder: Path) -> LocalBackend:
    return LocalBackend(model_folder)


@pytest.fixture(scope="session")
def calibrated(calibrated_folder: Path) -> LocalBackend:
    return LocalBackend(calibrated_folder)


@pytest.fixture(scope="session")
def send(backend: LocalBackend) -> Send:
    """One request to the application without any server: (method, path, **httpx arguments)."""
    apps: dict[tuple[Any, ...], FastAPI] = {}

    def application(backend: Any, access: Access, maximum_body_bytes: int) -> FastAPI:
        key = (backend, access, maximum_body_bytes)
        if key not in apps:
            apps[key] = create_api(backend, access, maximum_body_bytes=maximum_body_bytes)
        return apps[key]

    def request(
        method: str,
        path: str,
        *,
        access: Access | None = None,
        client: tuple[str, int] = ("127.0.0.1", 40000),
        base_url: str = "http://127.0.0.1:8000",
        maximum_body_bytes: int = 2**21,
        backend: Any = backend,
        app: FastAPI | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        app = app or application(backend, access or Access(), maximum_body_bytes)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)

        async def run() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=base_url) as caller:
                return await caller.request(method, path, **arguments)

        return asyncio.run(run())

    return request
