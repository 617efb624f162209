"""An epoch's feed, stored ECGs and questions to packed tensors, beside four other libraries.

The records are PTB-XL's at 100 Hz (TRUELEAD_DATA), the train ECGs among 2,000 of them, with 25
questions drawn for each; the draw itself, the same for all, is not in the time. Two readers each:
Ray Data's tasks here, workers of a DataLoader there. The machine is shared, so CPU time is
measured: of this process and all that it started, Ray's daemons too. All are warm: an epoch went
before.

Needs `pip install '.[bench]'`. LitData brings torchvision along, which must be built for the
installed torch (PyTorch's CPU wheels: from the same index) or be uninstalled again: a mismatched
one keeps transformers from being imported.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.processes import cpu_seconds
from bench.reported import row
from truelead.config import Recipe, parse_recipe
from truelead.data.ray_session import ensure_ray
from truelead.data.store import ShardStore
from truelead.debias.adjustment import build_adjustment
from truelead.debias.setup import build_setup
from truelead.errors import ConfigError
from truelead.model.batch import Batch
from truelead.model.build import build_model
from truelead.train.packing import Packer
from truelead.train.plan import Plan
from truelead.train.question_task import QuestionTask
from truelead.train.readers import SignalReader

COMMAND = "make soak SECTION=data"
RECORDS, QUESTIONS, ECGS_A_STEP, BOUND = 2000, 25, 16, 1024
ROUNDS = 7
GOAL = 3.0
READERS = 2


@dataclass(frozen=True)
class Feed:
    """TrueLead's own feed of the epoch, over Ray Data."""

    store: ShardStore
    processor: Any
    questions: dict[str, Any]
    steps: int

    def plan(self) -> Plan[Any, Any]:
        """The plan with the draws looked up."""
        groups = [(name,) for name in self.questions]
        return Plan(groups, lambda g, _: self.questions[g[0]], size=ECGS_A_STEP, seed=0)

    def batches(self) -> Iterator[Batch]:
        """The steps of one epoch."""
        reader = SignalReader(self.store.folder, self.store.digest, 100.0, 10.0)
        task = QuestionTask(
            self.plan(),
            reader,
            self.processor,
            steps=self.steps,
            rank=0,
            workers=1,
            packer=Packer(always=True, tokens_per_sequence=BOUND),
        )
        return (batch.content for batch in task.batches(0, None))


def rows() -> list[dict[str, Any]]:
    """Ratios of the best peer's time to ours, median over the rounds with their range.

    Raises:
        ConfigError: a peer or the records are not installed.
    """
    for module in ("webdataset", "litdata", "datasets"):
        if find_spec(module) is None:
            raise ConfigError(f"bench: expected the package {module}: pip install '.[bench]'")
    torch.set_num_threads(1)
    ensure_ray(cpus=READERS)
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        return _rows(Path(folder))


def _rows(folder: Path) -> list[dict[str, Any]]:
    from bench.feed_peers import Epoch, build_peers

    recipe = _recipe(folder)
    feed, draw_seconds, paths = _feed(recipe)
    order = [
        planned.item[0]
        for step in islice(feed.plan().steps(), feed.steps)
        for planned in step.items
    ]
    epoch = Epoch(
        order,
        paths,
        {name: tuple(d.question for d in drawn) for name, drawn in feed.questions.items()},
        ECGS_A_STEP,
        BOUND,
    )
    peers = dict(build_peers(epoch, feed.store.signals(order), feed.processor, folder))
    ways: dict[str, Callable[[], Any]] = {"TrueLead": feed.batches}
    ways |= {name: loader.__iter__ for name, loader in peers.items()}
    expected = {name: batch for batch in feed.batches() for name in [batch.uid_B[0]]}
    for make in ways.values():
        _check_same(make(), expected)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, make in ways.items():
            seconds[name].append(_measured(make))
    return [
        *_compared(seconds, len(order), "", own_processor=False),
        *_compared(seconds, len(order), ", which use TrueLead's processor", own_processor=True),
        row(
            f"draw {QUESTIONS} questions for each of {len(feed.questions)} ECGs (in no feed above)",
            draw_seconds,
            "CPU s",
            COMMAND,
        ),
    ]


