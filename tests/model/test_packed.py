"""Packed, cached and unpacked training are the same training, to float tolerance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

from truelead.errors import ModelError, SpliceError
from truelead.model.batch import Batch
from truelead.model.build import fit_to_strategy, prepare_for_training
from truelead.model.packed import block_mask, flex_block_mask, refusal_of
from truelead.model.packing import first_fit_decreasing, pack
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]

BOUNDS = [1, 60, 1000]
"""Split every group to single questions, split some, and put all groups in one sequence."""


def alone(processor: TrueLeadProcessor, groups: list[GroupInput], ecgs: list[Ecg]) -> Batch:
    """Each question with its own copy of its ECGs."""
    return processor.batch(
        [
            dataclasses.replace(
                group,
                questions=(question,),
                weights=group.weights[at : at + 1],
                told_strata=group.told_strata[at : at + 1],
            )
            for group in groups
            for at, question in enumerate(group.questions)
        ],
        ecgs=ecgs,
    )


def trained(model: Any, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Losses and tokens of the rows, and the gradients of their weighted mean."""
    model.zero_grad()
    output = model(batch=batch)
    loss = (batch.weight_B * output.loss_B).sum() / (batch.weight_B * output.tokens_B).sum()
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return output.loss_B.detach(), output.tokens_B, gradients


def assert_same_training(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(found[1], expected[1])
    assert found[2].keys() == expected[2].keys()
    assert expected[2]
    for name, gradient in expected[2].items():
        scale = gradient.abs().max()
        assert (found[2][name] - gradient).abs().max() <= 1e-4 * scale + 1e-8, name


def strata(built: Built) -> None:
    fit_to_strategy(
        *built, seed=0, severity_slot={"kind": "strata", "prior": (0.5, 0.3, 0.2)}, answer_rule=None
    )


def dictionary(built: Built) -> None:
    fit_to_strategy(
        *built, seed=0, severity_slot={"kind": "dictionary", "prior": (0.6, 0.4)}, answer_rule=None
    )


def lora(built: Built) -> None:
    from tests.model.conftest import tiny_recipe

    recipe = tiny_recipe(
        language_model={
            **tiny_recipe().language_model.model_dump(),
            "train": "lora",
            "lora_rank": 2,
        }
    )
    prepare_for_training(built[0], recipe.language_model)
    with torch.no_grad():
        for name, parameter in built[0].named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.05)


def eager(built: Built) -> None:
    built[0].language_model.set_attn_implementation("eager")


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("change", [None, strata, dictionary, lora, eager])
def test_packed_cached_and_unpacked_train_alike(
    built: Built,
    groups: list[GroupInput],
    ecgs: list[Ecg],
    bound: int,
    change: Callable[[Built], None] | None,
) -> None:
    if change is not None:
        change(built)
    model, processor = built
    told = [
        dataclasses.replace(
            group, told_strata=tuple(at % 3 - 1 for at in range(1, 1 + len(group.questions)))
        )
        for group in groups
    ]
    batch = processor.batch(told, ecgs=ecgs)
    expected = trained(model, batch)
    assert_same_training(trained(model, pack(batch, bound)), expected)
    assert_same_training(trained(model, alone(processor, told, ecgs)), expected)


