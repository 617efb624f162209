"""What a folder of predictions was asked for, and what it holds: the manifest is written last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead import __version__
from truelead.config import Frozen
from truelead.data.durable import durable_file, file_sha256, write_durable_text
from truelead.data.manifest import first_fault, json_sha256, read_json_object
from truelead.data.storage import open_folder
from truelead.errors import DataError
from truelead.model.reference_ecgs import model_digest
from truelead.predict.jobs import is_part
from truelead.predict.listing import Listing, StoredListing
from truelead.predict.part_file import NOTICE, SCHEMA_VERSION, PartEntry, RejectedEcg
from truelead.predict.questions import AskedQuestion
from truelead.signal.formats.base import StatedSignal

PLAN_NAME = "predictions-plan.json"
MANIFEST_NAME = "predictions-manifest.json"
REJECTED_NAME = "rejected.parquet"

_MODEL_SUFFIXES = (".json", ".safetensors", ".model", ".txt", ".jinja")
_HINTS = {
    "truelead": "finish with that version",
    "model_digest": "another model",
    "model_files": "files beside the weights differ",
    "listing_sha256": "other ECGs, or files that changed since",
}


class PredictionPlan(Frozen):
    """What decides the content of a prediction; a folder holds one.

    Batch size, actors and devices are not among it: they move probabilities by rounding alone.

    Attributes:
        truelead: version.
        model_digest: of weights and configuration, as `truelead.model.reference_ecgs` has it.
        model_files: SHA-256 over all files of the model, its tokenizer and threshold among them.
        questions: in order.
        data_digest: of the shards, None for files.
        listing_sha256: of what was listed: rows of shards, or files with size and time of change.
        reading: what was stated of files that do not say it themselves.
        listed: ECGs.
        ecgs_per_part: of each part but the last.
    """

    schema_version: int
    truelead: str
    model_digest: str
    model_files: str
    questions: tuple[AskedQuestion, ...]
    data_digest: str | None
    listing_sha256: str
    reading: dict[str, Any]
    listed: int
    ecgs_per_part: int

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return json_sha256(self.model_dump(mode="json"))


class PredictionManifest(Frozen):
    """The table of contents of a folder of predictions.

    Attributes:
        digest: SHA-256 over the questions, the rows of all parts and the rejected ECGs; equal for
            equal content, however often the work was broken off.
        answered, rejected: ECGs; together they are `plan.listed`.
        rows: answers: `answered` times the number of questions.
        rejected_by_reason: reason -> ECGs.
        parts: in order.
    """

    schema_version: int
    notice: str
    digest: str
    plan: PredictionPlan
    answered: int
    rejected: int
    rows: int
    rejected_by_reason: dict[str, int]
    parts: tuple[PartEntry, ...]


def make_plan(
    model: Path,
    questions: Sequence[AskedQuestion],
    listing: Listing,
    *,
    ecgs_per_part: int,
    format: str | None,
    stated: StatedSignal,
) -> PredictionPlan:
    """The plan of a prediction.

    Raises:
        ModelError: the folder holds no weights.
    """
    files = sorted(
        path for path in model.iterdir() if path.is_file() and path.suffix in _MODEL_SUFFIXES
    )
    reading = {
        "format": format,
        "sampling_rate": stated.sampling_rate,
        "units": stated.units,
        "leads": None if stated.leads is None else list(stated.leads),
        "gain": stated.gain,
        "orientation": stated.orientation,
    }
    return PredictionPlan(
        schema_version=SCHEMA_VERSION,
        truelead=__version__,
        model_digest=model_digest(model),
        model_files=json_sha256([[path.name, file_sha256(path)] for path in files]),
        questions=tuple(questions),
        data_digest=listing.data_digest if isinstance(listing, StoredListing) else None,
        listing_sha256=listing.sha256,
        reading={name: value for name, value in reading.items() if value is not None},
        listed=len(listing),
        ecgs_per_part=ecgs_per_part,
    )


def claim(folder: Path, plan: PredictionPlan, *, overwrite: bool) -> None:
    """Make a folder this prediction's, and take away what may not stay while parts are written.

    Args:
        overwrite: remove an earlier prediction, whatever it was of. Files that no prediction wrote
            are never removed.

    Raises:
        DataError: the folder holds another prediction, or one without a plan; the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = [path for path in folder.iterdir() if is_part(path.name)]
        if (folder / PLAN_NAME).is_file() and not overwrite:
            _check_agreement(folder, _read_plan(folder), plan)
        elif ours and not overwrite:
            raise DataError(
                f"{folder}: expected {PLAN_NAME} beside predictions, found none: "
                "choose another folder, or --overwrite"
            )
        elif overwrite:
            # The plan goes last: until then the folder is known for what it is.
            for path in (folder / MANIFEST_NAME, folder / REJECTED_NAME, *ours, folder / PLAN_NAME):
                path.unlink(missing_ok=True)
        # Whoever finds a manifest may trust the folder: it goes before the first part changes.
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
        write_durable_text(folder / PLAN_NAME, plan.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder that can be written: {error.strerror or error}"
        ) from None


