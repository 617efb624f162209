"""The model's replicas as the HTTP interface sees them: few calls, each with several questions.

Questions that arrive together go with one call, as a call costs about as much as an answer of a
small model. An ECG that the replicas have read is only named; a replica that has not (a new one,
or one that dropped it) asks for its samples. A call whose replica died is made again: answering
changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from grpc.aio import AioRpcError
from ray.exceptions import ObjectLostError, RayActorError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from truelead.errors import ServiceError, TrueLeadError
from truelead.service.arriving import Arriving
from truelead.service.batcher import BatchBounds, Batcher
from truelead.service.exchange import (
    EcgKey,
    Embedded,
    EmbeddingKind,
    Inquiry,
    MissingEcgs,
    NamedEcg,
    Reply,
)
from truelead.service.known_ecgs import fitted
from truelead.service.wire import ModelDescription
from truelead.types import Ecg

READY_WITHIN_SECONDS = 5.0
DESCRIBED_FOR_SECONDS = 2.0
ATTEMPTS = 6
"""Of a call whose replica died; replicas may die one after another."""

SENDINGS = 3
"""Of a question whose ECGs a replica did not have; the last one with all that was sent."""

REMEMBERED = 65_536
"""ECGs that the replicas are thought to have read."""

_DIED = (
    RayActorError,
    ObjectLostError,
    DeploymentUnavailableError,
    TaskCancelledError,
    AioRpcError,
)
"""What a call ends with whose replica has died, by gRPC or through Ray's object store."""

_Kept = TypeVar("_Kept")
_Outcomes = list[Reply | MissingEcgs | TrueLeadError]