def test_a_question_is_read_whatever_stands_beside_it(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    """Neither other questions nor other groups reach a question: its loss ignores their words."""
    model, processor = built
    batch = pack(processor.batch(groups, ecgs=ecgs), 1000)
    ids_BS = batch.input_ids_BS.clone()
    ids_BS[1:] = ids_BS[1:].flip(1)
    with torch.no_grad():
        before = model(batch=batch).loss_B
        after = model(batch=dataclasses.replace(batch, input_ids_BS=ids_BS)).loss_B
    torch.testing.assert_close(after[0], before[0], rtol=1e-6, atol=1e-6)
    assert (after[1:] - before[1:]).abs().min() > 1e-6


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_layout_holds_every_token_and_repeats_only_prefixes(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], bound: int
) -> None:
    _, processor = built
    batch = processor.batch(groups, ecgs=ecgs)
    layout = pack(batch, bound, multiple=8).layout
    assert layout is not None
    for name, tensor in vars(pack(batch, bound, multiple=8).layout).items():
        assert torch.equal(tensor, getattr(layout, name)), name
    prefixes, real = batch.prefix_mask_GP.numel(), layout.segment_CW >= 0
    rows = layout.source_CW[layout.question_CW > 0] - prefixes
    assert torch.equal(rows.sort().values, batch.mask_BS.flatten().nonzero()[:, 0])
    copies = layout.source_CW[(layout.question_CW == 0) & real].bincount(minlength=prefixes)
    assert bool((copies[batch.prefix_mask_GP.flatten()] >= 1).all())
    assert bool((copies[~batch.prefix_mask_GP.flatten()] == 0).all())
    parts = int(layout.segment_CW.max()) + 1
    expected = {BOUNDS[0]: [batch.rows], BOUNDS[-1]: [len(groups)]}
    assert parts in expected.get(bound, range(len(groups) + 1, batch.rows))
    length_C = real.sum(dim=1)
    assert layout.segment_CW.shape[1] % 8 == 0
    longest = batch.prefix_mask_GP.sum(1).max() + batch.mask_BS.sum(1).max()
    assert int(length_C.max()) <= max(bound, int(longest))
    assert layout.tokens == int(length_C.sum())


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    bound=st.integers(1, 60),
)
def test_first_fit_decreasing(sizes: list[int], bound: int) -> None:
    bins = first_fit_decreasing(sizes, bound)
    assert sorted(item for members in bins for item in members) == list(range(len(sizes)))
    for members in bins:
        assert sum(sizes[item] for item in members) <= bound or len(members) == 1
    # No two bins could be one: each item went to the first bin that had room.
    filled = [sum(sizes[item] for item in members) for members in bins]
    assert all(a + b > bound for at, a in enumerate(filled) for b in filled[at + 1 :])


def test_equal_groups_keep_their_order() -> None:
    assert first_fit_decreasing([5, 3, 5, 3, 9], 8) == [[4], [0, 1], [2, 3]]


def test_flex_attention_gets_the_same_mask(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    from torch.nn.attention.flex_attention import create_mask

    _, processor = built
    layout = pack(processor.batch(groups, ecgs=ecgs), 80, multiple=16).layout
    assert layout is not None
    sees = flex_block_mask(layout).mask_mod
    sequences, width = layout.segment_CW.shape
    found = create_mask(sees, sequences, 1, width, width, device="cpu")
    assert torch.equal(found, block_mask(layout))


def test_layouts_end_with_their_rows(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    batch = pack(processor.batch(groups, ecgs=ecgs), 80)
    some = batch.take_rows(torch.tensor([4, 0]))
    assert some.layout is None
    with torch.no_grad():
        torch.testing.assert_close(
            model(batch=some).loss_B, model(batch=batch).loss_B[[4, 0]], rtol=1e-5, atol=1e-5
        )


def test_text_and_ecgs_that_disagree_are_refused(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    batch = pack(processor.batch(groups, ecgs=ecgs), 80)
    index = batch.ecg_index_GE.clone()
    index[1, 1] = -1
    with pytest.raises(SpliceError, match="expected 5 ECG placeholders"):
        model(batch=dataclasses.replace(batch, ecg_index_GE=index))


def test_which_language_models_can_be_packed(built: Built) -> None:
    model, _ = built
    assert refusal_of(model.language_model) is None
    assert model.training is False
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2))
    assert refusal_of(gpt2) is None
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 50}
    mistral = MistralForCausalLM(MistralConfig(**sizes, **heads, sliding_window=4))
    assert "sliding window" in str(refusal_of(mistral))
    model.language_model.config._attn_implementation = "flash_attention_2"
    assert "expected a language model with sdpa" in str(refusal_of(model.language_model))


def test_a_model_that_ignores_positions_is_refused(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    language_model = built[0].language_model
    forward = language_model.base_model.forward
    monkeypatch.setattr(
        language_model.base_model,
        "forward",
        lambda **given: forward(**{**given, "position_ids": None}),
    )
    assert "heeds positions" in str(refusal_of(language_model))


def test_an_unknown_attention_is_an_error(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    batch = pack(processor.batch(groups, ecgs=ecgs), 80)
    model.language_model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ModelError, match="flex_attention, found flash_attention_2"):
        model(batch=batch)
