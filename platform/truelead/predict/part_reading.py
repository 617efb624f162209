"""The reading half of a part: its ECGs from shards or files, standardised for the model.

It runs as tasks of Ray Data on CPUs, ahead of the actors that hold the model. What passes between
them is a row of plain bytes and JSON.

Shape suffixes: N ECGs of the part, L leads (12), T samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from truelead.data.durable import file_sha256
from truelead.data.manifest import read_manifest
from truelead.data.row_groups import Place, RowGroupReader, damage_named
from truelead.data.schema import LARGEST_MILLIVOLTS, decode_signals
from truelead.errors import (
    DataError,
    InvalidEcg,
    MissingFile,
    ModelError,
    RecordError,
    TrueLeadError,
)
from truelead.model.feature_extraction import EcgFeatureExtractor
from truelead.model.reference_ecgs import signal_digest
from truelead.predict.jobs import ListedFile, PartJob
from truelead.predict.part_file import RejectedEcg
from truelead.service.limits import MINIMUM_SAMPLING_RATE, MINIMUM_SECONDS
from truelead.signal.formats.base import NOTHING_STATED, StatedSignal
from truelead.signal.formats.reading import read_ecg
from truelead.types import LEADS, Ecg

_NO_CACHE = 1


@dataclass(frozen=True)
class ReadingRules:
    """How the ECGs of a prediction are read; the same for all parts.

    Attributes:
        model: folder whose feature extractor standardises them.
        shards: folder of the shards, None for files.
        format, stated: of files; see `truelead.signal.formats.reading.read_ecg`.
    """

    model: Path
    shards: Path | None = None
    format: str | None = None
    stated: StatedSignal = NOTHING_STATED


class ReadEcg(NamedTuple):
    """What the answers need to say of an ECG: its place, its name, a digest, what is unseen."""

    position: int
    record_id: str
    sha256: str
    notes: str


class ReadPart(NamedTuple):
    """The ECGs of a part, ready for the encoder: standardised_NLT float32, one row an ECG."""

    ecgs: tuple[ReadEcg, ...]
    standardised_NLT: NDArray[np.float32]
    rejected: tuple[RejectedEcg, ...]


def read_row(row: dict[str, Any], rules: ReadingRules) -> dict[str, Any]:
    """Ray Data's task: job in, its ECGs out, or the fault that stopped it."""
    found = {
        "ecgs": "",
        "rejected": "",
        "samples": 0,
        "signals": b"",
        "fault": "",
        "of_model": False,
    }
    try:
        part = read(PartJob.model_validate_json(row["job"]), rules)
    except TrueLeadError as error:
        return {**row, **found, "fault": str(error), "of_model": isinstance(error, ModelError)}
    return {
        **row,
        **found,
        "ecgs": json.dumps(part.ecgs),
        "rejected": json.dumps([one.model_dump() for one in part.rejected]),
        "samples": part.standardised_NLT.shape[2],
        "signals": part.standardised_NLT.tobytes(),
    }


def part_of(row: dict[str, Any]) -> ReadPart:
    """The inverse of `read_row`, for a row without a fault."""
    values = np.frombuffer(row["signals"], dtype=np.float32)
    return ReadPart(
        ecgs=tuple(ReadEcg(*one) for one in json.loads(row["ecgs"])),
        standardised_NLT=values.reshape(-1, len(LEADS), row["samples"]),
        rejected=tuple(RejectedEcg(**one) for one in json.loads(row["rejected"])),
    )


def read(job: PartJob, rules: ReadingRules) -> ReadPart:
    """The ECGs of a part.

    Raises:
        DataError: a shard is missing or is not the one that was listed.
        ModelError: the model's folder holds no feature extractor.
    """
    extractor = load_extractor(rules.model)
    if rules.shards is not None:
        return _read_stored(job, rules.shards, extractor)
    return _read_files(job, rules, extractor)


