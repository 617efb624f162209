"""Checkpoints of a training: every worker writes its part, in the background, or none counts.

A save copies this worker's part of parameters and optimizer into host memory, and training goes
on while a thread writes it; the next save waits for the one before, so that there is never more
than one copy. Rank 0's thread waits for the receipts of the others, then writes manifest and
marker (`checkpoint_store`). No collective runs beside those of the training: the workers speak of
a save at the next one, in step.

A checkpoint fits any number of workers and any ZeRO stage (`checkpoint_shard`). It holds tensors
and JSON; nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.distributed as dist

from truelead.data.durable import file_sha256
from truelead.errors import CheckpointError
from truelead.train.checkpoint_shard import ShardReader, Snapshot, write_shard
from truelead.train.checkpoint_store import CheckpointName, CheckpointStore, WrittenFile
from truelead.train.engine import Engine
from truelead.train.engine_state import EngineState

_COUNTERS = ("global_steps", "global_samples", "micro_steps", "skipped_steps")
_POLL_SECONDS = 0.02
_LAST_WAIT_SECONDS = 30.0
_SHARED_SECONDS = 120.0
"""How long a file may take to be seen by another node; network folders keep listings a while."""

_log = logging.getLogger(__name__)


class AgreedCheckpointError(CheckpointError):
    """One that all workers meet alike: to start them again would not help."""


@dataclass(frozen=True)
class _Save:
    """A save under way."""

    name: CheckpointName
    written: Future[None]
    """This worker's part."""
    finished: Future[None]
    """The marker; in the other ranks the same as `written`."""
    all_written: threading.Event
    given_up: threading.Event


