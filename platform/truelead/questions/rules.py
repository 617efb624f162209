"""Rules: what a record's annotations and measurements answer to each of ECG-QA's templates.

A statement of likelihood 100, or 0 (PTB-XL's "likelihood unknown", all form and rhythm
statements), is sure; a diagnostic one between is "not sure". "Excluding uncertain" counts sure
statements only; "including uncertain" and the comparisons count every present one. NORM is no
symptom. A question that the labels cannot answer raises `Unanswerable`, never a guess.
Source of the rules: Oh J. et al., ECG-QA, NeurIPS 2023, checked against official pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from truelead.questions import notes
from truelead.questions.measured_rules import MEASURED_RULES
from truelead.questions.rule import NONE, Attributes, Rule, Unanswerable
from truelead.questions.rule import yes_no as _yes
from truelead.questions.scp import NORMAL, SCP_STATEMENTS, SUPERCLASSES
from truelead.types import Record

__all__ = [
    "NONE",
    "RULES",
    "Attributes",
    "Change",
    "Rule",
    "Unanswerable",
    "certainty",
    "newly_detected",
    "persistent",
    "resolved",
    "still_absent",
    "superclasses",
    "symptoms",
]


def certainty(record: Record, code: str) -> str:
    """ "yes", "not sure" or "no": whether the record has the statement."""
    if code not in record.scp_codes:
        return "no"
    sure = record.scp_codes[code] in (0, 100) or not SCP_STATEMENTS[code].diagnostic
    return "yes" if sure else "not sure"


def symptoms(record: Record, kind: str = "any", *, sure_only: bool = False) -> set[str]:
    """Codes of the record's statements of a kind: any, diagnostic, form or rhythm; never NORM.

    A statement outside the 71 of PTB-XL is not counted.
    """
    return {
        code
        for code in record.scp_codes
        if code in SCP_STATEMENTS
        and code != NORMAL
        and (kind == "any" or getattr(SCP_STATEMENTS[code], kind))
        and (not sure_only or certainty(record, code) == "yes")
    }


def superclasses(record: Record) -> set[str]:
    """CD, HYP, MI and STTC that the record has a statement of, at any likelihood."""
    return {SCP_STATEMENTS[code].diagnostic_class for code in symptoms(record, "diagnostic")}


def _names(codes: set[str]) -> set[str]:
    return {SCP_STATEMENTS[code].name for code in codes} or {NONE}


def _verify_certainty(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return {certainty(records[0], attributes[0])}


def _verify_presence(records: Sequence[Record], attributes: Attributes) -> set[str]:
    present = set(records[0].scp_codes) | superclasses(records[0])
    return _yes(attributes[0] in present)


def _choose_superclass(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return {SUPERCLASSES[a] for a in superclasses(records[0]) & set(attributes)} or {NONE}


def _choose(kind: str, *, sure_only: bool = False) -> Rule:
    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        return _names(symptoms(records[0], kind, sure_only=sure_only) & set(attributes))

    return rule


def _query(kind: str, *, sure_only: bool = False) -> Rule:
    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        return _names(symptoms(records[0], kind, sure_only=sure_only))

    return rule


def _verify_normal(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(NORMAL in records[0].scp_codes)


def _verify_any(kind: str) -> Rule:
    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        return _yes(bool(symptoms(records[0], kind)))

    return rule


def _verify_abnormal(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(bool(symptoms(records[0]) - {"SR"}))


def _axis(record: Record) -> str:
    axis = notes.heart_axis(record)
    if axis is None:
        raise Unanswerable(f"{record.record_id}: heart_axis: expected an axis, found none")
    return axis


def _verify_axis(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(_axis(records[0]) == attributes[0])


def _choose_axis(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return {_axis(records[0])} & set(attributes) or {NONE}


def _query_axis(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return {_axis(records[0])}


def _stages(record: Record) -> set[str]:
    found = notes.stages(record)
    if not found and "MI" in superclasses(record):
        raise Unanswerable(f"{record.record_id}: infarction_stadium: expected a stage, found none")
    return found


def _known_stages(record: Record) -> set[str]:
    found = _stages(record)
    if notes.UNKNOWN_STAGE in found:
        raise Unanswerable(f"{record.record_id}: infarction_stadium: expected a known stage")
    return found


def _verify_stage(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(attributes[0] in _known_stages(records[0]))


def _choose_stage(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _known_stages(records[0]) & set(attributes) or {NONE}


def _query_stage(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _stages(records[0]) or {notes.NO_STAGE}


def _verify_noise(records: Sequence[Record], attributes: Attributes) -> set[str]:
    noise, *lead = attributes
    return _yes(noise in notes.noises(records[0], *lead))


def _verify_any_noise(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(bool(notes.noises(records[0], *attributes)))


def _choose_noise(records: Sequence[Record], attributes: Attributes) -> set[str]:
    first, second, *lead = attributes
    return notes.noises(records[0], *lead) & {first, second} or {NONE}


def _query_noise(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return notes.noises(records[0], *attributes) or {NONE}


def _query_noise_leads(records: Sequence[Record], attributes: Attributes) -> set[str]:
    note = notes.noise_note(records[0], attributes[0])
    leads = set(notes.noise_leads(note))
    if note and not leads:
        raise Unanswerable(f"{records[0].record_id}: {attributes[0]}: expected leads, found none")
    return leads or {NONE}


def _verify_any_extra_beat(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(bool(notes.extra_beats(records[0])))


def _verify_extra_beat(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return _yes(attributes[0] in notes.extra_beats(records[0]))


def _choose_extra_beat(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return notes.extra_beats(records[0]) & set(attributes) or {NONE}


def _query_extra_beat(records: Sequence[Record], attributes: Attributes) -> set[str]:
    return notes.extra_beats(records[0]) or {NONE}


def resolved(earlier: Record, later: Record) -> set[str]:
    """Codes of symptoms of the first record that the second no longer has."""
    return symptoms(earlier) - symptoms(later)


def newly_detected(earlier: Record, later: Record) -> set[str]:
    """Codes of symptoms that only the second record has."""
    return symptoms(later) - symptoms(earlier)


def persistent(earlier: Record, later: Record) -> set[str]:
    """Codes of symptoms that both records have."""
    return symptoms(earlier) & symptoms(later)


def still_absent(earlier: Record, later: Record) -> set[str]:
    """Codes of symptoms that neither record has."""
    return set(SCP_STATEMENTS) - {NORMAL} - symptoms(earlier) - symptoms(later)


Change = Callable[[Record, Record], set[str]]


def _verify_change(change: Change) -> Rule:
    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        earlier, later = records
        return _yes(attributes[0] in change(earlier, later))

    return rule


def _query_change(change: Change) -> Rule:
    def rule(records: Sequence[Record], attributes: Attributes) -> set[str]:
        earlier, later = records
        return _names(change(earlier, later))

    return rule


_VERIFIED_CHANGES: tuple[Change, ...] = (resolved, newly_detected, persistent, still_absent)

RULES: Mapping[int, Rule] = MappingProxyType(
    {
        1: _verify_certainty,
        2: _verify_presence,
        3: _choose_superclass,
        4: _choose("diagnostic"),
        5: _choose("diagnostic", sure_only=True),
        6: _choose("form"),
        7: _choose("rhythm"),
        8: _query("diagnostic"),
        9: _query("diagnostic", sure_only=True),
        10: _query("rhythm"),
        11: _query("form"),
        12: _verify_normal,
        13: _verify_abnormal,
        14: _verify_any("diagnostic"),
        15: _verify_any("form"),
        16: _verify_any("rhythm"),
        20: _verify_axis,
        21: _choose_axis,
        22: _query_axis,
        23: _verify_stage,
        24: _choose_stage,
        25: _query_stage,
        26: _verify_noise,
        27: _verify_noise,
        28: _verify_any_noise,
        29: _verify_any_noise,
        30: _choose_noise,
        31: _choose_noise,
        32: _query_noise,
        33: _query_noise,
        34: _query_noise_leads,
        35: _verify_any_extra_beat,
        36: _verify_extra_beat,
        37: _choose_extra_beat,
        38: _query_extra_beat,
        **{43 + i: _verify_change(change) for i, change in enumerate(_VERIFIED_CHANGES)},
        **{47 + i: _query_change(change) for i, change in enumerate(_VERIFIED_CHANGES[:3])},
        **{57 + i: _verify_change(change) for i, change in enumerate(_VERIFIED_CHANGES)},
        **{61 + i: _query_change(change) for i, change in enumerate(_VERIFIED_CHANGES[:3])},
        **MEASURED_RULES,
    }
)
"""template_id -> rule; a template that is not here waits for data that labels do not hold."""
