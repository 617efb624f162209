"""The rows of ECG-QA's template table; `templates` says where they come from."""

from __future__ import annotations

from truelead.questions import wordings as w
from truelead.questions import wordings_of_change as c

_INCLUDING = ", including uncertain symptoms"
_EXCLUDING = ", excluding uncertain symptoms"
_CONSECUTIVE = ("previous tracing", "recent tracing")
_IRRELEVANT = ("first ECG", "second ECG")

Row = tuple[int, str, str, tuple[str, ...], w.Wordings]
"""template_id, kind (or whole question type), attribute type, slots, wordings."""

_SCP: tuple[Row, ...] = (
    (1, "verify", "scp_code", ("symptom",), w.verify("Does this ECG show symptoms of {a}?", "{a}")),
    (
        2,
        "verify",
        "scp_code",
        ("present",),
        w.verify("Does this ECG show symptoms of {a}" + _INCLUDING + "?", "any sign of {a}"),
    ),
    (
        3,
        "choose",
        "scp_code",
        ("superclass", "superclass"),
        w.choose("Which symptom does this ECG show, {a} or {b}?", "class of symptoms"),
    ),
    (
        4,
        "choose",
        "scp_code",
        ("diagnostic", "diagnostic"),
        w.choose(
            "Which diagnostic symptom does this ECG show, {a} or {b}" + _INCLUDING + "?",
            "diagnostic symptom",
            _INCLUDING,
        ),
    ),
    (
        5,
        "choose",
        "scp_code",
        ("diagnostic", "diagnostic"),
        w.choose(
            "Which diagnostic symptom does this ECG show, {a} or {b}" + _EXCLUDING + "?",
            "diagnostic symptom",
            _EXCLUDING,
        ),
    ),
    (
        6,
        "choose",
        "scp_code",
        ("form", "form"),
        w.choose(
            "Which form-related symptom does this ECG show, {a} or {b}?", "form-related symptom"
        ),
    ),
    (
        7,
        "choose",
        "scp_code",
        ("rhythm", "rhythm"),
        w.choose(
            "Which rhythm-related symptom does this ECG show, {a} or {b}?", "rhythm-related symptom"
        ),
    ),
    (
        8,
        "query",
        "scp_code",
        (),
        w.query(
            "What diagnostic symptoms does this ECG show" + _INCLUDING + "?",
            "diagnostic symptoms",
            _INCLUDING,
        ),
    ),
    (
        9,
        "query",
        "scp_code",
        (),
        w.query(
            "What diagnostic symptoms does this ECG show" + _EXCLUDING + "?",
            "diagnostic symptoms",
            _EXCLUDING,
        ),
    ),
    (
        10,
        "query",
        "scp_code",
        (),
        w.query("What rhythm-related symptoms does this ECG show?", "rhythm-related symptoms"),
    ),
    (
        11,
        "query",
        "scp_code",
        (),
        w.query("What form-related symptoms does this ECG show?", "form-related symptoms"),
    ),
    (12, "verify", "scp_code", (), w.NORMAL),
    (
        13,
        "verify",
        "scp_code",
        (),
        w.verify("Does this ECG show any kind of abnormal symptoms?", "any abnormal symptom"),
    ),
    (
        14,
        "verify",
        "scp_code",
        (),
        w.verify(
            "Does this ECG show any diagnostic symptoms" + _INCLUDING + "?",
            "any diagnostic symptom, even an uncertain one",
        ),
    ),
    (
        15,
        "verify",
        "scp_code",
        (),
        w.verify("Does this ECG show any form-related symptoms?", "any form-related symptom"),
    ),
    (
        16,
        "verify",
        "scp_code",
        (),
        w.verify("Does this ECG show any rhythm-related symptoms?", "any rhythm-related symptom"),
    ),
    (
        17,
        "verify",
        "scp_code",
        ("form", "lead"),
        w.verify("Does this ECG show symptoms of {a} in {lead}?", "{a} in {lead}"),
    ),
    (
        18,
        "query",
        "scp_code",
        ("lead",),
        w.query(
            "What form-related symptoms does this ECG show in {lead}?",
            "form-related symptoms in {lead}",
        ),
    ),
    (19, "query", "scp_code", ("form",), w.LEADS_OF),
)
_SIGNAL: tuple[Row, ...] = (
    (20, "verify", "heart_axis", ("axis",), w.verify("Does this ECG show {a}?", "{a}")),
    (
        21,
        "choose",
        "heart_axis",
        ("axis", "axis"),
        w.choose("Which heart axis does this ECG show, {a} or {b}?", "direction of the axis"),
    ),
    (22, "query", "heart_axis", (), w.AXIS),
    (
        23,
        "verify",
        "stage_of_infarction",
        ("stage",),
        w.verify("Does this ECG show {a}?", "an {a}"),
    ),
    (
        24,
        "choose",
        "stage_of_infarction",
        ("stage", "stage"),
        w.choose(
            "Which stage of myocardial infarction does this ECG show, {a} or {b}?",
            "infarction stage",
        ),
    ),
    (
        25,
        "query",
        "stage_of_infarction",
        (),
        w.query(
            "What stage of myocardial infarction does this ECG show?",
            "stages of myocardial infarction",
        ),
    ),
    (
        26,
        "verify",
        "noise",
        ("noise", "lead"),
        w.verify("Does this ECG show {a} in {lead}?", "{a} in {lead}"),
    ),
    (27, "verify", "noise", ("noise",), w.verify("Does this ECG show {a}?", "{a}")),
    (
        28,
        "verify",
        "noise",
        ("lead",),
        w.verify("Does this ECG show any kind of noises in {lead}?", "some noise in {lead}"),
    ),
    (29, "verify", "noise", (), w.verify("Does this ECG show any kind of noises?", "some noise")),
    (
        30,
        "choose",
        "noise",
        ("noise", "noise"),
        w.choose("Which noise does this ECG show, {a} or {b}?", "noise"),
    ),
    (
        31,
        "choose",
        "noise",
        ("noise", "noise", "lead"),
        w.choose("Which noise does this ECG show in {lead}, {a} or {b}?", "noise in {lead}"),
    ),
    (
        32,
        "query",
        "noise",
        (),
        w.query("What kind of noises does this ECG show?", "kinds of noise"),
    ),
    (
        33,
        "query",
        "noise",
        ("lead",),
        w.query("What kind of noises does this ECG show in {lead}?", "kinds of noise in {lead}"),
    ),
    (34, "query", "noise", ("noise",), w.LEADS_OF),
    (
        35,
        "verify",
        "extra_systole",
        (),
        w.verify("Does this ECG show any kind of extra systoles?", "extra beats of some kind"),
    ),
    (
        36,
        "verify",
        "extra_systole",
        ("extra beat",),
        w.verify("Does this ECG show {a}?", "one or more {a}"),
    ),
    (
        37,
        "choose",
        "extra_systole",
        ("extra beat", "extra beat"),
        w.choose(
            "Which kind of extra systoles does this ECG show, {a} or {b}?", "kind of extra beats"
        ),
    ),
    (
        38,
        "query",
        "extra_systole",
        (),
        w.query("What kind of extra systole does this ECG show?", "kinds of extra beats"),
    ),
    (39, "verify", "numeric_feature", ("feature", "range"), w.NUMERIC_VERIFY),
    (40, "choose", "numeric_feature", ("feature", "range", "range"), w.NUMERIC_CHOOSE),
    (41, "query", "numeric_feature", ("feature",), w.NUMERIC_QUERY),
    (
        42,
        "query",
        "numeric_feature",
        ("range",),
        w.query("What numeric features of this ECG fall {a}?", "numeric features {a}"),
    ),
)


