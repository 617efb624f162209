"""The negative control: strata that tell of no illness."""

from __future__ import annotations

from truelead.debias.randomness import generator
from truelead.types import Record


class RandomSeverity:
    """Negative control: three strata by a hash of the record's name, telling of no illness.

    An adjustment that helps as much with this severity as with a true one owes its gain to
    something other than the confounder.
    """

    name = "random"
    strata: tuple[str, ...] = ("random 0", "random 1", "random 2")

    def __call__(self, record: Record) -> int:
        return int(generator("severity", record.source, record.record_id).integers(3))
