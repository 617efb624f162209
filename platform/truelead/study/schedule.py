"""Which run is started next: in the plan's order, and never one pre-training twice at once."""

from __future__ import annotations

from collections.abc import Iterable

from truelead.study.plan import Run


class Schedule:
    """The runs that are waiting and those that are under way.

    Runs of one (condition, seed) whose arms pre-train alike share that stage: the first trains it,
    the others copy it. They wait until it is there, or until the first has failed and another may
    try.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._waiting = list(runs)
        self._pretraining: set[str] = set()
        self._pretrained: set[str] = set()
        self.running: list[Run] = []

    @property
    def waiting(self) -> int:
        """How many have not been started."""
        return len(self._waiting)

    def take(self) -> Run | None:
        """The next run, now under way; None where none is left or all that are left must wait."""
        for place, run in enumerate(self._waiting):
            if run.pretraining in self._pretraining:
                continue
            if run.pretraining not in self._pretrained:
                self._pretraining.add(run.pretraining)
            self.running.append(self._waiting.pop(place))
            return run
        return None

    def ended(self, run: Run, *, pretrained: bool) -> None:
        """Take note that a run is no longer under way.

        Args:
            pretrained: whether its pre-training is finished in its folder.
        """
        self.running.remove(run)
        if pretrained:
            self._pretrained.add(run.pretraining)
        if all(other.pretraining != run.pretraining for other in self.running):
            self._pretraining.discard(run.pretraining)
