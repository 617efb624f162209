"""Which groups of ECGs a step trains on: a pure function of seed, epoch and offset.

Every worker makes the same plan and takes its own share of each step, so the steps are the same
for any number of workers, and a resumed run goes on where the checkpoint says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from truelead.errors import DataError

Item = TypeVar("Item")
Content = TypeVar("Content")

_BLOCK = 256
_WINDOW = 16


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A random order of `count` items in which neighbours stay near each other.

    Blocks of 256 items are shuffled, then the items inside each window of 16 blocks: reading
    shards in this order keeps a bounded number of them open. Up to 4,096 items it is a plain
    random permutation.

    Returns:
        int64 (count,), each index once; a pure function of the arguments.
    """
    rng = np.random.default_rng([seed, epoch])
    starts = rng.permutation(np.arange(0, count, _BLOCK))
    blocks = [np.arange(start, min(start + _BLOCK, count)) for start in starts]
    windows = [
        rng.permutation(np.concatenate(blocks[first : first + _WINDOW]))
        for first in range(0, len(blocks), _WINDOW)
    ]
    return np.concatenate(windows) if windows else np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Position:
    """The next item to look at: number `offset` of the order of `epoch`."""

    epoch: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Planned(Generic[Item, Content]):
    """An item and what was drawn for it."""

    item: Item
    content: Content


@dataclass(frozen=True)
class PlannedStep(Generic[Item, Content]):
    """All workers' items of one step, and where the next step begins."""

    items: tuple[Planned[Item, Content], ...]
    after: Position

    def share(self, rank: int, workers: int) -> tuple[Planned[Item, Content], ...]:
        """The items of one worker: every `workers`-th, from `rank` on."""
        return self.items[rank::workers]


class Plan(Generic[Item, Content]):
    """Steps of `size` items; items for which nothing is drawn are passed over and made up for."""

    def __init__(
        self,
        items: Sequence[Item],
        draw: Callable[[Item, int], Content],
        *,
        size: int,
        seed: int,
    ) -> None:
        """Args:
        items: what an epoch goes through, in a fixed order.
        draw: content of an item in an epoch, a pure function; falsy where there is none.
        size: items a step, over all workers.

        Raises:
            DataError: there are no items.
        """
        if not items:
            raise DataError("training: expected at least 1 group of train ECGs, found none")
        self._items = items
        self._draw = draw
        self._size = size
        self._seed = seed

    @property
    def items(self) -> Sequence[Item]:
        """What an epoch goes through, in their fixed order."""
        return self._items

    def steps(self, position: Position = Position()) -> Iterator[PlannedStep[Item, Content]]:
        """Steps without end from `position`; an epoch's rest goes into the next one's first step.

        Raises:
            DataError: a whole epoch drew nothing.
        """
        chosen: list[Planned[Item, Content]] = []
        epoch, offset = position.epoch, position.offset
        while True:
            order = epoch_order(len(self._items), self._seed, epoch)
            drawn = 0
            whole = offset == 0
            for place in range(offset, len(order)):
                item = self._items[int(order[place])]
                content = self._draw(item, epoch)
                if not content:
                    continue
                drawn += 1
                chosen.append(Planned(item, content))
                if len(chosen) == self._size:
                    yield PlannedStep(tuple(chosen), Position(epoch, place + 1))
                    chosen = []
            if whole and drawn == 0:
                raise DataError(f"training: epoch {epoch} drew no question for any train ECG")
            epoch, offset = epoch + 1, 0
