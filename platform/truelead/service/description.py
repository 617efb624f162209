"""What the service says of its model: name, digests, what it reads, whether it is calibrated."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from truelead.data.durable import file_sha256
from truelead.data.manifest import read_manifest
from truelead.errors import DataError, ModelError
from truelead.model.answering import Answerer
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.service.wire import ModelDescription

_LOGGER = logging.getLogger("truelead.service")
_STAGES = {"pretrain", "finetune"}


def describe_model(
    folder: Path, answerer: Answerer, threshold: RelianceThreshold | None = None
) -> ModelDescription:
    """The description of a loaded model.

    Args:
        threshold: that its reliance is calibrated with, None where it is not.

    Raises:
        ModelError: there are no weights.
    """
    extractor = answerer.processor.feature_extractor
    return ModelDescription(
        name=model_name(folder),
        digest=weights_sha256(folder),
        data_digest=data_digest(folder),
        parameters=sum(parameter.numel() for parameter in answerer.model.parameters()),
        sampling_rate=extractor.sampling_rate,
        seconds=extractor.seconds,
        created=int(_weights(folder)[0].stat().st_mtime),
        reliance_calibrated=threshold is not None,
        false_alarm_rate=None if threshold is None else threshold.false_alarm_rate,
    )


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
    digests = [file_sha256(file) for file in _weights(folder)]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _weights(folder: Path) -> list[Path]:
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: expected model.safetensors, found none")
    return files
