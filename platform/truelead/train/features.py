"""Features of the frozen encoder, computed once for every stored ECG and memory-mapped after.

`features/` holds features.npy (float16 [N, P, D]), ids.json (record_id of each row) and
manifest.json, which is written last, names the encoder's weights and the shards it belongs to, and
holds the SHA-256 of the two files. A build that was killed leaves no manifest, so the next one
starts anew; files that no longer match theirs are found before a stage starts, and made anew.

Shape suffixes: N ECGs, L leads (12), T samples, P patches, D encoder width.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truelead.config import DataConfig
from truelead.data.durable import durable_file, file_sha256, write_durable_text
from truelead.errors import DataError
from truelead.train.progress import say
from truelead.train.stage import digest_of

MANIFEST = "manifest.json"
FEATURES = "features.npy"
IDS = "ids.json"
_BATCH = 64


class FeatureCache:
    """Read access to a finished cache; nothing is loaded until it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Raises:
        DataError: the cache is missing, unfinished or does not agree with itself.
        """
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            ids = json.loads((folder / IDS).read_text(encoding="utf-8"))
            values = np.load(folder / FEATURES, mmap_mode="r", allow_pickle=False)
            digest = str(manifest["digest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder}: expected a finished feature cache") from error
        if values.dtype != np.float16 or values.ndim != 3 or len(ids) != len(values):
            raise DataError(
                f"{folder}: {FEATURES}: expected float16 [{len(ids)}, P, D], "
                f"found {values.dtype} {list(values.shape)}"
            )
        self.digest = digest
        self.folder = folder
        self.features_NPD: NDArray[np.float16] = values
        self._row = {str(name): row for row, name in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._row

    def __getitem__(self, record_ids: Sequence[str]) -> NDArray[np.float16]:
        """features_NPD of the named ECGs, in that order.

        Raises:
            DataError: an ECG is not in the cache.
        """
        try:
            rows = [self._row[name] for name in record_ids]
        except KeyError as error:
            raise DataError(f"{self.folder}: no features of ECG {error.args[0]!r}") from None
        chosen: NDArray[np.float16] = self.features_NPD[rows]
        return chosen


@dataclass(frozen=True)
class EncodeSignals:
    """Ray Data's task: names of ECGs in, features out; a process loads the encoder once.

    Attributes:
        encoder_folder: written by `truelead.model.encoder.Encoder.save`.
        digest: of the cache, so that a process never takes an earlier encoder of that folder.
        reader: gives standardised signals.
    """

    encoder_folder: Path
    digest: str
    reader: Callable[[Sequence[str]], Any]

    def __call__(self, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Features of the rows' ECGs.

        Raises:
            DataError: a feature is not finite in float16.
        """
        import torch

        encoder = _load_encoder(self.encoder_folder, self.digest)
        with torch.inference_mode():
            ecg_NLT = torch.from_numpy(self.reader(rows["record_id"].tolist()))
            features_NPD = encoder(ecg_NLT).numpy().astype(np.float16)
        if not np.isfinite(features_NPD).all():
            raise DataError("encoder features: expected values that float16 can hold")
        return {"record_id": rows["record_id"], "features": features_NPD}


@functools.lru_cache(maxsize=1)
def _load_encoder(folder: Path, digest: str) -> Any:
    import torch

    from truelead.model.encoder import load_encoder

    # Ray Data runs as many tasks as there are CPUs.
    torch.set_num_threads(1)
    return load_encoder(folder)


def ensure_features(
    encoder_folder: Path, shards: Path, folder: Path, data: DataConfig
) -> FeatureCache:
    """The cache in `folder`, computed now unless it belongs to this encoder and these shards.

    Args:
        encoder_folder: written by `truelead.model.encoder.Encoder.save`.
        shards: folder of the Parquet shards.
        data: rate and length that the encoder was trained at.
    """
    from truelead.data.store import ShardStore
    from truelead.train.readers import SignalReader

    store = ShardStore(shards)
    digest = cache_digest(encoder_folder, store.digest)
    if _digest_in(folder) == digest:
        if (damaged := damaged_file(folder)) is None:
            return FeatureCache(folder)
        say(f"features: {damaged} is damaged: made anew")
    ids = [record.record_id for record in store.records]
    say(f"features: encoding {len(ids)} ECGs once")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    reader = SignalReader(
        shards.resolve(), store.digest, float(data.sampling_rate), data.duration_seconds
    )
    encode = EncodeSignals(encoder_folder.resolve(), digest, reader)
    write_cache(folder, ids, _encode(ids, encode), digest)
    return FeatureCache(folder)


def cache_digest(encoder_folder: Path, shards_digest: str) -> str:
    """What a cache belongs to: the encoder's files and the shards' content."""
    files = {p.name: file_sha256(p) for p in sorted(encoder_folder.glob("encoder.*"))}
    if not files:
        raise DataError(f"{encoder_folder}: expected an encoder folder, found none")
    return digest_of({"encoder": files, "shards": shards_digest})


def write_cache(
    folder: Path,
    ids: Sequence[str],
    blocks: Iterable[tuple[Sequence[str], NDArray[np.float16]]],
    digest: str,
) -> None:
    """Write blocks of features as they come, in any order; the manifest last."""
    row = {name: number for number, name in enumerate(ids)}
    values: NDArray[np.float16] | None = None
    written = 0
    # Beside its place: whoever still reads an earlier cache keeps the file that is mapped.
    with durable_file(folder / FEATURES) as temporary:
        for names, features_NPD in blocks:
            if values is None:
                values = np.lib.format.open_memmap(
                    temporary,
                    mode="w+",
                    dtype=np.float16,
                    shape=(len(ids), *features_NPD.shape[1:]),
                )
            values[[row[name] for name in names]] = features_NPD
            written += len(names)
        if values is None or written != len(ids):
            raise DataError(f"{folder}: expected features of {len(ids)} ECGs, found {written}")
        values.flush()  # type: ignore[attr-defined]
    write_durable_text(folder / IDS, json.dumps(list(ids)))
    manifest = {
        "digest": digest,
        "ecgs": len(ids),
        "shape": list(values.shape),
        "files": {name: file_sha256(folder / name) for name in (FEATURES, IDS)},
    }
    write_durable_text(folder / MANIFEST, json.dumps(manifest))


def damaged_file(folder: Path) -> str | None:
    """Name of a file of the cache whose content is not the manifest's; None where all are whole."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return MANIFEST
    for name in (FEATURES, IDS):
        try:
            if file_sha256(folder / name) != files[name]:
                return name
        except (OSError, KeyError, TypeError):
            return name
    return None


def _encode(
    ids: Sequence[str], encode: EncodeSignals
) -> Iterable[tuple[list[str], NDArray[np.float16]]]:
    import pyarrow as pa
    import ray.data

    from truelead.data.ray_session import ensure_ray

    ensure_ray()
    ray.data.DataContext.get_current().enable_progress_bars = False
    tables = [
        pa.table({"record_id": list(ids[first : first + _BATCH])})
        for first in range(0, len(ids), _BATCH)
    ]
    # A bound method: Ray Data takes plain functions as tasks, other callables it refuses.
    dataset = ray.data.from_blocks(tables).map_batches(
        encode.__call__, batch_size=None, batch_format="numpy"
    )
    for block in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield block["record_id"].tolist(), block["features"]


def _digest_in(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
