"""The severity slot: one embedding before the question, through which severity is adjusted for.

Every question row of a model with a slot begins with the token `<severity>`; what stands there is
not that token's embedding but what a slot makes of it. Two kinds:

    strata      training shows e_s of the row's stratum, so that the model learns P(a | q, E, s).
                Answering never shows a stratum. Either all strata are read and summed,
                sum over s of P(s) P(a | q, E, s) (`truelead.model.answer_rule`), or one pass reads
                the expected embedding, sum over s of P(s) e_s.
    dictionary  training and answering alike read sum over z of
                softmax over z of (q . k_z / sqrt(H)) P(z) z,
                z the learned prototypes of a confounder dictionary, q a query made from the
                question and its ECGs.

The one pass is the normalised weighted geometric mean approximation: the softmax of an expected
input stands for the expected softmax. It is exact where the e_s are equal or where the logits are
linear in them and the geometric and arithmetic means agree; it errs the more, the more the strata
disagree about the answer.

Sources: Pearl, Causality (2nd edition, 2009), section 3.3 (backdoor adjustment); Xu et al., ICML
2015 (the approximation, for attention); Wang et al., Visual Commonsense R-CNN, CVPR 2020 (its use
for the adjustment, and the confounder dictionary with P(z)).

Shape suffixes: B rows, S tokens, H LLM width, A severity strata or entries of the dictionary.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.errors import ModelError, SpliceError

SEVERITY = "<severity>"
QUESTION_END = "<question_end>"
NOT_TOLD = -1
"""Stratum of a row whose severity the model is not told."""


class SeveritySlot(nn.Module, ABC):
    """Fills the place of `<severity>`; a part of `SEVERITY_SLOTS`.

    Args:
        prior: P(s) of the strata or P(z) of the entries, in order.
        token_id: id of `SEVERITY`.
        hidden_size: H.

    Attributes:
        WORDS: special tokens written before and after every question.
    """

    WORDS: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = ((SEVERITY,), ())

    def __init__(self, prior: tuple[float, ...], token_id: int, hidden_size: int) -> None:
        super().__init__()
        # Python numbers, no buffer: a bfloat16 training would round it.
        self.prior = prior
        self.token_id = token_id
        self.table = nn.Embedding(len(prior), hidden_size)

    @abstractmethod
    def value(
        self, embeds_BSH: Tensor, input_ids_BS: Tensor, told_stratum_B: Tensor, ecg_BH: Tensor
    ) -> Tensor:
        """float32 [B, H]: what stands in the slot of each row."""

    def forward(
        self, embeds_BSH: Tensor, input_ids_BS: Tensor, told_stratum_B: Tensor, ecg_BH: Tensor
    ) -> Tensor:
        """embeds_BSH with the slots filled.

        Args:
            embeds_BSH: embeddings of rows with one slot each.
            input_ids_BS: their token ids.
            told_stratum_B: long, stratum that the model is told, `NOT_TOLD` where none.
            ecg_BH: mean of the ECG tokens that a row is about, 0 where none.

        Raises:
            SpliceError: a row does not hold exactly one slot.
        """
        slot_BS = input_ids_BS == self.token_id
        found_B = slot_BS.sum(dim=1)
        if bool((found_B != 1).any()):
            row = int((found_B != 1).nonzero()[0])
            raise SpliceError(f"row {row}: expected 1 {SEVERITY} token, found {int(found_B[row])}")
        value_BH = self.value(embeds_BSH, input_ids_BS, told_stratum_B, ecg_BH)
        return torch.where(slot_BS[:, :, None], value_BH[:, None].to(embeds_BSH.dtype), embeds_BSH)

    @torch.no_grad()
    def match_scale(self, embedding: nn.Module) -> None:
        """Draw the table anew at the root mean square of the language model's embeddings."""
        weight: Any = embedding.weight
        scale = float(weight.float().pow(2).mean().sqrt().clamp_min(1e-3))
        self.table.weight.normal_(0.0, scale)

    def _rows(self) -> Tensor:
        """The table, float32 [A, H]; through the embedding's own forward, as sharding wants it."""
        weight = self.table.weight
        table_AH: Tensor = self.table(torch.arange(len(self.prior), device=weight.device))
        return table_AH.float()


