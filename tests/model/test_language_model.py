"""Any causal language model in the hub's format, from a folder made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from truelead.config import Recipe
from truelead.errors import ModelError
from truelead.model.build import build_model, load_model, prepare_for_training, save_model
from truelead.model.language_model import has_lora, load_language_model, merged_state
from truelead.model.processing import GroupInput
from truelead.types import Ecg

SIZES = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
ARCHITECTURES: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama-tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1)
    ),
}


def save_language_model(folder: Path, architecture: str = "llama") -> Path:
    """A language model as the hub would hold it, with a tokenizer that knows no ECG."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(["Is there any infarction?", "yes", "no"], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    ARCHITECTURES[architecture]().save_pretrained(folder)
    return folder


def hub_recipe(recipe: Any, folder: Path, train: str) -> Recipe:
    result: Recipe = recipe(
        language_model={"path": str(folder), "train": train, "lora_rank": 4, "lora_alpha": 8}
    )
    return result


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_folder_in_the_hubs_format(
    architecture: str, tmp_path: Path, recipe: Any, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    """Loads, gives grouped losses equal to the ordinary forward, saves and loads again."""
    folder = save_language_model(tmp_path / "lm", architecture)
    model, processor = build_model(hub_recipe(recipe, folder, "full"), None, ())
    model.eval()
    batch = processor.batch(groups, ecgs=ecgs)
    rows = [(question, group) for group in groups for question in group.questions]
    inputs = processor(
        [question.text for question, _ in rows],
        [[ecgs[index] for index in group.ecgs] for _, group in rows],
        [question.answer_text for question, _ in rows],
        padding_side="right",
    )
    mask = inputs["attention_mask"]
    with torch.no_grad():
        grouped = model(batch=batch)
        ordinary = model(**inputs, position_ids=(mask.cumsum(dim=1) - 1).clamp_min(0))
        mean = grouped.loss_B.sum() / grouped.tokens_B.sum()
        torch.testing.assert_close(mean, ordinary.loss, rtol=1e-5, atol=1e-5)
        save_model(tmp_path / "out", model, processor)
        loaded, loaded_processor = load_model(tmp_path / "out")
        again = loaded(batch=loaded_processor.batch(groups, ecgs=ecgs))
    assert torch.equal(again.loss_B, grouped.loss_B)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_lora_trains_beside_a_frozen_base(
    architecture: str, tmp_path: Path, recipe: Any, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    folder = save_language_model(tmp_path / "lm", architecture)
    wanted = hub_recipe(recipe, folder, "lora")
    model, processor = build_model(wanted, None, ())
    assert has_lora(model.language_model)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name or name.startswith("projector.") for name in trainable)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
    batch = processor.batch(groups, ecgs=ecgs)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = model(batch=batch).loss_B.mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    after = model.state_dict()
    for name in before:
        changed = not torch.equal(before[name], after[name])
        assert changed == (name in trainable), name

    save_model(tmp_path / "tuned", model, processor)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in after.items())
    loaded, _ = load_model(tmp_path / "tuned")
    assert not has_lora(loaded)
    with torch.no_grad():
        expected = model.eval()(batch=batch).loss_B
        torch.testing.assert_close(loaded(batch=batch).loss_B, expected, rtol=1e-5, atol=1e-5)
    prepare_for_training(loaded, wanted.language_model).eval()
    assert has_lora(loaded)
    with torch.no_grad():  # fresh adapters add nothing yet
        torch.testing.assert_close(loaded(batch=batch).loss_B, expected, rtol=1e-5, atol=1e-5)


def test_merging_without_adapters_changes_nothing(built: Any) -> None:
    model, _ = built
    merged, state = merged_state(model), model.state_dict()
    assert merged.keys() == state.keys()
    assert all(torch.equal(merged[name], state[name]) for name in state)


def test_frozen_language_model(tmp_path: Path, recipe: Any) -> None:
    folder = save_language_model(tmp_path / "lm")
    model, _ = build_model(hub_recipe(recipe, folder, "frozen"), None, ())
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "projector"
    }


def test_new_tokens_start_at_the_mean(tmp_path: Path, recipe: Any) -> None:
    folder = save_language_model(tmp_path / "lm")
    old = LlamaForCausalLM.from_pretrained(folder).get_input_embeddings().weight.detach()
    model, processor = build_model(hub_recipe(recipe, folder, "full"), None, ())
    new = processor.tokenizer.convert_tokens_to_ids("<ecg_end>")
    used = torch.ones(len(old), dtype=torch.bool)
    used[processor.tokenizer.convert_tokens_to_ids(["<ecg>", "<ecg_start>", "<ecg_end>"])] = False
    weight = model.get_input_embeddings().weight.detach()
    torch.testing.assert_close(weight[new], old[used].mean(dim=0))


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "abc123"])
def test_hub_ids_need_a_commit(revision: str | None) -> None:
    with pytest.raises(ModelError, match="40-digit commit of hub model 'someone/model'"):
        load_language_model("someone/model", revision)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a causal language model"):
        load_language_model(str(tmp_path))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "lm")
    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="expected a causal language model"):
        load_language_model(str(folder))


def test_remote_code_is_refused(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "lm")
    (folder / "evil.py").write_text("raise SystemExit('remote code ran')\n")
    (folder / "config.json").write_text(
        '{"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig", '
        '"AutoModelForCausalLM": "evil.Evil"}}'
    )
    with pytest.raises(ModelError, match="expected a causal language model"):
        load_language_model(str(folder))


def test_scaled_logits_are_refused(tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "lm")
    sizes = {**SIZES, "pad_token_id": 0}
    CohereForCausalLM(CohereConfig(**sizes, logit_scale=0.0625)).save_pretrained(folder)
    with pytest.raises(ModelError, match="scales its logits"):
        load_language_model(str(folder))
