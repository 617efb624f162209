"""Does the model read the ECG? The answer in plain words, before anything else."""

from __future__ import annotations

from truelead.evaluate.page.blocks import Block, Points, Section, Text, Value, Verdict, Verdicts
from truelead.evaluate.page.numbers import bounds, certain, estimate, whole
from truelead.evaluate.page.view import QUESTION_ONLY, View, listed, title
from truelead.evaluate.reliance import Reliance

_TONES = {"reads the ECG": "good", "unclear": "unsure"}
_MAXIMUM_CARDS = 6


def headline(view: View) -> str:
    """One sentence that answers the question."""
    found = view.report.reliance
    if not found:
        return "Not tested: no question was put with another patient's ECG."
    good = [one.arm for one in found if one.verdict == "reads the ECG"]
    unclear = [one.arm for one in found if one.verdict == "unclear"]
    if len(good) == len(found):
        if len(good) == 1:
            return f"Yes: the answers of {good[0]} come from the ECG."
        every = "both models" if len(good) == 2 else f"all {len(good)} models"
        return f"Yes: the answers of {every} come from the ECG."
    if good:
        rest = [one.arm for one in found if one.arm not in good]
        return f"The answers of {listed(good)} do; for {listed(rest)} it is not shown."
    if unclear:
        return f"Unclear for {listed(unclear)}: one of two tests is passed, the other is not."
    return "Not shown: with the wrong ECG, or none, these answers are as good."


def section(view: View) -> Section | None:
    """Verdicts, and what the strategies gained."""
    found = view.report.reliance
    blocks: list[Block] = []
    if found:
        blocks.append(
            Text(
                "A model reads the ECG if it is right more often than a model that sees the "
                "question alone, **and** loses accuracy when another patient's ECG is put in "
                "place of the right one. Both must hold with 95 % intervals above zero."
            )
        )
        cards = [_verdict(view, one) for one in found]
        blocks.append(Verdicts(tuple(cards[:_MAXIMUM_CARDS])))
        blocks += [Verdicts(tuple(cards[_MAXIMUM_CARDS:]))] if cards[_MAXIMUM_CARDS:] else []
    gains = _gains(view)
    if gains:
        blocks += [Text(f"**What the strategies gained over {view.arms[0]}**"), Points(gains)]
    if not blocks:
        return None
    return Section("answer", "How we know", "The answer", tuple(blocks))


def _verdict(view: View, one: Reliance) -> Verdict:
    shares = [
        ("with the right ECG", one.accuracy),
        ("with another patient's ECG", one.random_accuracy),
    ]
    if one.question_only is not None:
        shares.append(("question-only model, no ECG", one.question_only))
    shares.append(("answers that change with the ECG", one.flips))
    numbers = tuple(
        (what, f"{estimate(Value(value))} %", bounds(Value(value))) for what, value in shares
    )
    words = f"On {title(one.test_set)}. " + one.summary.replace(one.test_set, "these questions")
    tone = _TONES.get(one.verdict, "bad")
    assert tone in ("good", "unsure", "bad")
    return Verdict(one.arm, one.verdict, tone, numbers, words)  # type: ignore[arg-type]


def _gains(view: View) -> tuple[str, ...]:
    """For each further strategy, what it changed on each main test, in words."""
    lines = []
    for arm in view.arms[1:]:
        parts = []
        for suite, cell in view.sets(("balanced-do-question", "observed", "ecg-qa")):
            found = view.difference(suite, cell, arm, view.arms[0])
            if found is None:
                continue
            value = Value(found.difference, "points")
            if certain(value):
                better = "better" if found.difference.estimate > 0 else "worse"
                parts.append(f"**{better}** on {title(cell)} by {whole(value)} points")
            else:
                parts.append(f"no difference shown on {title(cell)}: {whole(value)} points")
        if parts:
            lines.append(f"{arm}: " + "; ".join(parts) + ".")
    for arm in view.arms if QUESTION_ONLY in view.baselines else ():
        for suite, cell in view.sets(("observed", "ecg-qa")):
            found = view.difference(suite, cell, arm, QUESTION_ONLY)
            if found is not None and not found.difference.above(0.0):
                short = whole(Value(found.difference, "points"))
                lines.append(
                    f"{arm} is **not** shown to be better than a guess from the question alone "
                    f"on {title(cell)}: {short} points."
                )
    return tuple(lines)