def close(
    folder: Path,
    plan: PredictionPlan,
    parts: Sequence[PartEntry],
    rejected: Sequence[RejectedEcg],
) -> PredictionManifest:
    """Write what stands beside the parts, the manifest last.

    Raises:
        DataError: the counts do not add up; the disk refuses.
    """
    count, asked = len(rejected), len(plan.questions)
    listed, rows = sum(part.listed for part in parts), sum(part.rows for part in parts)
    if listed != plan.listed or rows != (listed - count) * asked:
        raise DataError(
            f"{folder}: expected answers to {asked} questions about {plan.listed} ECGs less "
            f"{count} set aside, found {rows} answers in parts of {listed}"
        )
    manifest = PredictionManifest(
        schema_version=SCHEMA_VERSION,
        notice=NOTICE,
        digest=json_sha256(
            {
                "questions": [question.model_dump(mode="json") for question in plan.questions],
                "parts": [[part.first, part.listed, part.content_sha256] for part in parts],
            }
        ),
        plan=plan,
        answered=listed - count,
        rejected=count,
        rows=rows,
        rejected_by_reason=dict(sorted(Counter(one.reason for one in rejected).items())),
        parts=tuple(parts),
    )
    schema = pa.schema(
        [
            ("position", pa.int64()),
            ("record_id", pa.string()),
            ("reason", pa.string()),
            ("message", pa.string()),
        ]
    )
    try:
        with durable_file(folder / REJECTED_NAME) as temporary:
            table = pa.Table.from_pylist([one.model_dump() for one in rejected], schema=schema)
            pq.write_table(table, temporary)
        write_durable_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{folder}: expected room to write: {error.strerror or error}") from None
    return manifest


def read_prediction_manifest(folder: Path) -> PredictionManifest:
    """The manifest of a folder of predictions.

    Raises:
        DataError: there is none (no prediction, or one that did not end), or it is damaged.
    """
    tree = read_json_object(
        open_folder(folder), MANIFEST_NAME, hint="run the same truelead predict again"
    )
    try:
        return PredictionManifest.model_validate(tree)
    except ValidationError as error:
        raise DataError(f"{folder / MANIFEST_NAME}: {first_fault(error)}") from None


def _read_plan(folder: Path) -> PredictionPlan:
    tree = read_json_object(open_folder(folder), PLAN_NAME, hint="--overwrite")
    try:
        return PredictionPlan.model_validate(tree)
    except ValidationError as error:
        raise DataError(f"{folder / PLAN_NAME}: {first_fault(error)}: --overwrite") from None


def _check_agreement(folder: Path, earlier: PredictionPlan, now: PredictionPlan) -> None:
    for name in PredictionPlan.model_fields:
        if getattr(earlier, name) != getattr(now, name):
            hint = _HINTS.get(name, "asked otherwise")
            raise DataError(
                f"{folder}: {name}: expected that of the prediction that the folder holds, found "
                f"another ({hint}): choose another folder, or --overwrite"
            )