def _compared(
    seconds: dict[str, list[tuple[float, float]]], ecgs: int, which: str, *, own_processor: bool
) -> list[dict[str, Any]]:
    found = []
    names = [
        name for name in seconds if name != "TrueLead" and ("processor" in name) == own_processor
    ]
    for at, kind in enumerate(("CPU", "wall")):
        best = min(names, key=lambda name: float(np.median([s[at] for s in seconds[name]])))
        ratios = np.array([s[at] for s in seconds[best]]) / [s[at] for s in seconds["TrueLead"]]
        others = "; ".join(
            f"{name.removesuffix(', TrueLead' + chr(39) + 's processor')} "
            f"{np.median([s[at] for s in seconds[name]]):.2f} s"
            for name in ("TrueLead", *names)
        )
        has_goal = kind == "CPU" and not own_processor
        value = float(np.median(ratios))
        found.append(
            row(
                f"epoch of {ecgs} real ECGs to packed tensors, {kind} time: "
                f"speed beside the best peer{which}",
                value,
                "times",
                COMMAND,
                goal=GOAL if has_goal else None,
                holds=value >= GOAL if has_goal else None,
                peer=f"best: {best}; {others}",
                interval=[float(ratios.min()), float(ratios.max())],
            )
        )
    return found


def _measured(make: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds of one epoch."""
    cpu, wall = cpu_seconds(), time.monotonic()
    count = sum(1 for _ in make())
    assert count
    return cpu_seconds() - cpu, time.monotonic() - wall


def _check_same(batches: Any, expected: dict[str, Batch]) -> None:
    """Every batch is one of TrueLead's, tensor by tensor; workers may change their order."""
    seen = set()
    for batch in batches:
        ours = expected[batch.uid_B[0]]
        assert batch.uid_B == ours.uid_B
        torch.testing.assert_close(batch.ecg_NLT, ours.ecg_NLT, rtol=1e-4, atol=1e-4)
        for of_batch, of_ours in ((batch, ours), (batch.layout, ours.layout)):
            for name, tensor in vars(of_ours).items():
                if isinstance(tensor, torch.Tensor) and name != "ecg_NLT":
                    assert torch.equal(getattr(of_batch, name), tensor), name
        seen.add(batch.uid_B[0])
    assert len(seen) == len(expected), "a feed lost batches"


def _recipe(folder: Path) -> Recipe:
    root = Path(os.environ.get("TRUELEAD_DATA", "data"))
    if not (root / "ptbxl" / "ptbxl_database.csv").is_file():
        raise ConfigError(f"TRUELEAD_DATA: expected PTB-XL in {root / 'ptbxl'}, found none")
    return parse_recipe(
        {
            "name": "feed",
            "output": str(folder / "run"),
            "data": {"root": str(root / "ptbxl"), "limit": RECORDS, "development_fraction": 0.0},
            "pretrain": {"questions_per_ecg": QUESTIONS},
        }
    )


def _feed(recipe: Recipe) -> tuple[Feed, float, dict[str, Path]]:
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES

    root, shards = recipe.data.root, recipe.output / "shards"
    assert root is not None
    records = SOURCES["ptbxl"].load_records(root, recipe.data)
    ingest(records, root, shards, recipe.data, progress=False)
    store = ShardStore(shards)
    setup = build_setup(recipe, store.records)
    adjustment = build_adjustment(recipe.pretrain, setup, recipe.seed)
    _, processor = build_model(recipe, None, setup.corpus())
    begun = time.process_time()
    drawn = {group[0]: adjustment.draw(group, 0) for group in setup.groups("train")}
    seconds = time.process_time() - begun
    questions = {name: content for name, content in drawn.items() if content}
    paths = {record.record_id: root / record.path for record in store.records}
    return Feed(store, processor, questions, len(questions) // ECGS_A_STEP), seconds, paths
