"""How the ingress meets replicas that are overloaded, dead or slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError

from truelead.errors import LeadError, ServiceError
from truelead.service.exchange import Embedded, Inquiry, Reply
from truelead.service.replica_backend import ATTEMPTS, ReplicaBackend


class Handle:
    """Does in turn what is planned: raises, waits for ever, or gives a value."""

    def __init__(self, *plan: Any) -> None:
        self.plan = list(plan)
        self.calls: list[str] = []

    def __getattr__(self, method: str) -> Any:
        outer = self

        class Remote:
            def remote(self, *arguments: Any) -> Awaitable[Any]:
                outer.calls.append(method)
                return outer.next()

        return Remote()

    async def next(self) -> Any:
        step = self.plan.pop(0)
        if isinstance(step, Exception) and not isinstance(step, LeadError):
            raise step
        if step == "never":
            await asyncio.sleep(3600)
        return step


INQUIRY = Inquiry((), "?")


def ask(handle: Handle, seconds: float = 5.0) -> Any:
    backend = ReplicaBackend(handle, seconds)  # type: ignore[arg-type]
    return asyncio.run(backend.answer(INQUIRY))


def pressure() -> BackPressureError:
    return BackPressureError(num_queued_requests=3, max_queued_requests=3)


@pytest.fixture(scope="module")
def reply(backend: Any, body: Callable[..., Any], ecgs: Any) -> Reply:
    [found] = backend.batch_answerer.answer_all([Inquiry((ecgs[0],), "?", ("yes", "no"))])
    assert isinstance(found, Reply)
    return found


def test_a_full_queue_is_429_at_once() -> None:
    handle = Handle(pressure())
    with pytest.raises(ServiceError, match="too many questions wait") as refused:
        ask(handle)
    assert refused.value.status == 429
    assert handle.calls == ["answer_many"]


def test_a_dead_replica_is_asked_again(reply: Reply) -> None:
    handle = Handle(RayActorError(), RayActorError(), [reply])
    assert ask(handle).text == reply.text
    assert len(handle.calls) == 3


def test_only_dead_replicas_are_503() -> None:
    handle = Handle(*[RayActorError()] * ATTEMPTS)
    with pytest.raises(ServiceError, match="no replica answers") as refused:
        ask(handle)
    assert refused.value.status == 503


def test_a_slow_replica_is_504() -> None:
    with pytest.raises(ServiceError, match=r"within 0\.05 s") as refused:
        ask(Handle("never"), 0.05)
    assert refused.value.status == 504


def test_what_the_model_refuses_is_raised_here() -> None:
    error = LeadError("ecgs.0", field="leads", expected="12")
    with pytest.raises(LeadError, match="12"):
        ask(Handle([error]))
    backend = ReplicaBackend(Handle(error), 5.0)  # type: ignore[arg-type]
    with pytest.raises(LeadError, match="12"):
        asyncio.run(backend.embed((), "encoder"))


def test_embeddings_go_the_same_way(reply: Reply) -> None:
    found = Embedded(((1.0, 2.0),), reply.model)
    handle = Handle(RayActorError(), found)
    backend = ReplicaBackend(handle, 5.0)  # type: ignore[arg-type]
    assert asyncio.run(backend.embed((), "encoder")) is found
    assert handle.calls == ["embed", "embed"]
