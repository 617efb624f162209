"""The stored ECGs as a Ray Data stream, in an order that every run repeats.

Shape suffixes: N ECGs, L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from truelead.data.manifest import read_manifest
from truelead.data.ray_session import ensure_ray
from truelead.data.schema import shard_schema
from truelead.data.storage import local_path
from truelead.errors import DataError

if TYPE_CHECKING:
    import ray.data

DEFAULT_COLUMNS = ("record_id", "signal")


def dataset(
    folder: str | Path,
    split: str,
    *,
    columns: Sequence[str] = DEFAULT_COLUMNS,
    shuffle_seed: int | None = None,
) -> ray.data.Dataset:
    """Rows of a split, streamed with bounded memory; only the named columns are read.

    `signal` stays as stored: pass the column of a batch to `truelead.data.schema.stored_signals`
    and the result to `decode_signals` for float32 (N, 12, T) in mV.

    Args:
        folder: written by `truelead.data.ingest.ingest`, visible from every node.
        split: train, development, valid or test; a shard never holds two.
        columns: of `truelead.data.schema.shard_schema`.
        shuffle_seed: read the shards in an order drawn from this seed, another one each epoch;
            None keeps the listed order. Rows inside a shard stay in order: shuffle them in the
            iterator (`local_shuffle_buffer_size`).

    Raises:
        DataError: see `read_manifest`; the split holds no records; a column is unknown.
    """
    folder = local_path(folder).absolute()
    manifest = read_manifest(folder)
    names = shard_schema(manifest.samples).names
    for column in columns:
        if column not in names:
            raise DataError(f"columns: expected some of {', '.join(names)}, found {column!r}")
    paths = [
        str(folder / entry.name) for entry in manifest.shards if entry.split == split and entry.rows
    ]
    if not paths:
        known = ", ".join(f"{name} ({count.records})" for name, count in manifest.splits.items())
        raise DataError(f"{folder}: split: expected one of {known}, found {split!r}")
    for path in paths:
        if not Path(path).is_file():
            raise DataError(f"{path}: expected this shard, found none: resume the ingest")
    ensure_ray()
    from ray.data import DataContext, FileShuffleConfig, read_parquet

    context = DataContext.get_current()
    # Without it blocks come in the order in which tasks end. Ray copies the context of this
    # process into the dataset, where `streaming_split` and the trainers find it.
    context.execution_options.preserve_order = True
    # Ray 2.60's newer Parquet reader starts a pool of footer-reading actors for each epoch: 31 to
    # 85 s on two busy cores, where the older reader took 0.3 to 2 s after its first 8 s.
    newer_reader = getattr(context, "use_datasource_v2", None)
    if newer_reader is not None:
        context.use_datasource_v2 = False
    try:
        rows = read_parquet(
            paths,
            shuffle=None if shuffle_seed is None else FileShuffleConfig(seed=shuffle_seed),
            override_num_blocks=len(paths),
        )
    finally:
        if newer_reader is not None:
            context.use_datasource_v2 = newer_reader
    return rows.select_columns(list(columns))
