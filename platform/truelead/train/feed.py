"""The Ray Data feed: the ECGs of the coming steps, read ahead by the cluster, in planned order.

A worker knows which ECGs its next steps need (`plan`). It hands a window of those steps to Ray
Data, whose tasks read the shards or the feature cache and stream the arrays back in order. The
window after is read in a thread of its own while the worker computes, and read to its end: an
execution that waits for its consumer goes on polling, which took a third of a core from training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from truelead.train.readers import Reader

WINDOW_STEPS = 64
"""Steps handed to Ray Data at once; two windows are in memory."""

_STEPS_A_BLOCK = 8

Step = TypeVar("Step")


class _ReadBlock:
    """Ray Data's task: the rows of some steps, with their ECGs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __call__(self, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"step": rows["step"], "values": self._reader(rows["record_id"].tolist())}


def stream(
    steps: Iterator[Step],
    record_ids: Callable[[Step], Sequence[str]],
    reader: Reader,
    *,
    limit: int,
    window: int = WINDOW_STEPS,
) -> Iterator[tuple[Step, NDArray[Any]]]:
    """Each step with its ECGs' array, in order, for `limit` steps.

    Args:
        record_ids: the ECGs a step needs, at least one, each once.
        reader: sent to Ray Data's tasks.
    """
    with ThreadPoolExecutor(1, "feed") as reading:

        def begin() -> tuple[list[Step], Future[list[NDArray[Any]]]]:
            nonlocal limit
            ahead = list(islice(steps, min(window, limit)))
            limit -= len(ahead)
            wanted = [record_ids(step) for step in ahead]
            return ahead, reading.submit(lambda: list(_read_window(wanted, reader)))

        ahead, arrays = begin()
        while ahead:
            now = zip(ahead, arrays.result(), strict=True)
            ahead, arrays = begin()
            yield from now


def _read_window(requests: Sequence[Sequence[str]], reader: Reader) -> Iterator[NDArray[Any]]:
    if not requests:
        return
    import pyarrow as pa
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Without it blocks arrive in the order in which they happen to be ready.
    context.execution_options.preserve_order = True
    tables = []
    for first in range(0, len(requests), _STEPS_A_BLOCK):
        part = requests[first : first + _STEPS_A_BLOCK]
        numbers = np.repeat(np.arange(first, first + len(part)), [len(ids) for ids in part])
        names = [name for ids in part for name in ids]
        tables.append(pa.table({"step": numbers, "record_id": names}))
    # `from_arrow` would run a task for each table only to count its rows.
    dataset = ray.data.from_blocks(tables).map_batches(
        _ReadBlock(reader).__call__, batch_size=None, batch_format="numpy"
    )
    expected = 0
    for block in dataset.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=2):
        numbers = block["step"]
        for number in range(int(numbers[0]), int(numbers[-1]) + 1):
            assert number == expected, "Ray Data gave the steps in another order"
            expected += 1
            yield block["values"][numbers == number]
    assert expected == len(requests), "Ray Data lost steps"
