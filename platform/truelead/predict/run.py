"""A list of questions over a whole ECG set with Ray Data: streamed, resumable, nothing doubled.

Tasks read the ECGs of a part and standardise them; actors, each with one model, answer and write
the part in one step. Ray Data keeps a bounded number of parts under way. What was finished before
is verified and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from truelead.data.durable import TEMPORARY_SUFFIX
from truelead.errors import ConfigError, DataError, ModelError
from truelead.predict.jobs import PartJob, is_part
from truelead.predict.listing import (
    FileListing,
    Listing,
    StoredListing,
    is_stored,
    list_files,
    list_stored,
)
from truelead.predict.manifest import PredictionManifest, PredictionPlan, claim, close, make_plan
from truelead.predict.part_file import PartEntry, RejectedEcg, read_part
from truelead.predict.progress import progress_bar
from truelead.predict.questions import AskedQuestion
from truelead.signal.formats.base import NOTHING_STATED, StatedSignal

LOGGER = logging.getLogger(__name__)

MAXIMUM_ECGS_PER_PART = 4096
"""Whose signals travel from the readers to the actors in one piece."""


@dataclass(frozen=True)
class PredictOptions:
    """The dials of a prediction.

    Attributes:
        splits: of shards, empty for all.
        limit: the first so many ECGs, None for all.
        ecgs_per_part: ECGs of one file of the output, the unit of resuming.
        batch_size: ECGs that are encoded and asked about at once.
        actors: copies of the model.
        gpus_per_actor: 0 for the CPU; a share for several actors on one GPU.
        threads: CPUs that an actor reserves, and computes with where it has no GPU.
        format, stated: how files are read (`truelead.signal.formats.reading.read_ecg`).
        overwrite: remove an earlier prediction from the output folder.
        progress: show a progress bar.
    """

    splits: tuple[str, ...] = ()
    limit: int | None = None
    ecgs_per_part: int = 256
    batch_size: int = 32
    actors: int = 1
    gpus_per_actor: float = 0.0
    threads: int = 1
    format: str | None = None
    stated: StatedSignal = NOTHING_STATED
    overwrite: bool = False
    progress: bool = True

    def check(self) -> None:
        """Raises:
        ConfigError: a dial is out of its range.
        """
        ranges: dict[str, tuple[float, float, float]] = {
            "limit": (1 if self.limit is None else self.limit, 1, float("inf")),
            "part-size": (self.ecgs_per_part, 1, MAXIMUM_ECGS_PER_PART),
            "batch-size": (self.batch_size, 1, MAXIMUM_ECGS_PER_PART),
            "actors": (self.actors, 1, float("inf")),
            "gpus-per-actor": (self.gpus_per_actor, 0, float("inf")),
            "threads": (self.threads, 1, float("inf")),
        }
        for name, (value, least, most) in ranges.items():
            if not least <= value <= most:
                raise ConfigError(f"--{name}: expected {least:g} to {most:g}, found {value:g}")


@dataclass(frozen=True)
class Finished:
    """What a prediction did.

    Attributes:
        manifest: of the output folder.
        parts_kept: parts that an earlier start had finished.
        left_alone: files in the named folders that are of no known format.
    """

    manifest: PredictionManifest
    parts_kept: int
    left_alone: int


def predict(
    model: Path,
    sources: Sequence[Path],
    questions: Sequence[AskedQuestion],
    output: Path,
    options: PredictOptions | None = None,
) -> Finished:
    """Answer every question about every ECG, into `predictions-NNNNN.parquet` below `output`.

    Started again with the same arguments, it goes on where it was. ECGs that cannot be read are
    listed with their reasons in `rejected.parquet`; the manifest is written last.

    Args:
        model: folder of a trained model, visible from every node, like all other paths.
        sources: one folder of shards; or ECG files, folders of them, or patterns.
        questions: see `truelead.predict.questions`.
        output: made if needed.

    Raises:
        ConfigError: a dial is out of range; there are no ECGs.
        ModelError: the folder holds no model that can be used.
        DataError: the shards are damaged; the output folder holds another prediction, or cannot be
            written.
        ResourceError: the cluster cannot hold the actors.
    """
    options = options or PredictOptions()
    options.check()
    if not (model / "config.json").is_file():
        raise ModelError(f"{model}: expected a model folder with config.json, found none")
    listing = _list(sources, output, options)
    plan = make_plan(
        model,
        questions,
        listing,
        ecgs_per_part=options.ecgs_per_part,
        format=options.format,
        stated=options.stated,
    )
    jobs = listing.parts(options.ecgs_per_part, plan.digest)
    claim(output, plan, overwrite=options.overwrite)
    _remove_strays(output, jobs)
    held: dict[str, tuple[PartEntry, tuple[RejectedEcg, ...]]] = {}
    with progress_bar(disable=not options.progress) as bar:
        for job in jobs:
            if (found := read_part(output, job, len(questions))) is not None:
                held[job.name] = found
        kept = len(held)
        done = sum(entry.listed for entry, _ in held.values())
        task = bar.add_task("predict", total=plan.listed, completed=done)
        missing = {job.name: job for job in jobs if job.name not in held}
        if missing:
            for entry in _write(missing.values(), model, listing, plan, output, options):
                # Read from here: the folder is one that every node shares, and the part is whole.
                found = read_part(output, missing[entry.name], len(questions))
                if found is None:
                    raise DataError(
                        f"{output / entry.name}: expected a folder that every node shares, "
                        "part not found"
                    )
                held[entry.name] = found
                bar.advance(task, entry.listed)
    if len(held) != len(jobs):
        raise DataError(f"{output}: expected {len(jobs)} parts, found {len(held)}")
    LOGGER.info("%s: %d parts written, %d kept", output, len(jobs) - kept, kept)
    parts = [held[job.name] for job in jobs]
    manifest = close(
        output,
        plan,
        [entry for entry, _ in parts],
        [one for _, rejected in parts for one in rejected],
    )
    left_alone = listing.left_alone if isinstance(listing, FileListing) else 0
    return Finished(manifest, kept, left_alone)


def _list(sources: Sequence[Path], output: Path, options: PredictOptions) -> Listing:
    if is_stored(sources):
        if options.format is not None or options.stated != NOTHING_STATED:
            raise ConfigError(
                f"{sources[0]}: expected nothing stated of stored ECGs, found --format or a "
                "statement on files"
            )
        return list_stored(sources[0], splits=options.splits, limit=options.limit)
    if options.splits:
        raise ConfigError("--split: expected one folder of shards, found ECG files")
    return list_files(sources, format=options.format, output=output, limit=options.limit)


def _write(
    jobs: Iterable[PartJob],
    model: Path,
    listing: Listing,
    plan: PredictionPlan,
    output: Path,
    options: PredictOptions,
) -> Iterator[PartEntry]:
    # Imported when there is something to answer: it loads torch.
    from truelead.predict.part_answering import AnsweringRules
    from truelead.predict.part_reading import ReadingRules
    from truelead.predict.stream import written_parts

    shards = listing.folder if isinstance(listing, StoredListing) else None
    return written_parts(
        list(jobs),
        ReadingRules(model.resolve(), shards, options.format, options.stated),
        AnsweringRules(
            model=model.resolve(),
            model_digest=plan.model_digest,
            data_digest=plan.data_digest or "",
            questions=plan.questions,
            output=output.resolve(),
            batch_size=options.batch_size,
            device="cuda" if options.gpus_per_actor else "cpu",
            threads=options.threads,
        ),
        actors=options.actors,
        gpus_per_actor=options.gpus_per_actor,
    )


def _remove_strays(output: Path, jobs: Sequence[PartJob]) -> None:
    """What a killed prediction left half written, and parts that this one does not have."""
    expected = {job.name for job in jobs}
    for path in output.iterdir():
        inner = path.name.removeprefix(".").partition(".parquet.")[0]
        half_written = path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)
        if (half_written and is_part(f"{inner}.parquet")) or (
            is_part(path.name) and path.name not in expected
        ):
            path.unlink(missing_ok=True)
