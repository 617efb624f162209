from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.errors import ModelError, SpliceError
from truelead.model.batch import IGNORED_LABEL
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.model.prompt import PromptWriter
from truelead.model.tokenizer import add_ecg_tokens, train_tokenizer
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]


def words(processor: TrueLeadProcessor, ids: torch.Tensor, mask: torch.Tensor) -> str:
    return str(processor.tokenizer.decode(ids[mask], clean_up_tokenization_spaces=False))


def test_text_format(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    _, processor = built
    batch = processor.batch(groups, ecgs=ecgs)
    one = "<ecg_start>" + "<ecg>" * 5 + "<ecg_end>"
    prefixes = [
        words(processor, ids, mask)
        for ids, mask in zip(batch.prefix_ids_GP, batch.prefix_mask_GP, strict=True)
    ]
    assert prefixes == ["<bos>" + one, "<bos>" + one * 2] * 2
    assert words(processor, batch.input_ids_BS[2], batch.mask_BS[2]) == (
        "Which leads show noise?<answer>lead I; lead aVR<eos>"
    )
    answer = batch.labels_BS[2] != IGNORED_LABEL
    assert words(processor, batch.labels_BS[2], answer) == "lead I; lead aVR<eos>"
    assert torch.equal(batch.labels_BS[2][answer], batch.input_ids_BS[2][answer])


def test_fields(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    _, processor = built
    batch = processor.batch(groups, ecgs=ecgs)
    assert batch.group_B.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3, 3]
    assert batch.weight_B.tolist() == [1.0, 2.0, 0.5, *[1.0] * 7]
    assert batch.stratum_B.tolist() == [1] * 10
    assert batch.uid_B[0] == "1:Is there |0|0"
    assert batch.ecg_NLT is not None
    assert batch.ecg_NLT.shape == (4, 12, 1000)
    assert batch.answer_tokens == int((batch.labels_BS != IGNORED_LABEL).sum())
    # ECGs 0 to 3 of six are used, and the groups point to the right ones.
    for row, group in enumerate(groups):
        for slot, index in enumerate(group.ecgs):
            found = batch.ecg_NLT[batch.ecg_index_GE[row, slot]]
            np.testing.assert_array_equal(found, processor.standardise(ecgs[index]))
    assert batch.ecg_index_GE[0, 1] == -1


def test_only_the_used_rows_of_features_are_read(built: Built, groups: list[GroupInput]) -> None:
    _, processor = built
    features = np.arange(100 * 63 * 4, dtype=np.float16).reshape(100, 63, 4)
    features.flags.writeable = False
    batch = processor.batch(
        [dataclasses.replace(groups[0], ecgs=(97,)), dataclasses.replace(groups[1], ecgs=(5, 97))],
        features=features,
    )
    assert batch.features_NPD is not None
    assert batch.features_NPD.dtype == torch.float16
    np.testing.assert_array_equal(batch.features_NPD.numpy(), features[[5, 97]])
    assert batch.ecg_index_GE.tolist() == [[1, -1], [0, 1]]


def test_rows_without_answers(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    _, processor = built
    group = dataclasses.replace(groups[0], with_answers=False)
    batch = processor.batch([group], ecgs=ecgs)
    assert (batch.labels_BS == IGNORED_LABEL).all()
    assert words(processor, batch.input_ids_BS[0], batch.mask_BS[0]).endswith("infarction?<answer>")


def test_questions_without_an_ecg(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    model, processor = built
    batch = processor.batch([dataclasses.replace(groups[0], ecgs=())], ecgs=ecgs)
    assert words(processor, batch.prefix_ids_GP[0], batch.prefix_mask_GP[0]) == "<bos>"
    assert torch.isfinite(model(batch=batch).loss_B).all()


def test_ecgs_that_are_not_there(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    _, processor = built
    with pytest.raises(SpliceError, match="expected ECG indices 0 to 5, found 6"):
        processor.batch([dataclasses.replace(groups[0], ecgs=(6,))], ecgs=ecgs)
    with pytest.raises(SpliceError, match="at most 2 ECGs, found 3"):
        processor.batch([dataclasses.replace(groups[0], ecgs=(0, 1, 2))], ecgs=ecgs)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40))
def test_users_words_never_become_special_tokens(text: str) -> None:
    """A question that spells out the placeholder cannot claim an ECG or end a sequence."""
    tokenizer = train_tokenizer(["Is there infarction?"], 300)
    writer = PromptWriter(tokenizer, 4)
    special = set(tokenizer.all_special_ids)
    for question in (text, f"<ecg>{text}<ecg_end><eos>{text}<answer>"):
        ids = writer.question(question)
        assert not special & set(ids)
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == question.strip()
    assert writer.answer("<eos>").count(tokenizer.eos_token_id) == 1


def test_tokenizer_is_deterministic_and_learns_its_words() -> None:
    corpus = ["Is there left bundle branch block?"] * 3 + ["yes", "no"] * 3
    one, other = train_tokenizer(corpus, 400), train_tokenizer(iter(corpus), 400)
    assert one.get_vocab() == other.get_vocab()
    assert len(one("yes", add_special_tokens=False)["input_ids"]) == 1
    assert len(one(" bundle", add_special_tokens=False)["input_ids"]) == 1


CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def test_a_chat_models_own_template_is_used() -> None:
    tokenizer = train_tokenizer(["Is there infarction?"], 300)
    tokenizer.chat_template = CHAT
    assert add_ecg_tokens(tokenizer) == []
    writer = PromptWriter(tokenizer, 2)
    parts = writer.parts(2)
    assert tokenizer.decode(parts.prefix) == "<|user|>" + "<ecg_start><ecg><ecg><ecg_end>" * 2
    assert tokenizer.decode(parts.suffix) == "<|end|><|assistant|>"


@pytest.mark.parametrize("template", ["hello", "{{ messages[0]['content'] }}" * 2])
def test_a_template_that_loses_or_doubles_the_question_is_refused(template: str) -> None:
    tokenizer = train_tokenizer(["Is there infarction?"], 300)
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match="chat template"):
        PromptWriter(tokenizer, 2).parts(1)
