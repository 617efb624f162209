"""Which two ECGs are compared: serial ones of a patient, or unrelated ones."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice, pairwise

from truelead.types import Record

Pair = tuple[Record, Record]


def consecutive_pairs(records: Iterable[Record]) -> list[Pair]:
    """(previous, recent) ECGs of one patient that follow each other in time.

    A record without `recorded_at` is left out: its place in time is not known. Both ECGs are of
    one split. Ordered by patient and time, whatever the order of `records`.
    """
    serial: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.recorded_at and record.patient_id:
            serial[record.split, record.patient_id].append(record)
    pairs: list[Pair] = []
    for key in sorted(serial):
        in_time = sorted(serial[key], key=lambda record: (record.recorded_at, record.record_id))
        pairs.extend(pairwise(in_time))
    return pairs


def unrelated_pairs(records: Iterable[Record], *, seed: int = 0, per_record: int = 1) -> list[Pair]:
    """(first, second) ECGs of different patients of one split, `per_record` for each first ECG.

    Each ECG is as often first as second, but for patients who have most ECGs of a split: partners
    are neighbours in an order shuffled by a hash of seed and record_id, so the pairs do not
    depend on the order of `records`.
    """
    of_split: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        of_split[record.split].append(record)
    pairs: list[Pair] = []
    for split in sorted(of_split):
        shuffled = sorted(of_split[split], key=lambda record: _shuffle_key(seed, record))
        count = len(shuffled)
        for place, first in enumerate(shuffled):
            others = (shuffled[(place + step) % count] for step in range(1, count))
            unrelated = (other for other in others if other.patient_id != first.patient_id)
            pairs.extend((first, second) for second in islice(unrelated, per_record))
    return pairs


def _shuffle_key(seed: int, record: Record) -> bytes:
    return hashlib.sha256(f"{seed}:{record.record_id}".encode()).digest()
