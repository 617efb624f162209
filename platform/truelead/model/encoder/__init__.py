"""ECG encoders: standardised ECGs in, one feature vector a patch out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from truelead.config import EncoderConfig
from truelead.errors import ModelError
from truelead.model.encoder.base import (
    CONFIGURATION_FILE,
    FORMAT_VERSION,
    WEIGHTS_FILE,
    Encoder,
    parameter_count,
    pooled,
)
from truelead.model.encoder.resnet1d import ResNet1d
from truelead.model.encoder.vit1d import ViT1d

__all__ = [
    "ENCODERS",
    "Encoder",
    "build_encoder",
    "load_encoder",
    "make_encoder",
    "parameter_count",
    "pooled",
]

ENCODERS: dict[str, type[Encoder]] = {"resnet1d": ResNet1d, "vit1d": ViT1d}


def build_encoder(config: EncoderConfig, samples: int) -> Encoder:
    """A freshly initialised encoder for ECGs of `samples` samples.

    Raises:
        ModelError: the name is not in `ENCODERS`, or an option is not one of its arguments.
    """
    return make_encoder(config.name, config.options, samples)


def make_encoder(name: str, options: Mapping[str, Any], samples: int) -> Encoder:
    """As `build_encoder`, from plain values."""
    if name not in ENCODERS:
        raise ModelError(f"encoder.name: expected one of {', '.join(ENCODERS)}, found {name!r}")
    try:
        encoder = ENCODERS[name](samples, **options)
    except TypeError as error:
        raise ModelError(f"encoder.options: {error}") from error
    encoder.name = name
    return encoder


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder that `Encoder.save` wrote, in evaluation mode.

    Raises:
        ModelError: a file is missing, of another version, or the weights do not fit.
    """
    folder = Path(folder)
    for name in (CONFIGURATION_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: expected an encoder folder with {name}, found none")
    try:
        description = json.loads((folder / CONFIGURATION_FILE).read_text())
        version = description["format"]
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{folder}: {CONFIGURATION_FILE}: format: expected {FORMAT_VERSION}, "
                f"found {version!r}"
            )
        name, options = description["name"], description["options"]
        samples = int(description["samples"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder}: {CONFIGURATION_FILE}: expected format, name, options and samples"
        ) from error
    encoder = make_encoder(name, options, samples)
    try:
        encoder.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder}: {WEIGHTS_FILE}: expected weights of {name}") from error
    return encoder.eval()
