from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from truelead.questions.pairs import consecutive_pairs, unrelated_pairs
from truelead.types import Record


def record(record_id: int, patient: int, day: int | None, split: str = "train") -> Record:
    date = f"1990-01-{day:02d}T10:00:00" if day else ""
    return Record(str(record_id), str(patient), "made", "made", recorded_at=date, split=split)


records = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(1, 28)), max_size=20).map(
    lambda rows: [
        record(i, patient, day, "train" if patient % 2 else "test")
        for i, (patient, day) in enumerate(rows)
    ]
)


def test_serial_ecgs_follow_in_time() -> None:
    serial = [
        record(1, 1, 9),
        record(2, 1, 3),
        record(3, 1, 20),
        record(4, 2, 1),
        record(5, 1, None),
    ]
    pairs = [(a.record_id, b.record_id) for a, b in consecutive_pairs(serial)]
    assert pairs == [("2", "1"), ("1", "3")]


@given(records, st.randoms())
def test_consecutive_pairs(rows: list[Record], shuffler: object) -> None:
    pairs = consecutive_pairs(rows)
    for previous, recent in pairs:
        assert previous.patient_id == recent.patient_id
        assert previous.split == recent.split
        assert previous.recorded_at <= recent.recorded_at
        assert previous.record_id != recent.record_id
    for (_, middle), (start, _) in pairwise(pairs):
        assert middle is start or middle.patient_id != start.patient_id
    shuffled = rows[:]
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert consecutive_pairs(shuffled) == pairs


@given(records, st.integers(0, 3), st.integers(1, 3), st.randoms())
def test_unrelated_pairs(rows: list[Record], seed: int, count: int, shuffler: object) -> None:
    pairs = unrelated_pairs(rows, seed=seed, per_record=count)
    for first, second in pairs:
        assert first.patient_id != second.patient_id
        assert first.split == second.split
    assert len({(a.record_id, b.record_id) for a, b in pairs}) == len(pairs)
    shuffled = rows[:]
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert unrelated_pairs(shuffled, seed=seed, per_record=count) == pairs
    firsts = Counter(first.record_id for first, _ in pairs)
    for row in rows:
        others = sum(o.split == row.split and o.patient_id != row.patient_id for o in rows)
        assert firsts[row.record_id] == min(count, others)


def test_another_seed_pairs_otherwise() -> None:
    rows = [record(i, i, 1) for i in range(30)]
    assert unrelated_pairs(rows, seed=0) != unrelated_pairs(rows, seed=1)
