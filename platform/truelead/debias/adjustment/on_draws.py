"""A strategy on top of another one's draws."""

from __future__ import annotations

from truelead.config import Scalar
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.adjustment.draws import DRAWS
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError

_PREFIX = "draws."


class OnDraws(Adjustment):
    """Takes questions and weights from the strategy that the option `draws` names.

    So what a strategy does to the loss or the model can be joined with what another does to the
    draw: `draws: do-question-balanced` handles the answers' imbalance in the draw. Options of that
    strategy are given with the prefix `draws.`, as in `draws.clip: 5.0`.

    Options:
        draws: a name of `DRAWS`; "none" for the questions as observed.
    """

    OPTIONS: dict[str, Scalar] = {"draws": "none"}  # noqa: RUF012

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        own = {key: value for key, value in options.items() if not key.startswith(_PREFIX)}
        super().__init__(setup, questions_per_ecg, seed, own)
        name = str(self.options["draws"])
        if name not in DRAWS:
            raise ConfigError(
                f"options of {self.name}: draws: expected one of {', '.join(DRAWS)}, found {name!r}"
            )
        self.base = DRAWS[name](
            setup,
            questions_per_ecg,
            seed,
            {
                key.removeprefix(_PREFIX): value
                for key, value in options.items()
                if key.startswith(_PREFIX)
            },
        )

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`."""
        return self.base.draw(group, epoch)

    def violations(self) -> tuple[str, ...]:
        """See `Adjustment.violations`."""
        return self.base.violations()

    def own_diagnostics(self) -> dict[str, float]:
        """See `Adjustment.own_diagnostics`."""
        return self.base.own_diagnostics()
