"""The severity slot: what stands before a question, in both ways of reading it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from truelead.errors import ModelError, SpliceError
from truelead.model.answer_rule import STRATA_SUM
from truelead.model.answering import Answerer, closed_options, is_closed
from truelead.model.build import (
    build_model,
    fit_to_strategy,
    load_model,
    prepare_for_training,
    save_model,
)
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.model.severity_slot import QUESTION_END, SEVERITY, make_severity_slot
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]
PRIOR = [0.5, 0.3, 0.2]
KINDS = ("strata", "dictionary")


def fitted(built: Built, kind: str, prior: list[float] | None = None, exact: bool = False) -> Built:
    model, processor = built
    fit_to_strategy(
        model,
        processor,
        seed=0,
        severity_slot={"kind": kind, "prior": prior or PRIOR},
        answer_rule={"rule": STRATA_SUM} if exact else None,
    )
    with torch.no_grad():  # a fresh model hardly reads what stands before a word
        model.severity_slot.table.weight.mul_(20)
        for weight in model.language_model.base_model.layers.parameters():
            if weight.ndim == 2:
                weight.mul_(6)
    return model.eval(), processor


def told(groups: list[GroupInput]) -> list[GroupInput]:
    """The groups with strata 0, 1, 2, none, 0, ... told."""
    strata = iter([0, 1, 2, -1] * 10)
    return [
        dataclasses.replace(group, told_strata=tuple(next(strata) for _ in group.questions))
        for group in groups
    ]


def unpacked(
    processor: TrueLeadProcessor, groups: list[GroupInput], ecgs: list[Ecg], side: str = "right"
) -> dict[str, Tensor]:
    rows = [(question, group) for group in groups for question in group.questions]
    inputs = processor(
        [question.text for question, _ in rows],
        [[ecgs[index] for index in group.ecgs] for _, group in rows],
        [question.answer_text for question, _ in rows],
        padding_side=side,
    )
    strata = [s for g in groups for s in (g.told_strata or (-1,) * len(g.questions))]
    return {**inputs, "told_stratum_B": torch.tensor(strata)}


def row_losses(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none"
    ).sum(dim=1)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_shared_prefix_equals_ordinary_forward(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], kind: str, side: str
) -> None:
    model, processor = fitted(built, kind)
    some = [*told(groups), GroupInput((), groups[0].questions, told_strata=(2, 0, -1))]
    inputs = unpacked(processor, some, ecgs, side)
    with torch.no_grad():
        grouped = model(batch=processor.batch(some, ecgs=ecgs)).loss_B
        ordinary = row_losses(model(**inputs).logits, inputs["labels"])
    torch.testing.assert_close(grouped, ordinary, rtol=1e-4, atol=1e-5)


def test_a_model_without_a_slot_reads_the_same_tokens(
    built: Built, recipe: Any, corpus: Any, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    plain, plain_processor = built
    assert not any("severity" in name for name in plain.state_dict())
    assert SEVERITY not in plain_processor.tokenizer.get_vocab()
    _, slotted = fitted(build_model(recipe(), None, corpus), "dictionary")
    ids = {word: slotted.tokenizer.convert_tokens_to_ids(word) for word in (SEVERITY, QUESTION_END)}
    for one, other in zip(
        plain_processor.batch(groups, ecgs=ecgs).input_ids_BS.tolist(),
        slotted.batch(groups, ecgs=ecgs).input_ids_BS.tolist(),
        strict=True,
    ):
        assert other[0] == ids[SEVERITY]
        assert other.count(ids[SEVERITY]) == other.count(ids[QUESTION_END]) == 1
        assert [token for token in other if token not in ids.values()] == one
    for other_kind in ("prefix_ids_GP", "labels_BS"):
        same = getattr(plain_processor.batch(groups, ecgs=ecgs), other_kind)
        kept = getattr(slotted.batch(groups, ecgs=ecgs), other_kind)
        assert sorted(same.flatten().tolist()) == sorted(kept.flatten().tolist())[-same.numel() :]


def test_words_that_look_like_the_slot_stay_words(built: Built) -> None:
    _, processor = fitted(built, "dictionary")
    slot = processor.tokenizer.convert_tokens_to_ids(SEVERITY)
    assert processor.prompts.question(f"Is {SEVERITY} {QUESTION_END} here?").count(slot) == 1


def test_the_exact_sum_is_brute_force_over_separate_prompts(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = fitted(built, "strata", exact=True)
    found = Answerer(model, processor, rows=5).score(groups, ecgs=ecgs)
    at = 0
    for group in groups:
        for question in group.questions:
            options = closed_options(question)
            assert list(found[at]) == list(options)
            probability = torch.zeros(len(options))
            for stratum, share in enumerate(PRIOR):
                scores = []
                for option in options:
                    inputs = processor([question.text], [[ecgs[i] for i in group.ecgs]], [option])
                    logits = model(**inputs, told_stratum_B=torch.tensor([stratum])).logits
                    scores.append(-row_losses(logits, inputs["labels"])[0])
                if scores:
                    probability += share * torch.stack(scores).detach().softmax(dim=0)
            torch.testing.assert_close(
                torch.tensor(list(found[at].values())).exp(), probability, rtol=1e-4, atol=1e-5
            )
            at += 1
    assert at == len(found)


def test_each_ecg_is_read_once_for_all_strata(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = fitted(built, "strata", exact=True)
    rows: list[int] = []
    reader = model.language_model.base_model
    hook = reader.register_forward_pre_hook(
        lambda _, __, named: rows.append(len(named["inputs_embeds"])), with_kwargs=True
    )
    Answerer(model, processor).score(groups, ecgs=ecgs)
    hook.remove()
    questions = sum(len(group.questions) for group in groups)
    assert rows[:2] == [len(groups), len(PRIOR) * questions]


def closed(groups: list[GroupInput]) -> list[GroupInput]:
    kept = [
        dataclasses.replace(group, questions=tuple(q for q in group.questions if is_closed(q)))
        for group in groups
    ]
    return [dataclasses.replace(g, weights=()) for g in kept if g.questions]


def log_odds(model: Any, processor: TrueLeadProcessor, groups: Any, ecgs: Any) -> Tensor:
    """log of yes : no of each closed question."""
    answers = Answerer(model, processor).answer_groups(closed(groups), ecgs=ecgs)
    odds = [a.option_probabilities["yes"] / a.option_probabilities["no"] for a in answers]
    return torch.tensor(odds).log()


def one_stratum(model: Any, processor: Any, groups: Any, ecgs: Any, stratum: int) -> Tensor:
    """Log odds where P(s) is all in one stratum."""
    prior = [float(index == stratum) for index in range(len(PRIOR))]
    fit_to_strategy(
        model,
        processor,
        seed=0,
        severity_slot={"kind": "strata", "prior": prior},
        answer_rule={"rule": STRATA_SUM},
    )
    return log_odds(model, processor, groups, ecgs)


def test_the_prior_weighs_the_strata_in_their_order(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = fitted(built, "strata", exact=True)
    mixed = log_odds(model, processor, groups, ecgs)
    single = [one_stratum(model, processor, groups, ecgs, stratum) for stratum in range(3)]
    assert (single[0] - single[2]).abs().max() > 0.01
    # "not sure" is all but impossible, so that yes and no share the whole.
    expected = sum(share * one.sigmoid() for share, one in zip(PRIOR, single, strict=True))
    torch.testing.assert_close(mixed.sigmoid(), expected, rtol=1e-4, atol=1e-8)
    # Strata in another order, embeddings and P(s) alike, are the same strata.
    with torch.no_grad():
        model.severity_slot.table.weight.copy_(model.severity_slot.table.weight.flip(0))
    fit_to_strategy(
        model,
        processor,
        seed=0,
        severity_slot={"kind": "strata", "prior": PRIOR[::-1]},
        answer_rule={"rule": STRATA_SUM},
    )
    torch.testing.assert_close(
        log_odds(model, processor, groups, ecgs), mixed, rtol=1e-4, atol=1e-5
    )


def test_one_pass_is_the_expected_embedding_and_exact_for_equal_strata(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = fitted(built, "strata", exact=True)
    apart = log_odds(model, processor, groups, ecgs)
    model.config.answer_rule = None
    one_pass = log_odds(model, processor, groups, ecgs)
    assert (one_pass - apart).abs().max() > 1e-3
    table = model.severity_slot.table.weight
    with torch.no_grad():
        table.copy_((torch.tensor(PRIOR) @ table).expand_as(table))
    torch.testing.assert_close(
        log_odds(model, processor, groups, ecgs), one_pass, rtol=1e-4, atol=1e-5
    )
    model.config.answer_rule = {"rule": STRATA_SUM}
    torch.testing.assert_close(
        log_odds(model, processor, groups, ecgs), one_pass, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("exact", [True, False])
def test_answers_do_not_know_the_questions_own_severity(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], exact: bool
) -> None:
    model, processor = fitted(built, "strata", exact=exact)
    other = [
        dataclasses.replace(
            group, questions=tuple(dataclasses.replace(q, severity=2) for q in group.questions)
        )
        for group in groups
    ]
    assert torch.equal(
        log_odds(model, processor, groups, ecgs), log_odds(model, processor, other, ecgs)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_table(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], kind: str
) -> None:
    model, processor = fitted(built, kind)
    slot = model.severity_slot
    some = dataclasses.replace(groups[0], told_strata=(1, 1, 2))
    model(batch=processor.batch([some], ecgs=ecgs)).loss_B.sum().backward()
    reached = slot.table.weight.grad.abs().sum(dim=1) > 0
    assert reached.tolist() == ([False, True, True] if kind == "strata" else [True] * 3)
    if kind == "dictionary":
        assert slot.query.weight.grad.abs().sum() > 0
        assert slot.key.weight.grad.abs().sum() > 0
    # A row that is told nothing moves every stratum, in proportion to P(s).
    model.zero_grad()
    model(batch=processor.batch(groups[:1], ecgs=ecgs)).loss_B.sum().backward()
    norm_A = slot.table.weight.grad.norm(dim=1)
    if kind == "strata":
        torch.testing.assert_close(norm_A / norm_A.sum(), torch.tensor(PRIOR))


def test_the_dictionary_is_its_formula(built: Built) -> None:
    model, _ = fitted(built, "dictionary")
    slot = model.severity_slot
    ids = torch.tensor([[slot.token_id, 40, 50, 60, slot.question_end_id, 70, 80]])
    embeds = model.get_input_embeddings()(ids)
    ecg = torch.randn(1, embeds.shape[2])

    def unit(x: Tensor) -> Tensor:
        return x / x.pow(2).mean(dim=-1, keepdim=True).sqrt()

    with torch.no_grad():
        found = slot(embeds, ids, torch.tensor([-1]), ecg)
        words = embeds[0, 1:4].mean(dim=0)
        q = slot.query.weight @ unit(torch.cat([unit(words), unit(ecg[0])]))
        z = slot.table.weight
        k = unit(z) @ slot.key.weight.T
        attention = (k @ q / q.shape[0] ** 0.5).softmax(dim=0)
        expected = ((attention * torch.tensor(PRIOR))[:, None] * z).sum(dim=0) * 3
        torch.testing.assert_close(found[0, 0], expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(found[:, 1:], embeds[:, 1:])
        # What stands behind the question, its answer, is not read.
        ids[0, 5] = 90
        again = slot(model.get_input_embeddings()(ids), ids, torch.tensor([-1]), ecg)
    assert torch.equal(again[0, 0], found[0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_generation_equals_the_hubs(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], kind: str
) -> None:
    model, processor = fitted(built, kind, exact=kind == "strata")
    found = iter(Answerer(model, processor, maximum_tokens=5).generate(groups, ecgs=ecgs))
    for group in groups:
        for question in group.questions:
            inputs = processor([question.text], [[ecgs[index] for index in group.ecgs]])
            text = next(found)
            for cached in (True, False):
                written = model.generate(
                    **inputs, max_new_tokens=5, do_sample=False, use_cache=cached
                )
                ids = written[0, inputs["input_ids"].shape[1] :]
                assert text == processor.tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize("train", ["full", "lora", "frozen"])
@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(
    tmp_path: Path, built: Built, recipe: Any, ecgs: list[Ecg], groups: Any, kind: str, train: str
) -> None:
    model, processor = fitted(built, kind, exact=kind == "strata")
    prepare_for_training(model, recipe(language_model={"train": train}).language_model)
    assert all(parameter.requires_grad for parameter in model.severity_slot.parameters())
    save_model(tmp_path, model, processor)
    assert json.loads((tmp_path / "processor_config.json").read_text())["severity_slot"] == kind
    loaded, loaded_processor = load_model(tmp_path)
    assert loaded.config.answer_rule == model.config.answer_rule
    batches = [p.batch(told(groups), ecgs=ecgs) for p in (processor, loaded_processor)]
    assert torch.equal(batches[0].input_ids_BS, batches[1].input_ids_BS)
    with torch.no_grad():
        assert torch.equal(loaded(batch=batches[1]).loss_B, model.eval()(batch=batches[0]).loss_B)
    # A following stage: the slot is kept with what it learned.
    fit_to_strategy(loaded, loaded_processor, seed=9)
    assert torch.equal(loaded.severity_slot.table.weight, model.severity_slot.table.weight)
    assert loaded.config.answer_rule is None


def test_a_ready_language_model_takes_a_slot(
    tmp_path: Path, built: Built, recipe: Any, corpus: Any, groups: list[GroupInput], ecgs: Any
) -> None:
    """The vocabulary grows by the tokens that are missing, in every place that counts it."""
    model, processor = built
    model.language_model.save_pretrained(tmp_path / "lm")
    processor.tokenizer.save_pretrained(tmp_path / "lm")
    ready, own = build_model(recipe(language_model={"path": str(tmp_path / "lm")}), None, corpus)
    before = len(own.tokenizer)
    fitted((ready, own), "dictionary")
    assert len(own.tokenizer) == before + 2
    assert ready.config.text_config.vocab_size == before + 2
    assert ready.get_output_embeddings().weight.shape[0] == before + 2
    save_model(tmp_path / "whole", ready, own)
    loaded, loaded_processor = load_model(tmp_path / "whole")
    batch = loaded_processor.batch(groups, ecgs=ecgs)
    with torch.no_grad():
        assert torch.equal(loaded(batch=batch).loss_B, ready(batch=batch).loss_B)


def test_a_row_without_its_slot_is_refused(
    built: Built, recipe: Any, corpus: Any, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    _, without = build_model(recipe(), None, corpus)
    model, processor = fitted(built, "strata")
    with pytest.raises(SpliceError, match=r"row 0: expected 1 <severity> token, found 0"):
        model(batch=without.batch(groups, ecgs=ecgs))
    with pytest.raises(SpliceError, match=r"expected 1 <severity> token, found 0"):
        model(**without(["Is there?"], [[ecgs[0]]]))
    inputs = processor(["Is there?"], [[ecgs[0]]])
    with pytest.raises(SpliceError, match="expected 0 ECG placeholders"):
        model(input_ids=inputs["input_ids"])


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16(built: Built, groups: list[GroupInput], ecgs: list[Ecg], kind: str) -> None:
    model, processor = fitted(built, kind)
    batch = processor.batch(told(groups), ecgs=ecgs)
    with torch.no_grad():
        expected = model(batch=batch).loss_B
    model.to(torch.bfloat16)
    found = model(batch=batch).loss_B
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.2)
    found.sum().backward()
    assert torch.isfinite(model.severity_slot.table.weight.grad).all()


def test_new_slots_are_a_function_of_the_seed(recipe: Any, corpus: Any) -> None:
    tables = []
    for seed in (1, 1, 2):
        model, processor = build_model(recipe(), None, corpus)
        state = torch.random.get_rng_state()
        slot = {"kind": "dictionary", "prior": PRIOR}
        fit_to_strategy(model, processor, seed=seed, severity_slot=slot)
        assert torch.equal(state, torch.random.get_rng_state())
        tables.append(model.severity_slot.table.weight)
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
    words = model.get_input_embeddings().weight.pow(2).mean().sqrt()
    assert 0.5 < tables[0].pow(2).mean().sqrt() / words < 2


def test_another_slot_is_refused(built: Built) -> None:
    model, processor = fitted(built, "strata")
    for slot in ({"kind": "dictionary", "prior": PRIOR}, {"kind": "strata", "prior": [0.5, 0.5]}):
        with pytest.raises(ModelError, match="expected the model's own, strata of 3"):
            fit_to_strategy(model, processor, seed=0, severity_slot=slot)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "stratum", "prior": [1.0], "token_id": 1}, "kind: expected one of strata, dic"),
        ({"kind": "strata", "prior": [], "token_id": 1}, "prior: expected probabilities"),
        ({"kind": "strata", "prior": [0.7, 0.7], "token_id": 1}, "prior: expected probabilities"),
        ({"kind": "strata", "prior": [1.5, -0.5], "token_id": 1}, "prior: expected probabilities"),
        ({"kind": "strata", "prior": [1.0]}, "strata: .*token_id"),
        ({"kind": "dictionary", "prior": [1.0], "token_id": 1}, "dictionary: .*question_end_id"),
    ],
)
def test_impossible_slots_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=f"severity_slot: {message}"):
        make_severity_slot(options, 8)
