"""What is asked, and by which severity of illness."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from truelead.config.base import Frozen


class QuestionsConfig(Frozen):
    """Which questions are asked: a name of `truelead.debias.setup.SETUPS` and its arguments."""

    setup: str = "ptbxl-severity"
    minimum_positives: int = Field(60, ge=1, description="codes with fewer train ECGs: not asked")
    templates: tuple[int, ...] | None = Field(
        None, min_length=1, description="ask only these of ECG-QA's 70 templates (setup ecg-qa)"
    )
    wording_folds: int = Field(3, ge=2, le=6, description="splits of the wordings for a k-fold")
    wording_fold: int = Field(0, ge=0, description="0: the usual test wordings; others in turn")
    trained_wordings: Literal["all", "template", "paraphrased"] = Field(
        "all", description="what training asks in: all, ECG-QA's own wording, or the others"
    )
    held_out_codes: tuple[str, ...] = Field(
        (), description="never asked in training, for the zero-shot test (setup ptbxl-severity)"
    )
    measurements: bool = Field(
        False,
        description="ask about measured intervals too: templates 39-42, 50-56, 64-70 (ecg-qa)",
    )
    seed: int = 0

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> QuestionsConfig:
        if self.wording_fold >= self.wording_folds:
            raise ValueError(
                f"wording_fold: expected 0 to {self.wording_folds - 1} (wording_folds - 1), "
                f"found {self.wording_fold}"
            )
        if self.trained_wordings != "all" and self.wording_fold:
            raise ValueError(
                f"trained_wordings: {self.trained_wordings}: expected wording_fold 0, "
                f"found {self.wording_fold}"
            )
        return self


class SeverityConfig(Frozen):
    """A name of `truelead.debias.severity.SEVERITIES`, with a number of strata of its own."""

    name: str
    strata: int = Field(ge=2, le=32)


SEVERITY_FORMS = ("a provider's name", "a provider with its strata")
"""How a severity may be given; pydantic puts the form among the keys of an error."""

Severity = Annotated[
    Annotated[str, Tag(SEVERITY_FORMS[0])] | Annotated[SeverityConfig, Tag(SEVERITY_FORMS[1])],
    Discriminator(lambda found: SEVERITY_FORMS[0] if isinstance(found, str) else SEVERITY_FORMS[1]),
]
"""A plain name has the provider's usual strata."""
