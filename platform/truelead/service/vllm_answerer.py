"""A second engine behind the same interface: vLLM, which reads prompts as embeddings.

Encoder, projector and word embeddings run here as always and make each prompt's embeddings; vLLM
(Kwon et al., SOSP 2023, "Efficient Memory Management for Large Language Model Serving with
PagedAttention") runs the language model, with its own batching and its own prefix cache. A free
answer is generated. A text is scored token by token: of each of its tokens, the log-probability
when it is the only one allowed behind all before it.

NOT PROVEN: it wants a GPU and the extra `vllm`, and has run on neither here. What is tested is that
prompts and scores are those of `Answerer` where a stand-in of the same interface reads them.

Shape suffixes: B question rows, G groups, P tokens of a prefix, S tokens of a question row, H LLM
width.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from truelead.errors import ModelError
from truelead.model.answer_rule import DIRECT
from truelead.model.answering import Answerer, Ecgs, Features, closed_options
from truelead.model.batch import Batch
from truelead.model.grouped import prefix_embeddings, question_embeddings
from truelead.model.prefix import Prefixes
from truelead.model.processing import GroupInput

MEMORY_SHARE = 0.6
"""Of the GPU for vLLM; the rest is the encoder's."""


class VllmAnswerer(Answerer):
    """Answers with a model whose language model vLLM runs.

    Raises:
        ModelError: vLLM is not installed; the model answers by another rule than the options'
            likelihoods.
    """

    keeps_prefixes = False
    reads_jointly = False

    @cached_property
    def engine(self) -> Any:
        """vLLM's engine, started when it is first used."""
        try:
            import vllm
        except ImportError:
            raise ModelError("engine: vllm: expected `pip install truelead[vllm]`") from None
        with tempfile.TemporaryDirectory(prefix="truelead_") as folder:
            self.model.language_model.save_pretrained(folder)
            self.processor.tokenizer.save_pretrained(folder)
            return vllm.LLM(
                model=str(Path(folder)),
                enable_prompt_embeds=True,
                enable_prefix_caching=True,
                gpu_memory_utilization=MEMORY_SHARE,
                trust_remote_code=False,
            )

    def sampling(self, **options: Any) -> Any:
        """vLLM's parameters of one request."""
        from vllm import SamplingParams

        return SamplingParams(temperature=0.0, **options)

    def score(
        self,
        groups: Sequence[GroupInput],
        *,
        ecgs: Ecgs | None = None,
        features: Features | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[dict[str, float]]:
        """As `Answerer.score`, of models that answer by likelihood."""
        rule = (self.model.config.answer_rule or {"rule": DIRECT})["rule"]
        if rule != DIRECT:
            raise ModelError(f"engine: vllm: expected the answer rule {DIRECT}, found {rule}")
        if not groups:
            return []
        options = [closed_options(one) for group in groups for one in group.questions]
        write = self.processor.prompts.answer
        batch = self.processor.batch(groups, ecgs=ecgs, features=features)
        scores = self.score_texts(batch, [[write(one) for one in some] for some in options])
        return [
            dict(zip(some, values, strict=True))
            for some, values in zip(options, scores, strict=True)
        ]

    def generate(
        self,
        groups: Sequence[GroupInput],
        *,
        ecgs: Ecgs | None = None,
        features: Features | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[str]:
        """As `Answerer.generate`."""
        if not groups:
            return []
        tokenizer = self.processor.tokenizer
        batch = self.processor.batch(groups, ecgs=ecgs, features=features)
        parameters = self.sampling(
            max_tokens=self.maximum_tokens, stop_token_ids=[int(tokenizer.eos_token_id)]
        )
        prompts = [{"prompt_embeds": row_SH} for row_SH in self.prompts_of(batch)]
        found = self.engine.generate(prompts, parameters)
        return [
            tokenizer.decode(list(one.outputs[0].token_ids), skip_special_tokens=True).strip()
            for one in found
        ]

    def score_texts(
        self, batch: Batch, texts: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """As `Answerer.score_texts`: one request a token, all in one call."""
        embedding = self.model.get_input_embeddings()
        prompts: list[dict[str, Tensor]] = []
        parameters: list[Any] = []
        for row_SH, choices in zip(self.prompts_of(batch), texts, strict=True):
            for ids in choices:
                text_SH = embedding(torch.tensor(ids, device=self.model.device)).detach().cpu()
                for at, token in enumerate(ids):
                    prompts.append({"prompt_embeds": torch.cat([row_SH, text_SH[:at]])})
                    # The log-probability is that before other tokens are forbidden.
                    parameters.append(
                        self.sampling(max_tokens=1, logprobs=0, allowed_token_ids=[int(token)])
                    )
        found = iter(self.engine.generate(prompts, parameters))
        return [
            [sum(_log_probability(next(found), token) for token in ids) for ids in choices]
            for choices in texts
        ]

    @torch.inference_mode()
    def prompts_of(self, batch: Batch) -> list[Tensor]:
        """embeds_SH of each row: its prefix with the ECGs, and its question; on the CPU."""
        batch = batch.to(self.model.device)
        prefix_GPH = prefix_embeddings(self.model, batch)
        rows_BSH = question_embeddings(self.model, batch, prefix_GPH)
        return [
            torch.cat(
                [
                    prefix_GPH[group][batch.prefix_mask_GP[group]],
                    rows_BSH[row][batch.mask_BS[row]],
                ]
            ).cpu()
            for row, group in enumerate(batch.group_B.tolist())
        ]


def _log_probability(found: Any, token: int) -> float:
    return float(found.outputs[0].logprobs[0][int(token)].logprob)
