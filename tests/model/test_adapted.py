"""A base and an adapter answer as the merged stage does, and share what they have in common."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.model.conftest import CORPUS, tiny_recipe
from tests.model.tuned_stage import HUB_SIZES, SLOT, write_tuned_adapter, write_tuned_stage
from truelead.data.durable import file_sha256
from truelead.errors import ModelError
from truelead.model.adapted import adapted_model
from truelead.model.adapter_folder import (
    MANIFEST,
    OWN_TENSORS,
    read_adapter,
    read_adapter_manifest,
)
from truelead.model.adapter_writing import write_adapter
from truelead.model.answering import Answerer, Ask
from truelead.model.build import build_model, load_model, save_model
from truelead.model.provenance import weights_sha256
from truelead.model.tokenizer import train_tokenizer
from truelead.types import Ecg

ANSWERS = ("yes", "no", "not sure")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, processor = build_model(tiny_recipe(), None, CORPUS)
    return save_model(tmp_path_factory.mktemp("base") / "arm" / "pretrain", model, processor)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base around a hub's language model whose embeddings are its output layer too."""
    folder = tmp_path_factory.mktemp("tied")
    tokenizer = train_tokenizer(CORPUS, 200)
    config = Qwen2Config(vocab_size=len(tokenizer), tie_word_embeddings=True, **HUB_SIZES)
    Qwen2ForCausalLM(config).save_pretrained(folder / "hub")
    tokenizer.save_pretrained(folder / "hub")
    recipe = tiny_recipe(language_model={"path": str(folder / "hub"), "train": "frozen"})
    model, processor = build_model(recipe, None, CORPUS)
    return save_model(folder / "arm" / "pretrain", model, processor)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    return write_tuned_adapter(base, folder / "finetune", folder / "out")


def answers(answerer: Answerer, ecgs: list[Ecg]) -> list[Any]:
    asked = [
        Ask((ecgs[0],), CORPUS[0], ANSWERS),
        Ask((ecgs[1], ecgs[2]), CORPUS[3], ANSWERS),
        Ask((ecgs[0],), CORPUS[2]),
    ]
    return answerer.answer(asked)


STRATEGIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "strata": {"severity_slot": SLOT, "answer_rule": {"rule": "strata-sum"}},
    "dictionary": {"severity_slot": {**SLOT, "kind": "dictionary"}},
    "counterfactual": {"answer_rule": {"rule": "counterfactual", "constant": 0.1}},
}


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        ("base", "plain"),
        ("base", "counterfactual"),
        ("base", "dictionary"),
        ("tied", "strata"),
    ],
)
def test_it_answers_as_the_merged_stage(
    kind: str,
    strategy: str,
    ecgs: list[Ecg],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    start: Path = request.getfixturevalue(kind)
    stage = tmp_path / "finetune"
    folder = write_tuned_adapter(start, stage, tmp_path / "out", strategy=STRATEGIES[strategy])
    base, processor = load_model(start)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    of_base = answers(Answerer(base, processor), ecgs)
    found = Answerer(*adapted_model(base, read_adapter(folder, weights_sha256(start))))
    expected = answers(Answerer.from_pretrained(stage), ecgs)
    for one, other in zip(answers(found, ecgs), expected, strict=True):
        assert one.text == other.text
        assert one.option_probabilities == pytest.approx(other.option_probabilities, abs=1e-5)
    # The base is as it was, and says something else.
    assert all(before[name].equal(tensor) for name, tensor in base.state_dict().items())
    assert all(parameter.requires_grad for parameter in base.parameters())
    again = answers(Answerer(base, processor), ecgs)
    assert again == of_base
    assert again[0].option_probabilities != pytest.approx(
        expected[0].option_probabilities, abs=1e-5
    )


def test_what_is_equal_is_the_same_memory(base: Path, adapter: Path) -> None:
    model, _ = load_model(base)
    adapted, _ = adapted_model(model, read_adapter(adapter))
    shared = {tensor.data_ptr() for tensor in model.state_dict().values()}
    own = {
        name: tensor
        for name, tensor in adapted.state_dict().items()
        if tensor.data_ptr() not in shared
    }
    assert {name.split(".")[0] for name in own if "lora_" not in name} == {"projector"}
    assert sum("lora_" in name for name in own) == 2 * 7 * 2
    assert not any(tensor.is_meta for tensor in [*adapted.parameters(), *adapted.buffers()])
    assert not any(parameter.requires_grad for parameter in adapted.parameters())


def test_the_stored_size_is_that_of_the_difference(adapter: Path, base: Path) -> None:
    names = set(load_file(adapter / OWN_TENSORS))
    assert names
    assert all(name.startswith("projector.") for name in names)
    assert {path.suffix for path in adapter.iterdir()} <= {".json", ".safetensors", ".jinja"}
    manifest = read_adapter_manifest(adapter)
    assert manifest.base == weights_sha256(base)
    assert manifest.weights == weights_sha256(adapter.parent / "finetune")


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def _replace_own(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / OWN_TENSORS)
    change(tensors)
    save_file(tensors, folder / OWN_TENSORS)
    _rewrite(folder, lambda tree: tree["files"].update({OWN_TENSORS: _sha(folder, OWN_TENSORS)}))


def _sha(folder: Path, name: str) -> str:
    return file_sha256(folder / name)


def _dora(folder: Path) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dora": True}))
    _rewrite(folder, lambda tree: tree["files"].update({path.name: _sha(folder, path.name)}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "expected the folder of an adapter"),
    "no JSON": (lambda f: (f / MANIFEST).write_text("{"), "expected JSON"),
    "a list": (lambda f: (f / MANIFEST).write_text("[]"), "expected a JSON object"),
    "large": (lambda f: (f / MANIFEST).write_text(" " * 2**21), "expected at most"),
    "format": (lambda f: _rewrite(f, lambda t: t.update(format=2)), "format: expected 1, found 2"),
    "field": (lambda f: _rewrite(f, lambda t: t.update(extra=2)), "extra: Extra inputs"),
    "escape": (
        lambda f: _rewrite(f, lambda t: t["files"].update({"../x": "0" * 64})),
        "should match pattern",
    ),
    "unnamed": (
        lambda f: _rewrite(f, lambda t: t["files"].pop(OWN_TENSORS)),
        "files: expected own_tensors.safetensors",
    ),
    "missing": (lambda f: (f / OWN_TENSORS).unlink(), "expected own_tensors.safetensors, found no"),
    "changed": (lambda f: (f / OWN_TENSORS).write_bytes(b"x" * 99), "found a changed file"),
    "one more": (lambda f: (f / "model.bin").touch(), "expected only the files of"),
    "shape": (
        lambda f: _replace_own(f, lambda t: t.update({min(t): torch.zeros(1, 2, 3)})),
        "expected a tensor .*, found .1, 2, 3.",
    ),
    "foreign tensor": (
        lambda f: _replace_own(f, lambda t: t.update(other=torch.zeros(1))),
        "expected tensors of the model, found other",
    ),
    "vocabulary": (
        lambda f: _rewrite(f, lambda t: t["settings"].update(vocab_size=10**12)),
        "expected a tensor .1000000000000",
    ),
    "rule": (
        lambda f: _rewrite(f, lambda t: t["settings"].update(answer_rule={"rule": "x"})),
        "answer_rule: rule: expected one of",
    ),
    "other LoRA": (_dora, "use_dora: expected plain LoRA"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_one_line(
    damage: str, base: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(adapter, tmp_path / "out")
    spoil, expected = DAMAGES[damage]
    spoil(folder)
    model, _ = load_model(base)
    with pytest.raises(ModelError, match=expected) as refused:
        adapted_model(model, read_adapter(folder, weights_sha256(base)))
    assert "\n" not in str(refused.value)


def test_an_adapter_of_another_base_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    other = write_tuned_stage(base, tmp_path / "other", seed=9)
    with pytest.raises(ModelError, match="expected an adapter of the model"):
        read_adapter(adapter, weights_sha256(other))
    (tmp_path / "out").mkdir()
    stage = adapter.parent / "finetune"
    with pytest.raises(ModelError, match="they do not belong together"):
        write_adapter(tmp_path / "out", base=base, stage=stage, lora=other / "adapter")