def _comparisons(start: int, pair: str, first: str, second: str) -> tuple[Row, ...]:
    """The 14 templates that compare two ECGs: 4 verify and 3 query of symptoms, then of numbers."""
    verified = (
        (f"Does {{a}} of the {first} no longer show in the {second}?", c.RESOLVED),
        (f"Is {{a}} newly detected in the {second} as compared to the {first}?", c.NEW),
        (f"Is {{a}} still detected in the {second} as compared to the {first}?", c.PERSISTENT),
        (f"Is {{a}} still absent in the {second} as compared to the {first}?", c.STILL_ABSENT),
    )
    queried = (
        (f"What symptoms of the {first} are resolved in the {second}?", c.WHAT_RESOLVED),
        (
            f"What symptoms are newly detected in the {second} as compared to the {first}?",
            c.WHAT_NEW,
        ),
        (
            f"What symptoms are still detected in the {second} as compared to the {first}?",
            c.WHAT_PERSISTS,
        ),
    )
    numeric_verified = (
        f"Has the {{a}} of the {second} now become normal as compared to the {first}?",
        f"Is the {{a}} of the {second} now considered abnormal as compared to the {first}?",
        f"Is the {{a}} of the {second} still abnormal as compared to the {first}?",
        f"Is the {{a}} of the {second} still normal as compared to the {first}?",
    )
    numeric_queried = (
        f"What numeric features of the {second} now have become normal as compared to the {first}?",
        f"What numeric features of the {second} are now considered abnormal values as compared "
        f"to the {first}?",
        f"What numeric features of the {second} are still abnormal as compared to the {first}?",
    )
    questions = (
        *(("verify", "scp_code", ("symptom",), *each) for each in verified),
        *(("query", "scp_code", (), *each) for each in queried),
        *(
            ("verify", "numeric_feature", ("feature",), *each)
            for each in zip(numeric_verified, c.NUMERIC_VERIFIED, strict=True)
        ),
        *(
            ("query", "numeric_feature", (), *each)
            for each in zip(numeric_queried, c.NUMERIC_QUERIED, strict=True)
        ),
    )
    return tuple(
        (start + i, f"{pair}-{kind}", attribute, slots, w.change(official, ours, first, second))
        for i, (kind, attribute, slots, official, ours) in enumerate(questions)
    )


ROWS: tuple[Row, ...] = (
    *_SCP,
    *_SIGNAL,
    *_comparisons(43, "comparison_consecutive", *_CONSECUTIVE),
    *_comparisons(57, "comparison_irrelevant", *_IRRELEVANT),
)
