"""A model folder is whole, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from truelead.errors import ModelError
from truelead.model.build import load_model, save_model


@pytest.mark.parametrize("part", ["encoder.output_norm.running_mean", "projector.linear1.weight"])
def test_missing_weights_are_refused(tmp_path: Path, built: tuple[Any, Any], part: str) -> None:
    save_model(tmp_path, *built)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    assert part in weights
    del weights[part]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"found one without {part}"):
        load_model(tmp_path)


def test_misfitting_weights_are_refused(tmp_path: Path, built: tuple[Any, Any]) -> None:
    save_model(tmp_path, *built)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    weights["projector.linear1.weight"] = weights["projector.linear1.weight"][:-1].contiguous()
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="expected a whole"):
        load_model(tmp_path)


def test_a_whole_folder_is_loaded(tmp_path: Path, built: tuple[Any, Any]) -> None:
    save_model(tmp_path, *built)
    model, processor = load_model(tmp_path)
    assert not model.training
    assert processor.tokenizer is not None
