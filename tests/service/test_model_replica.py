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
    asked = [Inquiry((ecg,), "Normal?", ("yes", "no")) for ecg in ecgs]
    return [_Waiting(one, time.monotonic(), 1) for one in asked]


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


def test_a_question_that_comes_while_a_batch_is_worked_on_stops_no_other(
    replica: ModelReplica, ecgs: list[Ecg]
) -> None:
    """Counting its tokens wants the model, which the batch has; the event loop goes on."""

    async def both() -> float:
        lock = replica.batch_answerer._lock
        lock.acquire()
        try:
            asked = Inquiry((ecgs[0],), "Is this wording new?", ("yes", "no"))
            answering = asyncio.create_task(replica.answer_many([asked]))
            begun = time.monotonic()
            await asyncio.sleep(0.05)
            slept = time.monotonic() - begun
            assert not answering.done()
        finally:
            lock.release()
        [reply] = await answering
        assert isinstance(reply, Reply)
        return slept

    assert asyncio.run(both()) < 5.0
    model = replica._base
    asked = Inquiry((ecgs[0], ecgs[1]), "Is this wording new?", ("yes", "no"))
    counts = asyncio.run(model.tokens([asked, asked]))
    assert counts == [model.answerer.tokens_of(asked)] * 2
    assert asyncio.run(model.tokens([asked])) == counts[:1]
