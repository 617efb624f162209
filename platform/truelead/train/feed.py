"""The Ray Data feed: the ECGs of the coming steps, read ahead by the cluster, in planned order.

A worker knows which ECGs its next steps need (`plan`). It hands a window of those steps to Ray
Data, whose tasks read the shards or the feature cache; the arrays are then put together step by
step. Tasks read neighbours in storage, each ECG of a window once: rows of one step lie far apart,
and a row group that each step's task had to read again was decoded up to 32 times. The window
after is read in a thread of its own while the worker computes, and read to its end: an execution
that waits for its consumer goes on polling, which took a third of a core from training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from truelead.train.readers import Reader

WINDOW_STEPS = 64
"""Steps handed to Ray Data at once; two windows are in memory."""

_ECGS_A_TASK = 256

Step = TypeVar("Step")


class _Window(NamedTuple):
    """The ECGs of a window: arrays as the tasks gave them, and where in them each ECG is."""

    arrays: list[NDArray[Any]]
    place: dict[str, tuple[int, int]]

    def take(self, names: Sequence[str]) -> NDArray[Any]:
        """A new array of the named ECGs, in that order."""
        first = self.arrays[0]
        values = np.empty((len(names), *first.shape[1:]), dtype=first.dtype)
        for row, name in enumerate(names):
            array, at = self.place[name]
            values[row] = self.arrays[array][at]
        return values


class _ReadBlock:
    """Ray Data's task: names of ECGs in, their arrays out."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __call__(self, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"values": self._reader(rows["record_id"].tolist())}


def stream(
    steps: Iterator[Step],
    record_ids: Callable[[Step], Sequence[str]],
    reader: Reader,
    *,
    limit: int,
    window: int = WINDOW_STEPS,
    storage_order: Mapping[str, int] | None = None,
    in_process: bool = False,
) -> Iterator[tuple[Step, NDArray[Any]]]:
    """Each step with its ECGs' array, in order, for `limit` steps.

    Args:
        record_ids: the ECGs a step needs, at least one, each once.
        reader: sent to Ray Data's tasks.
        storage_order: number of every ECG by which neighbours in storage are neighbours; it
            changes how fast the ECGs are read, and nothing else. None: as they are asked for.
        in_process: read in the thread itself, without Ray Data.
    """
    read_window = _read_here if in_process else _read_window
    with ThreadPoolExecutor(1, "feed") as reading:

        def begin() -> tuple[list[Step], Future[_Window]]:
            nonlocal limit
            ahead = list(islice(steps, min(window, limit)))
            limit -= len(ahead)
            names = list(dict.fromkeys(name for step in ahead for name in record_ids(step)))
            if storage_order is not None:
                names.sort(key=storage_order.__getitem__)
            return ahead, reading.submit(read_window, names, reader)

        ahead, future = begin()
        while ahead:
            now, read = ahead, future.result()
            ahead, future = begin()
            for step in now:
                yield step, read.take(record_ids(step))


def _read_window(names: Sequence[str], reader: Reader) -> _Window:
    if not names:
        return _Window([], {})
    import pyarrow as pa
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Without it blocks arrive in the order in which they happen to be ready.
    context.execution_options.preserve_order = True
    tables = [
        pa.table({"record_id": names[first : first + _ECGS_A_TASK]})
        for first in range(0, len(names), _ECGS_A_TASK)
    ]
    # `from_arrow` would run a task for each table only to count its rows.
    dataset = ray.data.from_blocks(tables).map_batches(
        _ReadBlock(reader).__call__, batch_size=None, batch_format="numpy"
    )
    arrays = [
        block["values"]
        for block in dataset.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=2)
    ]
    return _window(names, arrays)


def _read_here(names: Sequence[str], reader: Reader) -> _Window:
    return _window(names, [reader(names)] if names else [])


def _window(names: Sequence[str], arrays: list[NDArray[Any]]) -> _Window:
    counts = [len(array) for array in arrays]
    assert sum(counts) == len(names), "the reader lost ECGs"
    rows = ((array, at) for array, count in enumerate(counts) for at in range(count))
    return _Window(arrays, dict(zip(names, rows, strict=True)))
