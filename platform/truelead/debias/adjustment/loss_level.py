"""What strategies share that change the loss: draws of another strategy, and an objective."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from truelead.config import Scalar
from truelead.debias.adjustment.answer_table import AnswerTable
from truelead.debias.adjustment.on_draws import OnDraws
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError

if TYPE_CHECKING:
    from truelead.debias.adjustment.objective import Objective


class LossLevel(OnDraws):
    """Trains with an `Objective` in place of the answers' likelihood.

    Closed questions (verify and choose) are trained by the objective, over their options. A query
    with a free answer has no distribution over options: it is trained by plain likelihood.

    Attributes:
        table: P(a given q) of the draws underneath.

    Options: those of `OnDraws`.
    """

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        self.table = AnswerTable.of(self.base)

    @abstractmethod
    def objective(self, width: int) -> Objective:
        """A new objective; all workers make the same one from the same random state.

        Args:
            width: H, the language model's width.
        """

    def number(
        self, option: str, *, low: float = 0.0, high: float = float("inf"), above: bool = False
    ) -> float:
        """The numeric value of an option, checked.

        Raises:
            ConfigError: it is not from `low` (with `above`: above it) to `high`.
        """
        value = float(self.options[option] or 0)
        if not (low < value if above else low <= value) or value > high:
            bound = f"above {low:g}" if above else f"at least {low:g}"
            limit = "" if high == float("inf") else f" and at most {high:g}"
            raise ConfigError(
                f"options of {self.name}: {option}: expected a value {bound}{limit}, "
                f"found {value:g}"
            )
        return value