class ReplicaBackend:
    """The model deployment, as the HTTP interface sees it.

    Args:
        handle: of the model deployment.
        timeout_seconds: for one answer, queueing included.
        bounds: of the questions that go with one call.
        encoder: of the encoder's deployment, where it is one of its own.
        arriving: requests that will soon ask, for which a call waits.
    """

    def __init__(
        self,
        handle: DeploymentHandle,
        timeout_seconds: float,
        bounds: BatchBounds | None = None,
        encoder: DeploymentHandle | None = None,
        arriving: Arriving | None = None,
    ) -> None:
        self._arriving = arriving
        self._handle = handle
        self._encoder = encoder
        self._timeout = timeout_seconds
        self._bounds = bounds or BatchBounds(wait_seconds=0.0)
        # The service may be reached through two event loops, its own door's and Serve's.
        self._batchers: WeakKeyDictionary[Any, dict[str, Batcher[Inquiry, Any]]]
        self._batchers = WeakKeyDictionary()
        # By model: what one has read, another has not.
        self._read: OrderedDict[tuple[str, EcgKey], None] = OrderedDict()
        self._wanted: MissingEcgs | None = None
        self._described: tuple[float, ModelDescription] | None = None
        self._models: tuple[float, tuple[ModelDescription, ...]] | None = None
        self._handles: dict[str, Any] = {"": handle}

    async def answer(self, inquiry: Inquiry) -> Reply:
        """The answer of a replica.

        Raises:
            TrueLeadError: the model cannot answer this.
            ServiceError: overloaded (429), no replica (503), or too late (504).
        """
        begun = time.monotonic()
        async with _in_time(self._timeout):
            reply = await self._send(inquiry)
            if inquiry.attribution:
                shares = await self._call("attribute", inquiry, reply, model=inquiry.model)
                if isinstance(shares, TrueLeadError):
                    raise shares
                reply = replace(reply, attribution=shares)
        if not inquiry.model:
            self._described = (time.monotonic(), reply.model)
        if self._wanted is None:
            # From now on new ECGs are brought to the model's rate here, beside the replicas' work.
            self._wanted = MissingEcgs(reply.model.sampling_rate, reply.model.seconds)
        waited = time.monotonic() - begun - reply.work.worked_seconds
        return replace(reply, work=replace(reply.work, waited_seconds=max(0.0, waited)))

    async def embed(self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind, model: str = "") -> Embedded:
        """A vector of each ECG, by a replica.

        Raises:
            TrueLeadError, ServiceError: as `answer`.
        """
        if self._arriving is not None:
            self._arriving.arrived()
        async with _in_time(self._timeout):
            found = await self._call("embed", ecgs, kind, model, model=model)
        if isinstance(found, TrueLeadError):
            raise found
        assert isinstance(found, Embedded)
        return found

    async def models(self) -> tuple[ModelDescription, ...]:
        """The base model and all adapters, as a replica listed them within the last seconds.

        Raises:
            ServiceError: as `describe`.
        """
        known = _recent(self._models)
        if known is not None:
            return known
        async with _in_time(READY_WITHIN_SECONDS):
            found = tuple(await self._call("describe_all"))
        self._models = (time.monotonic(), found)
        return found

    async def describe(self) -> ModelDescription:
        """The model, asked of a replica each time: that it answers is what makes it ready.

        Raises:
            ServiceError: no replica answers.
        """
        async with _in_time(READY_WITHIN_SECONDS):
            found = await self._call("describe")
        assert isinstance(found, ModelDescription)
        self._described = (time.monotonic(), found)
        return found

    async def described(self) -> ModelDescription:
        """The model as a replica described it within the last seconds.

        Raises:
            ServiceError: as `describe`.
        """
        return _recent(self._described) or await self.describe()

    async def _send(self, inquiry: Inquiry) -> Reply:
        batcher = self._batcher(inquiry.model)
        for sending in range(SENDINGS):
            if sending == SENDINGS - 1:
                sent = inquiry
            else:
                sent = await self._lightened(inquiry)
            if self._arriving is not None:
                self._arriving.arrived()
            found = await batcher(sent)
            if isinstance(found, TrueLeadError):
                raise found
            keys = [(inquiry.model, one.key) for one in inquiry.ecgs if isinstance(one, NamedEcg)]
            if isinstance(found, Reply):
                self._remember(keys)
                return found
            self._wanted = found
            for key in keys:
                self._read.pop(key, None)
        raise ServiceError("model: expected replicas that read whole ECGs", status=503)

    async def _lightened(self, inquiry: Inquiry) -> Inquiry:
        """The question without the samples that the replicas have, or with those they need."""
        wanted = self._wanted
        if wanted is None and self._encoder is not None:
            model = await self.described()
            wanted = self._wanted = MissingEcgs(model.sampling_rate, model.seconds)
        ecgs: list[Ecg | NamedEcg] = []
        for one in inquiry.ecgs:
            if not isinstance(one, NamedEcg) or one.ecg is None:
                ecgs.append(one)
            elif (inquiry.model, one.key) in self._read:
                ecgs.append(NamedEcg(one.key))
            elif wanted is None:
                ecgs.append(one)
            else:
                ecg = await asyncio.to_thread(fitted, one.ecg, wanted.sampling_rate, wanted.seconds)
                ecgs.append(NamedEcg(one.key, ecg, fitted=True))
        return replace(inquiry, ecgs=tuple(ecgs))

    def _remember(self, keys: Sequence[tuple[str, EcgKey]]) -> None:
        for key in keys:
            self._read[key] = None
            self._read.move_to_end(key)
        while len(self._read) > REMEMBERED:
            self._read.popitem(last=False)

    def _batcher(self, model: str) -> Batcher[Inquiry, Any]:
        """Questions to one model go together; each event loop has its own."""
        of_loop = self._batchers.setdefault(asyncio.get_running_loop(), {})
        if model not in of_loop:
            coming = None if self._arriving is None else self._arriving.__len__
            of_loop[model] = Batcher(self._answer_many, self._bounds, coming=coming)
        return of_loop[model]

    def _handle_of(self, model: str) -> Any:
        """A handle whose calls go to replicas that have this adapter in memory, if any does."""
        if model not in self._handles:
            self._handles[model] = self._handle.options(multiplexed_model_id=model)
        return self._handles[model]

    async def _answer_many(self, inquiries: Sequence[Inquiry]) -> _Outcomes:
        found: _Outcomes
        model = inquiries[0].model
        # The encoder's deployment has the base's; an adapter may have trained its own.
        if self._encoder is None or model:
            found = await self._call("answer_many", list(inquiries), model=model)
            return found
        new: dict[EcgKey, Ecg] = {}
        light = []
        for inquiry in inquiries:
            ecgs: list[Ecg | NamedEcg] = []
            for one in inquiry.ecgs:
                if isinstance(one, NamedEcg) and one.fitted and one.ecg is not None:
                    new[one.key] = one.ecg
                    ecgs.append(NamedEcg(one.key))
                else:
                    ecgs.append(one)
            light.append(replace(inquiry, ecgs=tuple(ecgs)))
        found = await self._call("answer_many", light, encoded=new)
        return found

    async def _call(
        self,
        method: str,
        *arguments: Any,
        encoded: Mapping[EcgKey, Ecg] | None = None,
        model: str = "",
    ) -> Any:
        """What a replica returns; asked again where the replica dies.

        Args:
            encoded: ECGs whose keys and features, from the encoder's deployment, are added to the
                arguments.
            model: name of an adapter, whose replicas are preferred.

        Raises:
            ServiceError: overloaded (429) or no replica (503).
        """
        for attempt in range(ATTEMPTS):
            try:
                more: tuple[Any, ...] = ()
                if encoded and self._encoder is not None:
                    features = self._encoder.encode.remote(list(encoded.values()))
                    more = (list(encoded), features)
                return await getattr(self._handle_of(model), method).remote(*arguments, *more)
            except BackPressureError:
                raise ServiceError("model: too many questions wait", status=429) from None
            except _DIED:
                if attempt == ATTEMPTS - 1:
                    break
                await asyncio.sleep(min(0.1 * 2**attempt, 1.0))
        raise ServiceError("model: no replica answers", status=503)


def _recent(kept: tuple[float, _Kept] | None) -> _Kept | None:
    """What was kept at that time (monotonic seconds), if it is young enough to be told again."""
    if kept is None or time.monotonic() - kept[0] >= DESCRIBED_FOR_SECONDS:
        return None
    return kept[1]


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout` that ends in the service's own error."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ServiceError(
            f"model: expected an answer within {seconds:g} s, found none", status=504
        ) from None
