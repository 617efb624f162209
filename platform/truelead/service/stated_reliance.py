"""An answer's reliance in numbers and plain words, as the service states it."""

from __future__ import annotations

from truelead.model.reliance import AnswerReliance
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.service.wire import Reliance

RESTS = "the answer rests on this ECG"
RESTS_ON_BOTH = "the answer rests on these ECGs"
NOT_DISTINGUISHABLE = "the answer is not distinguishable from the answer with another patient's ECG"
NOT_CALIBRATED = "not calibrated for this model"
NOTHING_TO_MEASURE = "nothing to measure: the answer is empty"


def state_reliance(
    found: AnswerReliance | None, threshold: RelianceThreshold | None, *, ecgs: int, free: bool
) -> Reliance:
    """The statement for one answer.

    Args:
        found: what was measured; None for an empty answer, or where nothing can be measured.
        threshold: of the model, None where it is not calibrated.
        ecgs: how many the question is about.
        free: whether the answer is a free one, which has a threshold of its own.
    """
    if threshold is None:
        return Reliance(
            nats=None,
            threshold=None,
            false_alarm_rate=None,
            rests_on_ecg=None,
            verdict=NOT_CALIBRATED,
        )
    bound = threshold.free if free else threshold.closed
    flagged = None if found is None else threshold.flags(found)
    if found is None:
        verdict = NOTHING_TO_MEASURE
    elif flagged is None:
        verdict = NOT_CALIBRATED
    elif flagged:
        verdict = NOT_DISTINGUISHABLE
    else:
        verdict = RESTS if ecgs == 1 else RESTS_ON_BOTH
    return Reliance(
        nats=None if found is None else found.reliance,
        threshold=bound,
        false_alarm_rate=None if bound is None else threshold.false_alarm_rate,
        rests_on_ecg=None if flagged is None else not flagged,
        verdict=verdict,
    )
