"""What the service says of its model: name, digests, what it reads, whether it is calibrated."""

from __future__ import annotations

from pathlib import Path

from truelead.model.answering import Answerer
from truelead.model.provenance import data_digest, model_name, weights_files, weights_sha256
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.service.wire import ModelDescription


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
        created=int(weights_files(folder)[0].stat().st_mtime),
        reliance_calibrated=threshold is not None,
        false_alarm_rate=None if threshold is None else threshold.false_alarm_rate,
    )
