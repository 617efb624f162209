"""Write what a stage has beyond the model it started from (`truelead.model.adapter_folder`)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from truelead.data.durable import file_sha256, write_durable_text
from truelead.errors import ModelError
from truelead.model.adapted import adapted_model, first_names
from truelead.model.adapter_folder import (
    MANIFEST,
    OWN_TENSORS,
    AdaptedSettings,
    AdapterManifest,
    read_adapter,
)
from truelead.model.build import load_model
from truelead.model.export import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from truelead.model.language_model import merged_state
from truelead.model.modeling import TrueLeadForConditionalGeneration
from truelead.model.processing import TrueLeadProcessor
from truelead.model.provenance import data_digest, model_name, weights_files, weights_sha256
from truelead.model.reference_ecgs import REFERENCE_FILE, ReferenceEcgs, model_digest
from truelead.model.reliance_threshold import RELIANCE_FILE, RelianceThreshold

_CHANGEABLE = ("answer_rule", "severity_slot", "text_config")
_WITHOUT_MEANING = ("transformers_version", "_name_or_path")


def write_adapter(folder: Path, *, base: Path, stage: Path, lora: Path) -> None:
    """Write the difference between two models into a folder, which is there and empty.

    What is written is read again and compared with the stage before this returns.

    Args:
        base: folder of the whole model that the stage started from.
        stage: folder of the whole model with its adapters merged, calibrated or not.
        lora: folder of the adapters, in PEFT's layout.

    Raises:
        ModelError: a folder holds no whole model or no adapters; the stage has another encoder,
            projector or language model; base and adapters do not make the stage.
    """
    start, start_processor = load_model(base)
    merged, processor = load_model(stage)
    _check_same_parts(stage, start, merged)
    _check_same_ecgs(stage, start_processor, processor)
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (lora / name).is_file():
            raise ModelError(f"{lora}: expected {name} of a finished stage")
        shutil.copyfile(lora / name, folder / name)
    own = _differences(start, merged, _adapted_layers(folder / ADAPTER_CONFIG))
    save_file(own, folder / OWN_TENSORS, metadata={"format": "pt"})
    # safetensors writes for its owner alone; who may read one file may read all.
    shutil.copymode(folder / ADAPTER_CONFIG, folder / OWN_TENSORS)
    processor.save_pretrained(folder)
    _copy_calibration(stage, folder)
    manifest = AdapterManifest(
        name=model_name(stage),
        base=weights_sha256(base),
        weights=weights_sha256(stage),
        model=model_digest(stage),
        data=data_digest(stage),
        parameters=sum(parameter.numel() for parameter in merged.parameters()),
        created=int(weights_files(stage)[0].stat().st_mtime),
        settings=AdaptedSettings(
            answer_rule=merged.config.answer_rule,
            severity_slot=merged.config.severity_slot,
            vocab_size=merged.config.text_config.vocab_size,
        ),
        files={path.name: file_sha256(path) for path in sorted(folder.iterdir())},
    )
    write_durable_text(folder / MANIFEST, json.dumps(manifest.model_dump(mode="json"), indent=1))
    _check_whole(folder, start, merged)


def _check_same_parts(
    stage: Path, start: TrueLeadForConditionalGeneration, merged: TrueLeadForConditionalGeneration
) -> None:
    old, new = _comparable(start), _comparable(merged)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise ModelError(
                f"{stage}: {key}: expected that of the model it started from, found another: "
                "export it whole"
            )


def _comparable(model: TrueLeadForConditionalGeneration) -> dict[str, Any]:
    """A configuration without what an adapter may change, and without what says nothing."""
    tree = model.config.to_dict()
    text = {f"text_config.{key}": value for key, value in tree["text_config"].items()}
    text.pop("text_config.vocab_size", None)
    return {
        key: value
        for key, value in {**tree, **text}.items()
        if key not in _CHANGEABLE and key.rpartition(".")[2] not in _WITHOUT_MEANING
    }


def _check_same_ecgs(
    stage: Path, start_processor: TrueLeadProcessor, processor: TrueLeadProcessor
) -> None:
    old, new = start_processor.feature_extractor, processor.feature_extractor
    if (old.sampling_rate, old.seconds) != (new.sampling_rate, new.seconds):
        raise ModelError(f"{stage}: expected ECGs at the rate and length of its start's")


def _adapted_layers(path: Path) -> set[str]:
    """Names of the tensors that the adapters change."""
    names = json.loads(path.read_text(encoding="utf-8")).get("target_modules")
    if not isinstance(names, list):
        raise ModelError(f"{path}: target_modules: expected a list of names")
    return {f"language_model.{name}.weight" for name in names}


def _differences(
    start: TrueLeadForConditionalGeneration,
    merged: TrueLeadForConditionalGeneration,
    adapted: set[str],
) -> dict[str, Tensor]:
    old, first = start.state_dict(), first_names(merged)
    own = {}
    for name, tensor in merged.state_dict().items():
        # Of tied tensors one is written.
        if name in adapted or first.get(name, name) != name:
            continue
        before = old.get(name)
        if before is None or before.shape != tensor.shape or not torch.equal(before, tensor):
            own[name] = tensor.contiguous()
    return own


def _copy_calibration(stage: Path, folder: Path) -> None:
    """Take the stage's calibration along, if it is the stage's."""
    if not (stage / REFERENCE_FILE).is_file() or not (stage / RELIANCE_FILE).is_file():
        return
    RelianceThreshold.load(stage, ReferenceEcgs.load(stage))
    for name in (REFERENCE_FILE, RELIANCE_FILE):
        shutil.copyfile(stage / name, folder / name)


def _check_whole(
    folder: Path, start: TrueLeadForConditionalGeneration, merged: TrueLeadForConditionalGeneration
) -> None:
    """Base and adapter make the stage, tensor by tensor."""
    model, _ = adapted_model(start, read_adapter(folder))
    found = merged_state(model)
    for name, expected in merged.state_dict().items():
        if name not in found or not torch.allclose(found[name], expected, rtol=1e-4, atol=1e-5):
            raise ModelError(
                f"{name}: expected the stage's tensor from its start and its adapters, found "
                "another: they do not belong together"
            )
