"""Byte-level BPE for the small language model, and the ECG tokens for any other.

Sources: Sennrich et al. 2016 (byte-pair encoding), Radford et al. 2019 (on bytes, so that no text
is unknown).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

ECG_PLACEHOLDER = "<ecg>"
ECG_START = "<ecg_start>"
ECG_END = "<ecg_end>"
ECG_WORDS = (ECG_PLACEHOLDER, ECG_START, ECG_END)
ANSWER_START = "<answer>"

_SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", *ECG_WORDS, ANSWER_START)

SMALL_CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ message['content'] }}"
    "{% else %}" + ANSWER_START + "{{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}" + ANSWER_START + "{% endif %}"
)

PLAIN_CHAT_TEMPLATE = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ message['content'] }}\nAnswer:"
    "{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
"""For language models that bring no chat template."""


def train_tokenizer(corpus: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on `corpus`, deterministic, in the hub's format.

    The vocabulary holds the 256 bytes and 7 special tokens at least, however small a size is asked.

    Args:
        corpus: training texts (no text of a test split).
        vocabulary_size: tokens at most.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(_SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        bos_token="<bos>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        additional_special_tokens=[*ECG_WORDS, ANSWER_START],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = SMALL_CHAT_TEMPLATE
    return fast


def add_ecg_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Give a language model's own tokenizer the ECG tokens, a padding token and a chat template.

    Returns:
        The ids of tokens that were not in it before.
    """
    new_ids = add_special_tokens(tokenizer, ECG_WORDS)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    return new_ids


def add_special_tokens(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> list[int]:
    """Give a tokenizer tokens that no words of a user are ever read as.

    Returns:
        The ids of tokens that were not in it before.
    """
    known = set(tokenizer.get_vocab())
    new = [token for token in tokens if token not in known]
    tokenizer.add_tokens(new, special_tokens=True)
    return [int(tokenizer.convert_tokens_to_ids(token)) for token in new]


def encode_reports(
    tokenizer: Any, reports: Sequence[str], maximum_tokens: int = 64
) -> tuple[Tensor, Tensor]:
    """report_ids_NS (long) and report_mask_NS (bool) for the encoder's contrastive objective.

    Reports are cut after `maximum_tokens`; an empty report becomes one padding token that is seen.
    """
    rows = [
        tokenizer(report, add_special_tokens=False, split_special_tokens=True)["input_ids"][
            :maximum_tokens
        ]
        or [tokenizer.pad_token_id]
        for report in reports
    ]
    length = max((len(row) for row in rows), default=1)
    ids_NS = torch.full((len(rows), length), int(tokenizer.pad_token_id))
    mask_NS = torch.zeros((len(rows), length), dtype=torch.bool)
    for index, row in enumerate(rows):
        ids_NS[index, : len(row)] = torch.tensor(row)
        mask_NS[index, : len(row)] = True
    return ids_NS, mask_NS
