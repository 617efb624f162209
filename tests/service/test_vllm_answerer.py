"""Prompts and scores for vLLM are the model's own, where a stand-in reads the embeddings.

The stand-in runs the Hugging Face language model behind the few calls of vLLM that are used; vLLM
itself wants a GPU and is not tested here.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from truelead.errors import ModelError
from truelead.model.answering import Answerer, as_question
from truelead.model.processing import GroupInput
from truelead.service.vllm_answerer import VllmAnswerer


class StandIn:
    """`LLM.generate` of prompt embeddings, by the model's own language model."""

    def __init__(self, answerer: VllmAnswerer) -> None:
        self.model = answerer.model

    @torch.inference_mode()
    def generate(self, prompts: list[dict[str, Any]], parameters: Any) -> list[Any]:
        each = parameters if isinstance(parameters, list) else [parameters] * len(prompts)
        return [
            self._one(prompt["prompt_embeds"], one)
            for prompt, one in zip(prompts, each, strict=True)
        ]

    def _one(self, embeds_SH: torch.Tensor, given: Any) -> Any:
        tokens: list[int] = []
        logprobs = []
        while len(tokens) < given.max_tokens:
            logits_V = self.model.language_model(inputs_embeds=embeds_SH[None]).logits[0, -1]
            raw_V = logits_V.float().log_softmax(dim=-1)
            allowed = getattr(given, "allowed_token_ids", None)
            token = allowed[0] if allowed else int(raw_V.argmax())
            if token in getattr(given, "stop_token_ids", ()):
                break
            tokens.append(token)
            logprobs.append({token: SimpleNamespace(logprob=float(raw_V[token]))})
            next_1H = self.model.get_input_embeddings()(torch.tensor([token]))
            embeds_SH = torch.cat([embeds_SH, next_1H])
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=tokens, logprobs=logprobs)])


def test_answers_are_those_of_the_model(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Answerer.from_pretrained(model_folder, maximum_tokens=5)
    other = VllmAnswerer.from_pretrained(model_folder, maximum_tokens=5)
    assert isinstance(other, VllmAnswerer)
    other.__dict__["engine"] = StandIn(other)
    monkeypatch.setattr(other, "sampling", SimpleNamespace)
    encoder = plain.model.encoder
    shape = (3, encoder.tokens(encoder.samples), encoder.width)
    features = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    groups = [
        GroupInput((0,), (as_question("Normal?", ("yes", "not sure")), as_question("What?"))),
        GroupInput((1, 2), (as_question("Changed?", ("no", "yes")),)),
    ]
    expected = plain.answer_groups(groups, features=features)
    found = other.answer_groups(groups, features=features)
    for one, two in zip(found, expected, strict=True):
        assert one.text == two.text
        assert one.option_probabilities == pytest.approx(two.option_probabilities, abs=1e-5)


def test_without_vllm_the_extra_is_named(model_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"truelead\[vllm\]"):
        _ = VllmAnswerer.from_pretrained(model_folder).engine