class StrataSlot(SeveritySlot):
    """An embedding e_s for each stratum; a row not told its stratum gets sum over s of P(s) e_s.

    Assumes that the strata capture the confounder, and that every question occurs in every
    stratum (positivity): where (q, s) was never seen, P(a | q, E, s) is the model's guess.
    P(s) stands for P(s | do(q), E). Where the ECG itself tells the severity the two differ, and
    the sum gives weight to strata that the ECG rules out.
    """

    def value(
        self, embeds_BSH: Tensor, input_ids_BS: Tensor, told_stratum_B: Tensor, ecg_BH: Tensor
    ) -> Tensor:
        """See `SeveritySlot.value`."""
        prior_A = torch.tensor(self.prior, dtype=torch.float32, device=told_stratum_B.device)
        told_BA = functional.one_hot(told_stratum_B.clamp_min(0), len(self.prior)).float()
        weight_BA = torch.where((told_stratum_B >= 0)[:, None], told_BA, prior_A)
        return weight_BA @ self._rows()


class DictionarySlot(SeveritySlot):
    """A learned dictionary of confounder prototypes, read by attention and weighted by P(z).

    The query is made from the mean of the question's embeddings and the mean of the ECG tokens.
    The sum is taken times the number of entries, which makes P(z) a weight with mean 1 and keeps
    the slot at the scale of a word; the prototypes would otherwise have to learn that factor.

    Assumes that training moves the prototypes to where confounders differ: nothing tells them
    which entry is which stratum, so unlike with `StrataSlot` there is no promise that severity is
    what is adjusted for. Without variety in the questions the attention may collapse on one entry.
    """

    WORDS = ((SEVERITY,), (QUESTION_END,))

    def __init__(
        self, prior: tuple[float, ...], token_id: int, hidden_size: int, *, question_end_id: int
    ) -> None:
        super().__init__(prior, token_id, hidden_size)
        self.question_end_id = question_end_id
        self.query = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)

    def value(
        self, embeds_BSH: Tensor, input_ids_BS: Tensor, told_stratum_B: Tensor, ecg_BH: Tensor
    ) -> Tensor:
        """See `SeveritySlot.value`; what is told of the stratum is not read."""
        begun_BS = (input_ids_BS == self.token_id).cumsum(dim=1)
        ended_BS = (input_ids_BS == self.question_end_id).cumsum(dim=1)
        inside_BS = (begun_BS > ended_BS) & (input_ids_BS != self.token_id)
        prototype_AH = self._rows()
        about_B2H = _unit(torch.cat([_unit(masked_mean(embeds_BSH, inside_BS)), _unit(ecg_BH)], 1))
        dtype = self.table.weight.dtype
        query_BH = self.query(about_B2H.to(dtype)).float()
        key_AH = self.key(_unit(prototype_AH).to(dtype)).float()
        attention_BA = (query_BH @ key_AH.T / math.sqrt(key_AH.shape[1])).softmax(dim=1)
        prior_A = attention_BA.new_tensor(self.prior) * len(self.prior)
        return (attention_BA * prior_A) @ prototype_AH


SEVERITY_SLOTS: dict[str, type[SeveritySlot]] = {
    "strata": StrataSlot,
    "dictionary": DictionarySlot,
}


def make_severity_slot(options: Mapping[str, Any], hidden_size: int) -> SeveritySlot:
    """The slot that a model's configuration describes, freshly initialised.

    Args:
        options: "kind" (a name of `SEVERITY_SLOTS`), "prior", "token_id", and for a dictionary
            "question_end_id".

    Raises:
        ModelError: no such kind; keys that it does not have; a prior that is no distribution.
    """
    values = dict(options)
    kind = values.pop("kind", None)
    prior = check_prior(values.pop("prior", ()))
    if kind not in SEVERITY_SLOTS:
        known = ", ".join(SEVERITY_SLOTS)
        raise ModelError(f"severity_slot: kind: expected one of {known}, found {kind!r}")
    try:
        return SEVERITY_SLOTS[kind](prior, hidden_size=hidden_size, **values)
    except TypeError as error:
        raise ModelError(f"severity_slot: {kind}: {error}") from None


def check_prior(prior: Any) -> tuple[float, ...]:
    """A distribution over strata or entries.

    Raises:
        ModelError: it is empty, has a negative entry, or does not sum to 1.
    """
    values = tuple(float(value) for value in prior)
    if not values or not min(values) >= 0 or abs(sum(values) - 1) > 1e-6:
        raise ModelError(
            f"severity_slot: prior: expected probabilities that sum to 1, found {values}"
        )
    return values


def masked_mean(embeds_BSH: Tensor, chosen_BS: Tensor) -> Tensor:
    """float32 [B, H]: the mean of the chosen tokens of a row, 0 where none is chosen."""
    weight_BS = chosen_BS.float()
    total_BH = torch.einsum("bs,bsh->bh", weight_BS, embeds_BSH.float())
    return total_BH / weight_BS.sum(dim=1).clamp_min(1)[:, None]


def _unit(x_BH: Tensor) -> Tensor:
    """Rows scaled to root mean square 1; rows of 0 stay."""
    return functional.rms_norm(x_BH, (x_BH.shape[-1],), eps=1e-12)