class Checkpoints:
    """Saves and restores one stage's training state, in step with the other workers."""

    def __init__(
        self,
        store: CheckpointStore,
        key: str,
        *,
        keep: int = 2,
        maximum_failed_saves: int = 3,
        notice: Callable[[str], None] = _log.warning,
    ) -> None:
        """Args:
        store: seen by every worker.
        key: digest of the stage's configuration and inputs; other keys are not resumed.
        keep: how many finished checkpoints stay.
        maximum_failed_saves: so many in a row, for a full disk or the like, end the training.
        notice: takes what a user should know of, in rank 0.
        """
        self._store = store
        self._key = key
        self._keep = keep
        self._maximum_failed = maximum_failed_saves
        self._notice = notice
        self._rank = dist.get_rank() if dist.is_initialized() else 0
        self._workers = dist.get_world_size() if dist.is_initialized() else 1
        self._attempt = _from_first_rank(store.next_attempt() if self._rank == 0 else 0)
        self._threads = ThreadPoolExecutor(2, "checkpoint")
        self._save: _Save | None = None
        self._failed = 0
        self._last_good: int | None = None

    def restore(self, engine: Engine) -> dict[str, Any] | None:
        """Load the newest whole checkpoint into `engine`; damaged ones are set aside, and said.

        Returns:
            the state given to `save`, or None where there is no whole checkpoint.

        Raises:
            AgreedCheckpointError: the newest one belongs to another configuration.
            CheckpointError: it does not fit the model.
        """
        name, manifest = self._choose()
        state: dict[str, Any] | None = None
        if name is not None:
            with self._store.opened(name, manifest) as paths, ShardReader(paths) as reader:
                EngineState(engine.deepspeed).load(reader)
            for counter in _COUNTERS:
                setattr(engine.deepspeed, counter, int(manifest["counters"][counter]))
            state = manifest["state"]
            self._last_good = name.step
        return state

    def save(self, engine: Engine, state: Mapping[str, Any]) -> None:
        """Begin to save; waits for the save before, and for the copy into host memory.

        Args:
            state: JSON values that the next run needs beside the tensors; `step` is the number
                of steps done.

        Raises:
            AgreedCheckpointError: too many saves in a row have failed.
        """
        self.settle()
        name = CheckpointName(int(state["step"]), self._attempt)
        snapshot = EngineState(engine.deepspeed).snapshot()
        facts = {
            "key": self._key,
            "zero_stage": engine.zero_stage,
            "workers": self._workers,
            "counters": {c: int(getattr(engine.deepspeed, c)) for c in _COUNTERS},
            "state": dict(state),
        }
        written = self._threads.submit(self._write, name, snapshot)
        self._save = _Save(name, written, written, threading.Event(), threading.Event())
        if self._rank == 0:
            finished = self._threads.submit(self._finish, self._save, facts)
            self._save = replace(self._save, finished=finished)

    def check(self) -> None:
        """Raise what went wrong with a save, if it is nothing that a later save may mend."""
        save = self._save
        if save is None:
            return
        for future in (save.written, save.finished):
            error = future.exception() if future.done() else None
            if error is not None and not isinstance(error, OSError):
                raise error

    def settle(self) -> None:
        """Wait for the save under way; all workers agree on whether it counts.

        Raises:
            AgreedCheckpointError: too many saves in a row have failed.
        """
        save, self._save = self._save, None
        if save is None:
            return
        error = save.written.exception()
        (save.all_written if _all_agree(error is None) else save.given_up).set()
        if self._rank == 0:
            error = save.finished.exception() or error
        whole = bool(_from_first_rank(int(error is None and not save.given_up.is_set())))
        if error is not None and not isinstance(error, OSError):
            raise error
        if whole:
            self._failed, self._last_good = 0, save.name.step
            return
        self._give_up(save.name, error)

    def close(self) -> None:
        """End without speaking to the others; a save under way gets a while to be finished."""
        if self._save is not None:
            wait([self._save.finished], timeout=_LAST_WAIT_SECONDS)
            self._save.given_up.set()
        self._threads.shutdown(wait=False)

    def _give_up(self, name: CheckpointName, error: BaseException | None) -> None:
        self._failed += 1
        last = "there is no good one yet"
        if self._last_good is not None:
            last = f"the last good one is of step {self._last_good}"
        reason = error or "another worker could not write its part"
        text = f"{self._store}: checkpoint of step {name.step} not saved: {reason}"
        if self._rank == 0:
            with suppress(OSError):  # what cannot be removed now goes at the next start
                self._store.remove(name)
            self._notice(f"{text}; training goes on, {last}")
        if self._failed >= self._maximum_failed:
            raise AgreedCheckpointError(
                f"{text}; {self._failed} in a row have failed (train.max_failed_saves), {last}: "
                "make room and start again"
            )

    def _choose(self) -> tuple[CheckpointName | None, dict[str, Any]]:
        """The newest checkpoint that is whole; each worker hashes its share of the files."""
        candidates = []
        if self._rank == 0:
            # Before the others are spoken to, since they may save as soon as they have loaded.
            self._store.remove_unfinished()
            candidates = self._store.marked()
        while True:
            newest = candidates.pop(0) if candidates else CheckpointName(-1, -1)
            name = CheckpointName(_from_first_rank(newest.step), _from_first_rank(newest.attempt))
            if name.step < 0:
                return None, {}
            manifest, reason = {}, None
            try:
                manifest = self._store.verify(name, share=self._rank, shares=self._workers)
            except CheckpointError as error:
                reason = str(error)
            if _all_agree(reason is None):
                if manifest["key"] != self._key:
                    raise AgreedCheckpointError(
                        f"{self._store}: {name}: expected a checkpoint of this configuration, "
                        "found another's: remove the stage's checkpoints"
                    )
                return name, manifest
            if self._rank == 0:
                reason = reason or "another worker found a file that does not match its SHA-256"
                self._notice(f"damaged checkpoint passed over: {reason}")
                with suppress(OSError):
                    self._store.set_aside(name, reason)

    def _write(self, name: CheckpointName, snapshot: Snapshot) -> None:
        """This worker's part, and its receipt."""
        folder = self._store.folder(name)
        folder.make()
        shard = f"shard-{self._rank:05d}-of-{self._workers:05d}.safetensors"
        with folder.placed(shard) as path:
            write_shard(path, snapshot)
            written = WrittenFile(file_sha256(path), path.stat().st_size)
        folder.place_text(_receipt(self._rank), json.dumps({"file": shard, **asdict(written)}))

    def _finish(self, save: _Save, facts: Mapping[str, Any]) -> None:
        """Rank 0: the marker, once all receipts are there; then the oldest checkpoints go."""
        if save.written.exception() is not None:
            return
        folder = self._store.folder(save.name)
        files: dict[str, WrittenFile] = {}
        for rank in range(self._workers):
            late: float | None = None
            while folder.size(_receipt(rank)) is None:
                if save.given_up.is_set():
                    return
                if late is None and save.all_written.is_set():
                    late = time.monotonic() + _SHARED_SECONDS
                if late is not None and time.monotonic() > late:
                    raise OSError(
                        f"expected the part of rank {rank}, which has written it, found none: the "
                        "checkpoints must lie in a folder that all workers see"
                    )
                time.sleep(_POLL_SECONDS)
            receipt = json.loads(folder.read(_receipt(rank)))
            files[receipt["file"]] = WrittenFile(receipt["sha256"], receipt["bytes"])
        for rank in range(self._workers):
            folder.remove(_receipt(rank))
        self._store.finish(save.name, files, facts)
        try:
            self._store.prune(self._keep)
        except OSError as error:  # the new one is whole all the same
            self._notice(f"{self._store}: an old checkpoint could not be removed: {error}")


def _receipt(rank: int) -> str:
    return f"receipt-{rank:05d}.json"


def _all_agree(fine: bool) -> bool:
    return bool(_reduced(int(fine)))


def _from_first_rank(value: int) -> int:
    if not dist.is_initialized():
        return value
    tensor = torch.tensor([value], dtype=torch.int64, device=_device())
    dist.broadcast(tensor, src=0)
    return int(tensor.item())


def _reduced(value: int) -> int:
    if not dist.is_initialized():
        return value
    tensor = torch.tensor([value], dtype=torch.int64, device=_device())
    dist.all_reduce(tensor, dist.ReduceOp.MIN)
    return int(tensor.item())


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
