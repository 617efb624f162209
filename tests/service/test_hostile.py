"""Requests from the service's own document, and hostile ones: no 5xx, and typed refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.serve_hostile import harmful, malformed
from bench.serve_in_process import Sender, application
from bench.serve_robustness import faults_of, from_document
from truelead.types import Ecg


@pytest.fixture(scope="module")
def sender(model_folder: Path) -> Iterator[Sender]:
    sender = Sender(application(model_folder))
    yield sender
    sender.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def test_harmful_files_and_numbers_are_refused(
    sender: Sender, ecgs: list[Ecg], folder: Path
) -> None:
    requests = harmful(ecgs[0], folder)
    faults, statuses = faults_of(sender, requests)
    assert not faults
    assert set(statuses) <= {413, 422}
    assert not (folder.parent / "escaped.hea").exists()


def test_malformed_bodies_and_damaged_files(sender: Sender, ecgs: list[Ecg], folder: Path) -> None:
    faults, statuses = faults_of(sender, malformed(150, ecgs[0], folder, seed=3))
    assert not faults
    assert statuses[422] > 50


@pytest.mark.parametrize("positive", [True, False])
def test_the_document_keeps_its_word(model_folder: Path, positive: bool) -> None:
    pytest.importorskip("schemathesis")
    app = application(model_folder)
    found = from_document(app, 3, positive=positive)
    assert {"POST /v1/ask", "POST /v1/chat/completions", "GET /healthz"} <= set(found)
    assert not [fault for _, faults in found.values() for fault in faults]
    if positive:
        assert all(sent for sent, _ in found.values())