@lru_cache(maxsize=2)
def load_extractor(model: Path) -> EcgFeatureExtractor:
    """The feature extractor of a model, without the rest of it.

    Raises:
        ModelError: there is none.
    """
    try:
        tree = json.loads((model / "processor_config.json").read_text(encoding="utf-8"))
        extractor: EcgFeatureExtractor = EcgFeatureExtractor.from_dict(tree["feature_extractor"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{model}: expected a model folder with processor_config.json, found "
            f"{type(error).__name__}"
        ) from None
    return extractor


def _read_stored(job: PartJob, folder: Path, extractor: EcgFeatureExtractor) -> ReadPart:
    manifest = read_manifest(folder)
    number_of = {entry.name: number for number, entry in enumerate(manifest.shards)}
    names: list[str] = []
    places: list[Place] = []
    for rows in job.stored:
        path = folder / rows.shard
        if rows.shard not in number_of or not _is_listed(path, rows.sha256):
            raise DataError(f"{path}: expected the shard that was listed, found another")
        with damage_named(path):
            ids = pq.read_table(path, columns=["record_id"])["record_id"]
        names += ids.slice(rows.first, rows.count).to_pylist()
        places += [Place(number_of[rows.shard], rows.first + n) for n in range(rows.count)]
    reader = RowGroupReader(folder, manifest.shards, manifest.samples, _NO_CACHE)
    signal_NLT = np.empty((len(places), len(LEADS), manifest.samples), np.float32)
    for indices, stored_NLT in reader.many(places):
        signal_NLT[indices] = decode_signals(stored_NLT)
    rate = manifest.sampling_rate
    ecgs = tuple(
        ReadEcg(
            job.first + n, name, signal_digest(signal_LT), notes_on(Ecg(signal_LT, rate), extractor)
        )
        for n, (name, signal_LT) in enumerate(zip(names, signal_NLT, strict=True))
    )
    return ReadPart(ecgs, extractor.standardise_all(signal_NLT, rate), ())


@lru_cache(maxsize=4096)
def _is_listed(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _read_files(job: PartJob, rules: ReadingRules, extractor: EcgFeatureExtractor) -> ReadPart:
    ecgs: list[ReadEcg] = []
    rejected: list[RejectedEcg] = []
    standardised_NLT = np.empty((job.count, len(LEADS), extractor.samples), np.float32)
    for position, file in enumerate(job.files, start=job.first):
        try:
            ecg = _read_file(file, rules)
            standardised_NLT[len(ecgs)] = extractor.standardise(ecg)
        except RecordError as error:
            # The same wherever the files lie.
            message = str(error).replace(file.path, file.record_id)
            rejected.append(
                RejectedEcg(
                    position=position,
                    record_id=file.record_id,
                    reason=error.reason,
                    message=message.replace(f"{Path(file.path).parent}/", ""),
                )
            )
            continue
        notes = notes_on(ecg, extractor)
        ecgs.append(ReadEcg(position, file.record_id, signal_digest(ecg.signal_LT), notes))
    return ReadPart(tuple(ecgs), standardised_NLT[: len(ecgs)], tuple(rejected))


def _read_file(file: ListedFile, rules: ReadingRules) -> Ecg:
    try:
        ecg = read_ecg(file.path, format=rules.format, stated=rules.stated)
    except OSError as error:
        raise MissingFile(
            file.path, field="file", expected="a readable file", found=type(error).__name__
        ) from None
    for field, expected, found in _faults(ecg):
        raise InvalidEcg(file.path, field=field, expected=expected, found=found)
    return ecg


def _faults(ecg: Ecg) -> Iterator[tuple[str, str, str]]:
    """What an ingest or the service would refuse, too: (field, what was expected, found)."""
    seconds, rate = ecg.duration_seconds, ecg.sampling_rate
    if rate < MINIMUM_SAMPLING_RATE:
        yield "sampling_rate", f"at least {MINIMUM_SAMPLING_RATE:g} Hz", f"{rate:g} Hz"
    if seconds < MINIMUM_SECONDS:
        yield "signal", f"at least {MINIMUM_SECONDS:g} s", f"{seconds:g} s"
    if not ecg.lead_mask_L.any():
        yield "signal", "a recorded sample", "none"
    elif not (largest := float(np.nanmax(np.abs(ecg.signal_LT)))) <= LARGEST_MILLIVOLTS:
        yield "signal", f"at most +-{LARGEST_MILLIVOLTS} mV", f"{largest:.6g} mV"


def notes_on(ecg: Ecg, extractor: EcgFeatureExtractor) -> str:
    """What the model cannot see of an ECG; empty where it sees all."""
    notes = []
    missing = [lead for lead, seen in zip(LEADS, ecg.lead_mask_L, strict=True) if not seen]
    if missing:
        notes.append(f"not recorded: {', '.join(missing)}")
    seconds, wanted = ecg.duration_seconds, extractor.seconds
    if seconds > wanted + 0.5 / ecg.sampling_rate:
        notes.append(f"only the first {wanted:g} s of {seconds:g} s are read")
    elif seconds < wanted - 0.5 / ecg.sampling_rate:
        notes.append(f"{seconds:g} s long, the model was trained on {wanted:g} s")
    return "; ".join(notes)
