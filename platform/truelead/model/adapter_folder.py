"""A trained stage as what it has beyond the model it started from: the folder of an adapter.

Tensors and JSON only:

    served_adapter.json           the manifest: whose it is, what it makes, SHA-256 of each file
    adapter_config.json,
    adapter_model.safetensors     the language model's adapters, in PEFT's layout
    own_tensors.safetensors       all other tensors that differ from the start's
    processor_config.json, ...    processor and tokenizer
    reference_features.safetensors, reliance.json   where the stage is calibrated

`truelead.model.adapter_writing` writes it, `truelead.model.adapted` makes a model of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from peft import LoraConfig
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from truelead.config import Frozen
from truelead.data.durable import file_sha256
from truelead.errors import ModelError
from truelead.model.export import ADAPTER_CONFIG, ADAPTER_WEIGHTS

MANIFEST = "served_adapter.json"
OWN_TENSORS = "own_tensors.safetensors"
FORMAT_VERSION = 1
_LARGEST_JSON = 2**20
_REQUIRED = (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    OWN_TENSORS,
    "processor_config.json",
    "tokenizer.json",
)
_OF_NO_EFFECT = {
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "task_type",
    "target_modules",
}
"""Of PEFT's configuration; all else that differs from what is added here is refused."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}$")]


class AdaptedSettings(Frozen):
    """What of a model's configuration a stage may change; see `TrueLeadConfig`."""

    answer_rule: dict[str, Any] | None
    severity_slot: dict[str, Any] | None
    vocab_size: int = Field(ge=1)


class AdapterManifest(Frozen):
    """Whose adapter it is, and what base and adapter are together.

    Attributes:
        name: of the stage that was exported.
        base: SHA-256 of the weights of the model that it is added to.
        weights: of the weights of the merged stage.
        model: `model_digest` of the merged stage, which calibrations name.
        data: digest of the shards of its run, None where not recorded.
        parameters: of the merged stage.
        created: Unix time of the merged weights.
        settings: of the merged stage.
        files: SHA-256 of every other file of the folder.
    """

    format: Literal[1] = FORMAT_VERSION  # type: ignore[assignment]
    name: str = Field(max_length=200)
    base: Sha256
    weights: Sha256
    model: Sha256
    data: Sha256 | None
    parameters: int = Field(ge=1)
    created: int
    settings: AdaptedSettings
    files: dict[FileName, Sha256]


@dataclass(frozen=True, eq=False)
class ServedAdapter:
    """An adapter in memory.

    Attributes:
        folder: that it was read from; its processor is there.
        lora: how adapters are added to the language model.
        lora_tensors: theirs, by PEFT's names.
        own_tensors: that stand in place of the base's, by the whole model's names.
    """

    folder: Path
    manifest: AdapterManifest
    lora: LoraConfig
    lora_tensors: Mapping[str, Tensor]
    own_tensors: Mapping[str, Tensor]


def read_adapter_manifest(folder: Path, base: str | None = None) -> AdapterManifest:
    """The manifest alone; the files that it names are not looked at.

    Args:
        base: SHA-256 of the weights that the adapter must belong to; None: any.

    Raises:
        ModelError: there is none, it is damaged, of another format, or of another base.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(
            f"{folder}: expected the folder of an adapter with {MANIFEST}, found none "
            "(`truelead export --served-adapter` writes one)"
        )
    tree = _json(path)
    version = tree.get("format")
    if version != FORMAT_VERSION:
        raise ModelError(f"{path}: format: expected {FORMAT_VERSION}, found {version!r:.40}")
    try:
        found = AdapterManifest.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path}: {place}: {first['msg']}") from None
    for name in _REQUIRED:
        if name not in found.files:
            raise ModelError(f"{path}: files: expected {name}, found none")
    if base is not None and found.base != base:
        raise ModelError(
            f"{folder}: expected an adapter of the model {base[:12]}, found one of "
            f"{found.base[:12]}"
        )
    return found


def read_adapter(folder: Path, base: str | None = None) -> ServedAdapter:
    """The adapter in a folder, after all its files were checked.

    Args:
        base: as in `read_adapter_manifest`.

    Raises:
        ModelError: as `read_adapter_manifest`; a file is missing, changed, one too many, or holds
            what cannot be added.
    """
    manifest = read_adapter_manifest(folder, base)
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    if extra := sorted(found - set(manifest.files)):
        raise ModelError(f"{folder}: expected only the files of {MANIFEST}, found {extra[0]}")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{folder}: expected {name}, found none")
        if file_sha256(path) != expected:
            raise ModelError(f"{path}: expected SHA-256 {expected[:12]}, found a changed file")
    return ServedAdapter(
        folder,
        manifest,
        _lora(folder / ADAPTER_CONFIG),
        _tensors(folder / ADAPTER_WEIGHTS),
        _tensors(folder / OWN_TENSORS),
    )


def _lora(path: Path) -> LoraConfig:
    tree = _json(path)
    rank, alpha, names = (tree.get(key) for key in ("r", "lora_alpha", "target_modules"))
    if (
        not isinstance(rank, int)
        or not isinstance(alpha, int | float)
        or rank < 1
        or not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ModelError(f"{path}: expected r, lora_alpha and a list target_modules")
    lora = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=names,
        fan_in_fan_out=bool(tree.get("fan_in_fan_out")),
    )
    plain = lora.to_dict()
    for key, value in tree.items():
        if key not in _OF_NO_EFFECT and (plain[key] != value if key in plain else value):
            raise ModelError(f"{path}: {key}: expected plain LoRA, found another value")
    return lora


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: expected safetensors, found damage") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ModelError(f"{path}: expected at most {_LARGEST_JSON} bytes")
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: expected JSON, found damage") from error
    if not isinstance(tree, dict):
        raise ModelError(f"{path}: expected a JSON object, found another value")
    return tree
