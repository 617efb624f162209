"""A small training through the real loop, engine, plan and checkpoints, for the fault benchmarks.

Its processes are forked from one that has imported everything, so that a run takes a second and
many can be killed. The loop, the checkpoints and their threads are those of every stage; only the
model, a few layers on generated rows, and the reading of the data are not.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from truelead.config import TrainConfig
from truelead.train.engine import Engine
from truelead.train.environment import prepare_worker
from truelead.train.loop import FeedBatch, LoopConfig, LossTerms, Trainer
from truelead.train.metrics import MetricsWriter, read_metrics
from truelead.train.optimizer import Optimization
from truelead.train.plan import Plan, Position
from truelead.train.stage_checkpoints import stage_checkpoints

KEY = "bench"
ROWS = 60
"""Rows of an epoch."""

ROWS_A_STEP = 8
_FORKS = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        folder: of the run, as a stage's.
        steps: its whole length; breaks off after `until` of them, where given.
        report: folder of what the benchmark reads (rows, result, error); None: the run's.
    """

    folder: Path
    steps: int
    zero_stage: int = 0
    dtype: str = "float32"
    optimizer: str = "adamw"
    workers: int = 1
    checkpoint_every: int = 3
    keep: int = 2
    max_failed_saves: int = 3
    url: str | None = None
    until: int | None = None
    report: Path | None = None

    @property
    def notes(self) -> Path:
        """The folder of what the benchmark reads."""
        return self.report or self.folder

    @property
    def train(self) -> TrainConfig:
        """The run's configuration."""
        return TrainConfig(
            workers=self.workers,
            zero_stage=self.zero_stage,  # type: ignore[arg-type]
            dtype=self.dtype,  # type: ignore[arg-type]
            checkpoint_every=self.checkpoint_every,
            keep_checkpoints=self.keep,
            max_failed_saves=self.max_failed_saves,
            checkpoints_url=self.url,
        )


