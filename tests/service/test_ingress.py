"""How the ingress meets replicas that are overloaded, dead or slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError

from truelead.errors import LeadError, ServiceError
from truelead.service.batcher import BatchBounds
from truelead.service.exchange import Embedded, Inquiry, MissingEcgs, NamedEcg, Reply
from truelead.service.feature_cache import ecg_key
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


def named(*ecgs: Any) -> Inquiry:
    return Inquiry(tuple(NamedEcg(ecg_key(ecg), ecg) for ecg in ecgs), "?", ("yes", "no"))


class Replicas:
    """Replicas that note what they are sent and answer it, unless they lack the samples."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.read: set[Any] = set()
        self.sent: list[list[bool | None]] = []

    def __getattr__(self, method: str) -> Any:
        assert method == "answer_many"
        return self

    async def remote(self, inquiries: list[Inquiry]) -> list[Any]:
        found: list[Any] = []
        for inquiry in inquiries:
            ecgs = [one for one in inquiry.ecgs if isinstance(one, NamedEcg)]
            self.sent.append([None if one.ecg is None else one.fitted for one in ecgs])
            lacking = [one for one in ecgs if one.ecg is None and one.key not in self.read]
            self.read |= {one.key for one in ecgs if one.ecg is not None}
            found.append(MissingEcgs(100.0, 10.0) if lacking else self.reply)
        return found


def test_samples_go_once_and_again_where_a_replica_lacks_them(reply: Reply, ecgs: Any) -> None:
    replicas = Replicas(reply)
    backend = ReplicaBackend(replicas, 5.0)  # type: ignore[arg-type]

    async def questions() -> None:
        await backend.answer(named(ecgs[0]))
        await backend.answer(named(ecgs[0]))
        await backend.answer(named(ecgs[0], ecgs[1]))
        replicas.read.clear()  # another replica, which has read nothing
        await backend.answer(named(ecgs[0]))
        await backend.answer(named(ecgs[2]))

    asyncio.run(questions())
    # As it came, since nobody has told the model's rate yet; named; one of two new, at the model's
    # rate; refused, and sent at that rate; a new one.
    assert replicas.sent == [[False], [None], [None, True], [None], [True], [True]]


def test_questions_that_come_together_go_with_one_call(reply: Reply, ecgs: Any) -> None:
    handle = Handle([reply] * 5)
    bounds = BatchBounds(size=8, wait_seconds=0.05)
    backend = ReplicaBackend(handle, 5.0, bounds)  # type: ignore[arg-type]

    async def questions() -> None:
        await asyncio.gather(*(backend.answer(named(ecgs[at])) for at in range(5)))

    asyncio.run(questions())
    assert handle.calls == ["answer_many"]
