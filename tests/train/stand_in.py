"""A small model and task that stand in for a stage, imported by the tests and by Ray's workers."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from truelead.config import TrainConfig
from truelead.train.engine import Engine
from truelead.train.environment import prepare_worker
from truelead.train.loop import LoopConfig, Trainer
from truelead.train.metrics import MetricsWriter
from truelead.train.optimizer import Optimization
from truelead.train.stage_checkpoints import stage_checkpoints
from truelead.train.step import FeedBatch, LossTerms
from truelead.train.throughput import Ratio
from truelead.train.watchdog import Watchdog

ROWS = 8
"""Rows of a step, over all workers."""


class BreakOff(Exception):
    """The trouble that ends a training early."""


class SmallModel(nn.Module):
    """A frozen part, an "encoder" with its own rate, an embedding and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(6, 6)
        self.frozen.requires_grad_(False)
        self.encoder = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU())
        self.embedding = nn.Embedding(4, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x_BF: Tensor, kind_B: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BH = self.encoder(self.frozen(x_BF)) + self.embedding(kind_B)
        return self.head(hidden_BH), hidden_BH


class SmallTask:
    """Regression on rows that depend on the step alone; workers take every n-th row."""

    def __init__(self, rank: int, workers: int, trouble: dict[str, Any]) -> None:
        self.rank, self.workers, self.trouble = rank, workers, trouble

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        assert step == (position["next"] if position else 0)
        while True:
            if self.rank == self.workers - 1:
                self._meet_trouble(step)
            rng = torch.Generator().manual_seed(step)
            x_BF = torch.randn(ROWS, 6, generator=rng)
            content = {
                "x_BF": x_BF,
                "kind_B": torch.randint(0, 4, (ROWS,), generator=rng),
                "target_BF": x_BF[:, :3].sin(),
                "weight_B": torch.rand(ROWS, generator=rng) + 0.5,
            }
            if step in self.trouble.get("poisoned", ()):
                content["x_BF"][ROWS - 1] = torch.nan
            if step in self.trouble.get("weightless", ()):
                content["weight_B"].zero_()
            mine = {name: value[self.rank :: self.workers] for name, value in content.items()}
            yield self._in_parts(mine, {"next": step + 1})
            step += 1

    def _in_parts(self, mine: dict[str, Tensor], position: dict[str, int]) -> FeedBatch:
        """Each worker has another number of parts where any are asked for."""
        if "rows_a_part" not in self.trouble:
            return FeedBatch(mine, position)
        rows = self.trouble["rows_a_part"] * (self.rank + 1)
        parts = zip(*(value.split(rows) for value in mine.values()), strict=True)
        named = tuple(dict(zip(mine, values, strict=True)) for values in parts)
        filler = {**named[0], "weight_B": torch.zeros_like(named[0]["weight_B"])}
        return FeedBatch(None, position, named, float(mine["weight_B"].sum()), filler)

    def _meet_trouble(self, step: int) -> None:
        if step == self.trouble.get("break_off_at"):
            raise BreakOff
        if step in (self.trouble.get("kill_at"), self.trouble.get("stick_at")):
            marker = Path(self.trouble["marker"])
            if not marker.exists():
                marker.touch()
                if step == self.trouble.get("stick_at"):
                    time.sleep(600)
                os.kill(os.getpid(), signal.SIGKILL)

    def loss(self, engine: Engine, content: dict[str, Tensor]) -> LossTerms:
        weight_B = content["weight_B"]
        output_BF, _ = engine(content["x_BF"].to(engine.dtype), content["kind_B"])
        loss_B = (output_BF.float() - content["target_BF"]).square().sum(1)
        return LossTerms((weight_B * loss_B).sum(), weight_B.sum(), {"questions": len(loss_B)})

    def probe(self, engine: Engine, content: dict[str, Tensor]) -> dict[str, Ratio]:
        return {}


@dataclass(frozen=True)
class LengthReader:
    """Reads for each name its length and its first letter, after a random wait."""

    wait: float = 0.0

    def __call__(self, record_ids: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(random.random() * self.wait)
        return np.array([[len(n), ord(n[0])] for n in record_ids], dtype=np.float32)


def train_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """One worker of Ray Train: trains the stand-in with checkpoints."""
    import ray.train
    import ray.util

    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    if arguments.get("trouble", {}).get("addresses"):
        note = f"address-{workers}-{rank}"
        Path(arguments["folder"], note).write_text(ray.util.get_node_ip_address())
    return train_once(arguments, rank, workers)


def compare_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """One worker of Ray Train: trains the stand-in once for each engine in `arguments`.

    An engine whose name starts with "muon" has that optimizer; one whose name ends with "parts"
    runs its steps in micro-batches, a different number in each worker.
    """
    import ray.train

    context = ray.train.get_context()
    return {
        name: train_once(
            {
                **arguments,
                "train": train,
                "folder": f"{arguments['folder']}/{name}",
                "optimizer": "muon" if name.startswith("muon") else "adamw",
                "trouble": {"rows_a_part": 1} if name.endswith("parts") else {},
            },
            context.get_world_rank(),
            context.get_world_size(),
            checkpoints=False,
        )
        for name, train in arguments["engines"].items()
    }


def train_once(
    arguments: dict[str, Any],
    rank: int = 0,
    workers: int = 1,
    *,
    checkpoints: bool = True,
) -> dict[str, Any]:
    """Train the stand-in in this process; the process group must exist."""
    train: TrainConfig = arguments["train"]
    prepare_worker(1)
    torch.manual_seed(0)
    folder = Path(arguments["folder"])
    optimization = Optimization(
        learning_rate=1e-2,
        encoder_learning_rate=1e-3,
        weight_decay=0.1,
        warmup_steps=2,
        steps=arguments["steps"],
        optimizer=arguments.get("optimizer", "adamw"),
    )
    engine = Engine(SmallModel(), train, optimization)
    task = SmallTask(rank, workers, arguments.get("trouble", {}))
    key = arguments.get("key", "key")
    trainer = Trainer(
        engine,
        task,
        LoopConfig(arguments["steps"], train.checkpoint_every, log_every=1, seed=0),
        checkpoints=stage_checkpoints(folder, key, train) if checkpoints else None,
        writer_for=(lambda first: MetricsWriter(folder, first)) if rank == 0 else None,
        watchdog=Watchdog(train.step_timeout_seconds, rank=rank, folder=folder),
    )
    first = trainer.step
    trainer.fit()
    state = engine.full_state()
    return {
        "first": first,
        "squares": sum(float(v.double().square().sum()) for v in state.values()),
        "names": sorted(state),
        "digest": state_digest(state),
    }


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of all values, bit for bit."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
