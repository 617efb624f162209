"""The negative control: strata that tell of no illness."""

from __future__ import annotations

from truelead.debias.randomness import generator
from truelead.debias.severity.base import check_count
from truelead.types import Record

_MOST = 32


class RandomSeverity:
    """Negative control: strata by a hash of the record's name, telling of no illness.

    An adjustment that helps as much with this severity as with a true one owes its gain to
    something other than the confounder. Give it as many strata as the true one has.

    Args:
        strata: 2 to 32.

    Raises:
        ConfigError: another number of strata.
    """

    name = "random"

    def __init__(self, strata: int = 3) -> None:
        check_count(self.name, strata, 2, _MOST)
        self.strata: tuple[str, ...] = tuple(f"random {number}" for number in range(strata))

    def __call__(self, record: Record) -> int:
        random = generator("severity", record.source, record.record_id)
        return int(random.integers(len(self.strata)))

    def with_strata(self, count: int) -> RandomSeverity:
        """See `AdjustableStrata.with_strata`."""
        return RandomSeverity(count)
