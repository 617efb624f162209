"""The model together with the objective of a loss-level strategy, as one module to train.

Shape suffixes: B question rows, K options, R option rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from truelead.debias.adjustment.objective import (
    NO_OPTION,
    AnswerRows,
    Objective,
    RowFacts,
    log_softmax,
)
from truelead.model.modeling import TrueLeadForConditionalGeneration
from truelead.model.scoring import OptionReading, read_options
from truelead.train.answer_rows import OptionBatch

MODEL_PREFIX = "model."
OBJECTIVE_PREFIX = "objective."


class ObjectiveModel(nn.Module):
    """Reads options and gives the objective's loss.

    Where the objective is the plain cross-entropy of the options this is the answers' likelihood,
    to the last digit: -log p(answer) = -log p(any option) - log p(answer given any option).

    Attributes:
        cross_entropy_B: -log p(answer given any option) of the last rows read, to be told.
    """

    cross_entropy_B: Tensor

    def __init__(self, model: TrueLeadForConditionalGeneration, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, content: OptionBatch) -> Tensor:
        """The weighted sum of the rows' losses, in nats; not yet divided.

        Raises:
            SpliceError: placeholders and ECGs of a group disagree.
        """
        facts = content.facts
        read = read_options(self.model, content.batch, content.option_ids)
        score_BK = _padded(read, facts)
        rows = AnswerRows(
            log_probability_BK=log_softmax(score_BK, facts.option_BK),
            facts=facts,
            hidden_BH=read.hidden_BH,
            blind_BK=self._blind(content),
            foil_BK=self._foil(content),
        )
        self.cross_entropy_B = rows.cross_entropy_B.detach()
        any_option_B = score_BK.logsumexp(dim=1)
        loss: Tensor = self.objective(rows) - (facts.weight_B * any_option_B).sum()
        return loss

    def _blind(self, content: OptionBatch) -> Tensor | None:
        if content.blind is None:
            return None
        read = read_options(self.model, content.blind, content.option_ids)
        return log_softmax(_padded(read, content.facts), content.facts.option_BK)

    def _foil(self, content: OptionBatch) -> Tensor:
        """Zeros where no foil was read: `foil_differs_B` leaves those rows out."""
        facts = content.facts
        foil_BK = torch.zeros(facts.option_BK.shape, device=facts.option_BK.device)
        if content.foil is None:
            return foil_BK
        rows = facts.foil_differs_B.nonzero()[:, 0]
        if not len(rows):  # read in company of workers that have foils
            read = read_options(self.model, content.foil, content.option_ids[:1])
            return foil_BK + 0.0 * read.score_R.sum()
        read = read_options(
            self.model, content.foil, [content.option_ids[row] for row in rows.tolist()]
        )
        some = facts.take(rows)
        return foil_BK.index_copy(0, rows, log_softmax(_padded(read, some), some.option_BK))


def split_state(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The model's and the objective's part of an `ObjectiveModel`'s state."""
    return tuple(  # type: ignore[return-value]
        {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        for prefix in (MODEL_PREFIX, OBJECTIVE_PREFIX)
    )


def _padded(read: OptionReading, facts: RowFacts) -> Tensor:
    """score_BK: log-likelihoods of the options, `NO_OPTION` on the padding."""
    blank_BK = torch.full(
        facts.option_BK.shape, NO_OPTION, device=read.score_R.device, dtype=read.score_R.dtype
    )
    return blank_BK.masked_scatter(facts.option_BK, read.score_R)
