"""A replica keeps an unexpected error's text to itself, and asks to be replaced after some."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from truelead.errors import ServiceError
from truelead.service.exchange import Inquiry, Reply
from truelead.service.model_replica import UNHEALTHY_AFTER, ModelReplica, _Waiting
from truelead.types import Ecg


@pytest.fixture
def replica(calibrated_folder: Path) -> ModelReplica:
    return ModelReplica(str(calibrated_folder))


def waiting(*ecgs: Ecg) -> list[_Waiting]:
    return [_Waiting(Inquiry((ecg,), "Normal?", ("yes", "no")), time.monotonic()) for ecg in ecgs]


def test_a_batch_is_counted_with_its_wait(replica: ModelReplica, ecgs: list[Ecg]) -> None:
    found = replica.answer_all(waiting(*ecgs[:3]))
    for reply in found:
        assert isinstance(reply, Reply)
        assert reply.work.batch_size == 3
        assert reply.work.waited_seconds >= 0
    assert replica.batch_sizes == [3]
    replica.check_health()


def test_batches_that_end_in_errors_make_it_unhealthy(
    replica: ModelReplica,
    ecgs: list[Ecg],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("smith")

    whole = replica.batch_answerer.answer_all
    monkeypatch.setattr(replica.batch_answerer, "answer_all", fail)
    monkeypatch.setattr(replica.batch_answerer, "embed", fail)
    for _ in range(UNHEALTHY_AFTER):
        for error in replica.answer_all(waiting(*ecgs[:2])):
            assert isinstance(error, ServiceError)
            assert error.status == 500
            assert "smith" not in str(error)
        replica.check_health()
    replica.answer_all(waiting(ecgs[0]))
    with pytest.raises(ServiceError, match="batches end in errors"):
        replica.check_health()
    embedded = asyncio.run(replica.embed((ecgs[0],), "encoder"))
    assert isinstance(embedded, ServiceError)
    assert "smith" not in caplog.text
    assert "RuntimeError" in caplog.text
    monkeypatch.setattr(replica.batch_answerer, "answer_all", whole)
    replica.answer_all(waiting(ecgs[0]))
    replica.check_health()
