"""Our wordings of what changed between two ECGs; see `wordings`.

{FIRST} and {SECOND} are what the ECGs are called; {a} is a symptom or a numeric feature.
"""

from __future__ import annotations

from truelead.questions.wordings import Wordings

RESOLVED = Wordings(
    (
        "Is it so that the {FIRST} shows {a} and the {SECOND} does not?",
        "Has {a} gone away from the {FIRST} to the {SECOND}?",
        "Was {a} there in the {FIRST} but not any more in the {SECOND}?",
        "Would a careful reader say that {a} of the {FIRST} has cleared in the {SECOND}?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: did {a} vanish?",
        "Tell me whether {a} is lost between the {FIRST} and the {SECOND}.",
    ),
)
NEW = Wordings(
    (
        "Is it so that the {FIRST} is free of {a} and the {SECOND} is not?",
        "Has {a} come up from the {FIRST} to the {SECOND}?",
        "Is {a} there in the {SECOND} but not yet in the {FIRST}?",
        "Would a careful reader say that {a} of the {SECOND} is new since the {FIRST}?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: did {a} emerge?",
        "Tell me whether {a} is gained between the {FIRST} and the {SECOND}.",
    ),
)
PERSISTENT = Wordings(
    (
        "Is it so that the {FIRST} shows {a} and the {SECOND} does too?",
        "Has {a} stayed from the {FIRST} to the {SECOND}?",
        "Is {a} there in the {FIRST} and again in the {SECOND}?",
        "Would a careful reader say that {a} of the {FIRST} goes on in the {SECOND}?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: do they share {a}?",
        "Tell me whether {a} is kept between the {FIRST} and the {SECOND}.",
    ),
)
STILL_ABSENT = Wordings(
    (
        "Is it so that the {FIRST} is free of {a} and the {SECOND} is too?",
        "Has {a} stayed away from the {FIRST} to the {SECOND}?",
        "Is {a} missing in the {FIRST} and again in the {SECOND}?",
        "Would a careful reader say that both the {FIRST} and the {SECOND} are without {a}?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: do both lack {a}?",
        "Tell me whether {a} is found neither in the {FIRST} nor in the {SECOND}.",
    ),
)
WHAT_RESOLVED = Wordings(
    (
        "List the symptoms of the {FIRST} that are gone in the {SECOND}.",
        "Which symptoms went away from the {FIRST} to the {SECOND}?",
        "What was there in the {FIRST} but not any more in the {SECOND}?",
        "Which symptoms of the {FIRST} would a careful reader miss in the {SECOND}?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: what vanished?",
        "Tell me what is lost between the {FIRST} and the {SECOND}.",
    ),
)
WHAT_NEW = Wordings(
    (
        "List the symptoms of the {SECOND} that are not yet in the {FIRST}.",
        "Which symptoms came up from the {FIRST} to the {SECOND}?",
        "What is there in the {SECOND} but was not in the {FIRST}?",
        "Which symptoms of the {SECOND} would a careful reader call new since the {FIRST}?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: what emerged?",
        "Tell me what is gained between the {FIRST} and the {SECOND}.",
    ),
)
WHAT_PERSISTS = Wordings(
    (
        "List the symptoms that the {FIRST} and the {SECOND} have in common.",
        "Which symptoms stayed from the {FIRST} to the {SECOND}?",
        "What is there in the {FIRST} and again in the {SECOND}?",
        "Which symptoms of the {FIRST} would a careful reader report in the {SECOND} too?",
    ),
    (
        "Set the {SECOND} beside the {FIRST}: what do they share?",
        "Tell me what is kept between the {FIRST} and the {SECOND}.",
    ),
)


def _numeric(before: str, after: str) -> Wordings:
    return Wordings(
        (
            f"Is it so that {{a}} is {before} in the {{FIRST}} and {after} in the {{SECOND}}?",
            f"Is the {{a}} {before} in the {{FIRST}} and {after} in the {{SECOND}}?",
            f"Has the {{a}} gone from {before} in the {{FIRST}} to {after} in the {{SECOND}}?",
            f"Would a careful reader measure {{a}} as {before} in the {{FIRST}} and {after} "
            "in the {SECOND}?",
        ),
        (
            f"Set the {{SECOND}} beside the {{FIRST}}: {{a}} from {before} to {after}?",
            f"Tell me whether {{a}} was {before} in the {{FIRST}} and is {after} "
            "in the {SECOND}.",
        ),
    )


def _what_numeric(before: str, after: str) -> Wordings:
    return Wordings(
        (
            f"List the numeric features {before} in the {{FIRST}} and {after} in the {{SECOND}}.",
            f"Which measurements went from {before} in the {{FIRST}} to {after} in the {{SECOND}}?",
            f"What intervals and durations of the {{SECOND}} are {after}, but {before} "
            "in the {FIRST}?",
            f"Which numeric features {before} in the {{FIRST}} would a careful reader find "
            f"{after} in the {{SECOND}}?",
        ),
        (
            f"Set the {{SECOND}} beside the {{FIRST}}: which measures went from {before} "
            f"to {after}?",
            f"Tell me the measurements that were {before} in the {{FIRST}} and are {after} "
            "in the {SECOND}.",
        ),
    )


NUMERIC_VERIFIED = (
    _numeric("abnormal", "normal"),
    _numeric("normal", "abnormal"),
    _numeric("abnormal", "still abnormal"),
    _numeric("normal", "still normal"),
)
NUMERIC_QUERIED = (
    _what_numeric("abnormal", "normal"),
    _what_numeric("normal", "abnormal"),
    _what_numeric("abnormal", "still abnormal"),
)
