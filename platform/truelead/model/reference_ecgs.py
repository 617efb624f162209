"""Reference ECGs: what an answer's reliance on its own ECG is measured against.

They are kept as features of the model's own encoder, beside the model, so that measuring needs no
records. Each is named by a digest of its signal, never by a record or a patient.

Shape suffixes: R reference ECGs, P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from truelead.data.durable import durable_file, file_sha256
from truelead.errors import ModelError

REFERENCE_FILE = "reference_features.safetensors"
FORMAT_VERSION = "1"
MINIMUM = 2


@dataclass(frozen=True, eq=False)
class ReferenceEcgs:
    """Encoder features of the reference ECGs.

    Attributes:
        features_RPD: float16, from the encoder of the model that they lie beside.
        digests: `signal_digest` of each.

    Raises:
        ModelError: fewer than 2, not finite, or not one digest each.
    """

    features_RPD: NDArray[np.float16]
    digests: tuple[str, ...]

    def __post_init__(self) -> None:
        features = self.features_RPD
        if features.ndim != 3 or features.dtype != np.float16 or len(features) < MINIMUM:
            raise ModelError(
                f"reference ECGs: features: expected float16 [R >= {MINIMUM}, P, D], "
                f"found {features.dtype} {list(features.shape)}"
            )
        if not np.isfinite(features).all():
            raise ModelError("reference ECGs: features: expected finite values")
        if len(self.digests) != len(features):
            raise ModelError(
                f"reference ECGs: digests: expected {len(features)}, found {len(self.digests)}"
            )

    def __len__(self) -> int:
        return len(self.features_RPD)

    @property
    def digest(self) -> str:
        """SHA-256 of the features."""
        return hashlib.sha256(np.ascontiguousarray(self.features_RPD).tobytes()).hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write `REFERENCE_FILE` into the model's folder."""
        path = Path(folder) / REFERENCE_FILE
        metadata = {"format": FORMAT_VERSION, "digests": json.dumps(self.digests)}
        with durable_file(path) as temporary:
            # safetensors writes memory as it lies, whatever its strides.
            features_RPD = np.ascontiguousarray(self.features_RPD)
            save_file({"features": features_RPD}, temporary, metadata=metadata)
        return path

    @classmethod
    def load(cls, folder: str | Path) -> ReferenceEcgs:
        """The references that lie beside a model.

        Raises:
            ModelError: the file is missing, damaged or of another format.
        """
        path = Path(folder) / REFERENCE_FILE
        if not path.is_file():
            raise ModelError(f"{path}: expected reference ECGs, found none: calibrate reliance")
        try:
            with safe_open(path, framework="numpy") as stored:
                metadata = stored.metadata() or {}
                features_RPD = stored.get_tensor("features")
            digests = tuple(str(one) for one in json.loads(metadata.get("digests", "[]")))
        except (OSError, SafetensorError, ValueError) as error:
            raise ModelError(f"{path}: expected whole reference ECGs, found damage") from error
        if metadata.get("format") != FORMAT_VERSION:
            raise ModelError(
                f"{path}: format: expected {FORMAT_VERSION}, found {metadata.get('format')}"
            )
        return cls(features_RPD, digests)


def signal_digest(signal_LT: NDArray[np.float32]) -> str:
    """SHA-256 of an ECG's float32 millivolts as stored: names it without naming a patient."""
    return hashlib.sha256(np.ascontiguousarray(signal_LT, np.float32).tobytes()).hexdigest()


def model_digest(folder: str | Path) -> str:
    """SHA-256 over the weights and the configuration of a model's folder.

    Raises:
        ModelError: the folder holds no weights.
    """
    folder = Path(folder)
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: expected a model folder with weights, found none")
    parts: list[Any] = [
        (path.name, file_sha256(path)) for path in (*weights, folder / "config.json")
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
