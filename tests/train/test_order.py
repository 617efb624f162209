"""The order of training over the real feed: repeated bit for bit, and complete for any number.

Three epochs of a small stored set go through Plan, Ray Data's feed, the processor and the packer.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from truelead.config import Recipe, TrainConfig, parse_recipe
from truelead.data.store import ShardStore
from truelead.debias.adjustment import build_adjustment
from truelead.debias.setup import build_setup
from truelead.model.batch import Batch
from truelead.model.build import build_model
from truelead.train.loop import FeedBatch
from truelead.train.packing import make_packer
from truelead.train.plan import Plan
from truelead.train.question_task import QuestionTask
from truelead.train.readers import SignalReader

pytestmark = pytest.mark.ray

EPOCHS = 3
SIZE = 5


@dataclass(frozen=True)
class Feed:
    """Everything a worker's feed is made of."""

    recipe: Recipe
    store: ShardStore
    adjustment: Any
    processor: Any
    packer: Any

    @property
    def groups(self) -> list[tuple[str, ...]]:
        groups: list[tuple[str, ...]] = self.adjustment.setup.groups("train")
        return groups

    @property
    def steps(self) -> int:
        """Steps that reach past the last of the epochs."""
        return EPOCHS * len(self.groups) // SIZE + 1

    def batches(
        self, rank: int = 0, workers: int = 1, step: int = 0, position: Any = None
    ) -> Iterator[FeedBatch]:
        """A worker's batches, from a fresh plan, reader and task as after a restart."""
        reader = SignalReader(self.store.folder, self.store.digest, 100.0, 10.0)
        task = QuestionTask(
            Plan(self.groups, self.adjustment.draw, size=SIZE, seed=11),
            reader,
            self.processor,
            steps=self.steps,
            rank=rank,
            workers=workers,
            packer=self.packer,
        )
        return task.batches(step, position)


@pytest.fixture(scope="module")
def feed(generated_set: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Feed:
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES

    recipe = parse_recipe(
        {
            "name": "order",
            "output": str(tmp_path_factory.mktemp("order")),
            "data": {
                "root": str(generated_set),
                "development_fraction": 0.0,
                "records_per_shard": 16,
                "limit": 40,
            },
            "encoder": {"options": {"width": 16}},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2},
            "questions": {"minimum_positives": 2},
            "pretrain": {"strategy": "do-question", "questions_per_ecg": 5},
        }
    )
    records = SOURCES["ptbxl"].load_records(generated_set, recipe.data)
    ingest(records, generated_set, recipe.output / "shards", recipe.data)
    store = ShardStore(recipe.output / "shards")
    setup = build_setup(recipe, store.records)
    adjustment = build_adjustment(recipe.pretrain, setup, recipe.seed)
    model, processor = build_model(recipe, None, setup.corpus())
    packer = make_packer(TrainConfig(packing="packed"), model, reads_options=False)
    return Feed(recipe, store, adjustment, processor, packer)


def fingerprint(batch: FeedBatch) -> str:
    """SHA-256 over all that a step trains on: every tensor, bit for bit, its layout, its names."""
    content = batch.content
    assert isinstance(content, Batch)
    assert content.layout is not None
    digest = hashlib.sha256(repr((content.uid_B, batch.position)).encode())
    for part in (content, content.layout):
        for name, value in sorted(vars(part).items()):
            if isinstance(value, torch.Tensor):
                digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
                digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def groups_of(batch: FeedBatch) -> list[str]:
    """The ECGs of each group of a batch, as the names of its rows tell them."""
    rows = [name.rsplit("|", 1)[1] for name in batch.content.uid_B]
    groups = batch.content.group_B.tolist()
    return list(dict(zip(groups, rows, strict=True)).values())


@pytest.fixture(scope="module")
def uninterrupted(feed: Feed) -> list[FeedBatch]:
    return list(feed.batches())


def test_a_restart_repeats_the_batches_bit_for_bit(
    feed: Feed, uninterrupted: list[FeedBatch]
) -> None:
    expected = [fingerprint(batch) for batch in uninterrupted]
    assert len(expected) == feed.steps
    assert len(set(expected)) == feed.steps
    starts = random.Random(2).sample(range(1, feed.steps), 3)
    found: list[str] = []
    for start, end in zip([0, *sorted(starts)], [*sorted(starts), feed.steps], strict=True):
        # As the loop does: the position of the last step done, read back from a checkpoint.
        position = uninterrupted[start - 1].position if start else None
        found += [fingerprint(b) for b in islice(feed.batches(0, 1, start, position), end - start)]
    assert found == expected


def test_an_epoch_holds_every_group_once(feed: Feed, uninterrupted: list[FeedBatch]) -> None:
    seen = [name for batch in uninterrupted for name in groups_of(batch)]
    everyone = sorted("+".join(group) for group in feed.groups)
    for epoch in range(EPOCHS):
        part = seen[epoch * len(everyone) : (epoch + 1) * len(everyone)]
        assert sorted(part) == everyone, epoch
    orders = {tuple(seen[e * len(everyone) : (e + 1) * len(everyone)]) for e in range(EPOCHS)}
    assert len(orders) == EPOCHS


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_each_step_and_nothing_twice(
    feed: Feed, uninterrupted: list[FeedBatch], workers: int
) -> None:
    ranks = [list(feed.batches(rank, workers)) for rank in range(workers)]
    for one, parts in zip(uninterrupted, zip(*ranks, strict=True), strict=True):
        assert {str(part.position) for part in parts} == {str(one.position)}
        shared = [name for part in parts for name in groups_of(part)]
        assert sorted(shared) == sorted(groups_of(one))
        rows = Counter(name for part in parts for name in part.content.uid_B)
        assert rows == Counter(one.content.uid_B)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3)])
def test_another_number_of_workers_goes_on_in_mid_epoch(
    feed: Feed, uninterrupted: list[FeedBatch], before: int, after: int
) -> None:
    """Rows seen once an epoch, whoever sees them: the first workers stop, others go on."""
    stop = len(feed.groups) // SIZE // 2
    position = None
    seen: list[str] = []
    for rank in range(before):
        for batch in islice(feed.batches(rank, before), stop):
            seen += groups_of(batch)
            position = batch.position
    assert position == uninterrupted[stop - 1].position
    for rank in range(after):
        for batch in feed.batches(rank, after, stop, position):
            seen += groups_of(batch)
    expected = [name for batch in uninterrupted for name in groups_of(batch)]
    assert Counter(seen) == Counter(expected)
    assert set(Counter(expected[: EPOCHS * len(feed.groups)]).values()) == {EPOCHS}
