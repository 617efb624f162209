"""What a trained model is known by: its name, and the digests of its weights and of its data."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from truelead.data.durable import file_sha256
from truelead.data.manifest import read_manifest
from truelead.errors import DataError, ModelError

_LOGGER = logging.getLogger("truelead.model")
_STAGES = {"pretrain", "finetune"}


def model_name(folder: Path) -> str:
    """A run's "debiased/finetune"; of any other folder its own name. Never the whole path."""
    return f"{folder.parent.name}/{folder.name}" if folder.name in _STAGES else folder.name


def data_digest(folder: Path) -> str | None:
    """Digest of the shards of the run that the model lies in; None where there are none."""
    shards = folder.parent.parent / "shards"
    if folder.name not in _STAGES or not (shards / "manifest.json").is_file():
        return None
    try:
        return read_manifest(shards).digest
    except DataError as error:
        _LOGGER.warning("the data digest is left out: %s", error)
        return None


def weights_sha256(folder: Path) -> str:
    """SHA-256 of model.safetensors; of several shards, of their digests in the order of names.

    Raises:
        ModelError: there are no weights.
    """
    digests = [file_sha256(file) for file in weights_files(folder)]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def weights_files(folder: Path) -> list[Path]:
    """The files of a model's weights, in the order of their names.

    Raises:
        ModelError: there are none.
    """
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: expected model.safetensors, found none")
    return files