class _Model(nn.Module):
    """A frozen layer, hidden ones (of which Muon updates two), an embedding, a head, a buffer."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(8, 8)
        self.frozen.requires_grad_(False)
        self.encoder = nn.Linear(8, 24)
        self.embedding = nn.Embedding(4, 24)
        self.hidden = nn.Linear(24, 24)
        self.norm = nn.LayerNorm(24)
        self.register_buffer("seen", torch.zeros(1))
        self.head = nn.Linear(24, 3)

    def forward(self, x_BF: Tensor, kind_B: Tensor) -> Tensor:
        self.seen += 1
        hidden_BH = self.encoder(self.frozen(x_BF)).relu() + self.embedding(kind_B)
        output_BF: Tensor = self.head(self.norm(self.hidden(hidden_BH)).relu())
        return output_BF


class _Task:
    """Rows of a plan; which ones a worker took is written down step by step."""

    def __init__(self, run: Run, rank: int, workers: int) -> None:
        self._run, self._rank, self._workers = run, rank, workers
        self._plan: Plan[int, bool] = Plan(
            range(ROWS), lambda row, epoch: True, size=ROWS_A_STEP, seed=0
        )

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        place = Position(**position) if position else Position()
        for planned in self._plan.steps(place):
            if step == self._run.until:
                raise KeyboardInterrupt
            rows = [one.item for one in planned.share(self._rank, self._workers)]
            taken = {"step": step, "rows": rows, "rank": self._rank, "workers": self._workers}
            with (self._run.notes / f"rows-{self._rank}.jsonl").open("a") as file:
                file.write(json.dumps(taken) + "\n")
            rng = torch.Generator().manual_seed(0)
            x_BF = torch.randn(ROWS, 8, generator=rng)[rows]
            content = {"x_BF": x_BF, "kind_B": torch.tensor(rows) % 4}
            yield FeedBatch(content, asdict(planned.after))
            step += 1

    def loss(self, engine: Engine, content: dict[str, Tensor]) -> LossTerms:
        output_BF = engine(content["x_BF"].to(engine.dtype), content["kind_B"]).float()
        loss_B = (output_BF - content["x_BF"][:, :3].sin()).square().sum(1)
        return LossTerms(loss_B.sum(), torch.tensor(float(len(loss_B))), {"rows": len(loss_B)})


def preload() -> None:
    """Import what every worker needs, before any is forked."""
    prepare_worker(1)
    import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401


def build(run: Run, rank: int = 0, workers: int = 1) -> Trainer:
    """The trainer of one worker, its newest checkpoint loaded; the process group must exist."""
    torch.manual_seed(0)
    engine = Engine(
        _Model(),
        run.train,
        Optimization(
            learning_rate=1e-2,
            encoder_learning_rate=1e-3,
            weight_decay=0.1,
            warmup_steps=2,
            steps=run.steps,
            optimizer=run.optimizer,  # type: ignore[arg-type]
        ),
    )
    return Trainer(
        engine,
        _Task(run, rank, workers),  # type: ignore[arg-type]
        LoopConfig(run.steps, run.checkpoint_every, log_every=1, seed=0),
        checkpoints=stage_checkpoints(run.folder, KEY, run.train),
        writer_for=(lambda first: MetricsWriter(run.folder, first)) if rank == 0 else None,
    )


def enter(run: Run, rank: int = 0, workers: int = 1, number: int = 0) -> None:
    """Make this process a worker of a group."""
    warnings.filterwarnings("ignore")
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers}
    os.environ.update({name: str(value) for name, value in place.items()})
    prepare_worker(1)
    store: Any = dist.HashStore()
    if workers > 1:
        store = dist.FileStore(str(run.notes / f"group-{number}"), workers)
    dist.init_process_group("gloo", rank=rank, world_size=workers, store=store)


def _work(run: Run, rank: int, number: int, trouble: Callable[[int], None] | None) -> None:
    enter(run, rank, run.workers, number)
    if trouble is not None:
        trouble(rank)
    try:
        trainer = build(run, rank, run.workers)
        trainer.fit()
        state = trainer.engine.full_state()
    except KeyboardInterrupt:
        os._exit(0)
    except Exception as error:  # noqa: BLE001  # the parent looks at it
        (run.notes / "error.txt").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)
    if rank == 0:
        found = {"digest": digest(state), "loss": _losses(run.folder)}
        (run.notes / "result.json").write_text(json.dumps(found))
    os._exit(0)


def start(run: Run, *, trouble: Callable[[int], None] | None = None) -> list[BaseProcess]:
    """Begin to train in processes of its own; `trouble(rank)` is called in each at its start."""
    preload()
    for folder in (run.folder, run.notes):
        folder.mkdir(parents=True, exist_ok=True)
    (run.notes / "result.json").unlink(missing_ok=True)
    number = len(list(run.notes.glob("group-*")))
    workers = [
        _FORKS.Process(target=_work, args=(run, rank, number, trouble))
        for rank in range(run.workers)
    ]
    for worker in workers:
        worker.start()
    return workers


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns, a JSON value, in a forked process.

    It may make process groups and threads, which the process that forks must not have.

    Raises:
        RuntimeError: it did not return.
    """
    preload()
    receiver, sender = _FORKS.Pipe(duplex=False)

    def work() -> None:
        sender.send_bytes(json.dumps(function(*arguments)).encode())

    process = _FORKS.Process(target=work)
    process.start()
    sender.close()
    try:
        return json.loads(receiver.recv_bytes())
    except EOFError:
        raise RuntimeError(f"{function.__name__} failed in its process") from None
    finally:
        process.join()


def finish(workers: list[BaseProcess], seconds: float = 300.0) -> list[int]:
    """Wait for the end; when one dies the others are killed, as Ray Train does it.

    Returns:
        the exit status of each, -9 for a killed one.
    """
    for _ in range(int(seconds / 0.01)):
        if all(worker.exitcode is not None for worker in workers):
            break
        if any(worker.exitcode for worker in workers):
            for worker in workers:
                worker.kill()
        workers[0].join(0.01)
    else:
        for worker in workers:
            worker.kill()
        raise RuntimeError(f"a training did not end within {seconds:g} s")
    return [int(worker.exitcode or 0) for worker in workers]


def result(run: Run) -> dict[str, Any]:
    """What a finished run left: `digest` of its weights and the `loss` of every step.

    Raises:
        RuntimeError: it is not finished; the message says what it ended with.
    """
    path = run.notes / "result.json"
    if not path.is_file():
        error = run.notes / "error.txt"
        text = error.read_text() if error.is_file() else "no error"
        raise RuntimeError(f"the training did not finish: {text}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of all values, bit for bit."""
    found = hashlib.sha256()
    for name, value in sorted(state.items()):
        found.update(
            name.encode() + value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return found.hexdigest()


def _losses(folder: Path) -> list[float]:
    # On a full disk lines are missing, and the last one may be half there.
    return [row.get("loss", math.nan) for row in read_metrics(folder)]
