"""A learned confounder dictionary in front of every question."""

from __future__ import annotations

from typing import Any

from truelead.config import Scalar
from truelead.debias.adjustment.on_draws import OnDraws
from truelead.debias.adjustment.strata import stratum_shares
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError


class Dictionary(OnDraws):
    """Each question row begins with sum over z of softmax(q . k_z / sqrt(H)) P(z) z.

    z are prototypes learned with the model, q a query made from the question and its ECGs. The
    one-pass adjustment of VC R-CNN, which needs the confounder neither in training nor in
    answering; severity enters by the number of prototypes and P(z) alone.

    Assumes that the prototypes come to stand for what confounds. Nothing forces them to, so this
    is the weaker promise beside `Strata`; with one entry it is a constant, and no adjustment.

    Source: Wang et al., Visual Commonsense R-CNN, CVPR 2020. Theirs is a fixed dictionary of mean
    features of object classes with P(z) counted from the data; here it is learned, as severity has
    no features of its own.

    Options: those of `OnDraws`, and
        entries: number of prototypes with even P(z); 0 for one a stratum, with P(z) = P(s).
    """

    name = "dictionary"
    OPTIONS: dict[str, Scalar] = {**OnDraws.OPTIONS, "entries": 0}  # noqa: RUF012

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        if int(self.options["entries"] or 0) < 0:
            raise ConfigError(
                f"options of {self.name}: entries: expected 0 or more, "
                f"found {self.options['entries']}"
            )

    def model_options(self) -> dict[str, Any]:
        """See `Adjustment.model_options`."""
        entries = int(self.options["entries"] or 0)
        prior = [1.0 / entries] * entries if entries else stratum_shares(self.setup)
        return {"severity_slot": {"kind": "dictionary", "prior": prior}}
