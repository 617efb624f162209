"""Severity by the global statement of a machine's report, as MIMIC-IV-ECG has them."""

from __future__ import annotations

import re

from truelead.types import Record

NORMAL, OTHERWISE_NORMAL, BORDERLINE, ABNORMAL, UNJUDGED = range(5)

STATEMENTS: dict[str, int] = {
    "normal ecg": NORMAL,
    "summary: normal ecg": NORMAL,
    "within normal limits": NORMAL,
    "ecg within normal limits": NORMAL,
    "normal ecg based on available leads": NORMAL,
    "normal electrocardiogram": NORMAL,
    "normal ecg except for rate": OTHERWISE_NORMAL,
    "otherwise normal ecg": OTHERWISE_NORMAL,
    "probably normal ecg": OTHERWISE_NORMAL,
    "normal variant ecg": OTHERWISE_NORMAL,
    "borderline ecg": BORDERLINE,
    "summary: borderline ecg": BORDERLINE,
    "atypical ecg": BORDERLINE,
    "possibly abnormal ecg": BORDERLINE,
    "abnormal ecg": ABNORMAL,
    "summary: abnormal ecg": ABNORMAL,
    "abnormal ecg based on available leads": ABNORMAL,
    "abnormal rhythm ecg": ABNORMAL,
}
"""Global statement, in lower case and without ornament -> stratum."""

_JUDGEMENT = r"\b(?:normal|abnormal|borderline|atypical)\b"
_GLOBAL = re.compile(rf"{_JUDGEMENT}(?: \w+){{0,2}} ecg\b|\becg(?: \w+){{0,2}} {_JUDGEMENT}")
"""A line that calls the whole ECG normal or not, in whatever words."""

_COMPARISON = re.compile(r"\bcompared\b|\bprevious\b")
"""A line about an earlier ECG."""

_ORNAMENT = " \t-*.,:"
_SEPARATORS = re.compile(r"\r?\n|[;|]|\.\s")


class MimicSeverity:
    """By the one line of a machine's report that judges the whole ECG.

    0: normal. 1: normal but for the rate, or otherwise normal. 2: borderline. 3: abnormal. 4: no
    global statement, which is how such reports are for paced rhythms, poor signals, and analyses
    that broke off, and for some ventricular rhythms. Whether the last are the most ill cannot be
    said from the report; they come last because most of them leave nothing normal to speak of,
    and they are a stratum of their own so that the others stay what they are called.

    The report is `record.report`: the fields report_0 .. report_17 of MIMIC-IV-ECG's
    machine_measurements.csv, in that order, joined by line breaks, semicolons, "|" or full stops.
    Letter case and the ornaments of a statement ("- ABNORMAL ECG -") play no part, nor do lines
    that compare with an earlier ECG. If several lines judge, the most severe counts. A line that
    judges the whole ECG in words unknown to `STATEMENTS` counts as borderline where it says
    "borderline", "possibly" or "atypical", as abnormal where it says "abnormal", and else as
    otherwise normal, since it adds something to plain "normal".

    The strata cannot be cut otherwise: they are the machine's own words.

    Sources: Gow B. et al., MIMIC-IV-ECG 1.0, PhysioNet 2023, and its machine_measurements table.
    Vocabularies: the summary statements of the University of Glasgow's program ("Normal ECG
    except for rate", "Normal ECG based on available leads"); the overall severities of Philips's
    ("Otherwise normal ECG", "- ABNORMAL ECG -"); the classifications of GE's Marquette 12SL. The
    same order of severity in all: normal, otherwise normal, borderline, abnormal.
    """

    name = "mimic"
    strata: tuple[str, ...] = (
        "normal",
        "otherwise normal",
        "borderline",
        "abnormal",
        "not judged",
    )

    def __call__(self, record: Record) -> int:
        judged = [
            stratum
            for line in _SEPARATORS.split(record.report)
            if (stratum := global_statement(line)) is not None
        ]
        return max(judged, default=UNJUDGED)


def global_statement(line: str) -> int | None:
    """Stratum of a report line that judges the whole ECG; None for a line that does not."""
    words = " ".join(line.lower().split()).strip(_ORNAMENT)
    if words in STATEMENTS:
        return STATEMENTS[words]
    if _COMPARISON.search(words) or not _GLOBAL.search(words):
        return None
    if any(word in words for word in ("borderline", "possibly", "atypical")):
        return BORDERLINE
    return ABNORMAL if "abnormal" in words else OTHERWISE_NORMAL
