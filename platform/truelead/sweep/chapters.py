"""The chapters of a sweep's report, as blocks of the judge's page (`truelead.evaluate.page`)."""

from __future__ import annotations

import math
from collections.abc import Callable

import yaml

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.page.blocks import (
    Axis,
    Block,
    Code,
    Facts,
    Figure,
    Figures,
    Group,
    Mark,
    Points,
    Section,
    Table,
    Text,
    Track,
    Value,
)
from truelead.evaluate.page.numbers import whole
from truelead.study import table as study_table
from truelead.sweep.cost import COST_UNITS
from truelead.sweep.drawing import Dot, Line, parallel_coordinates, scatter
from truelead.sweep.final import Curse, beats
from truelead.sweep.importance import MINIMUM_TRIALS
from truelead.sweep.results import BEST, SweepResult, best_recipe, columns, rows, short
from truelead.sweep.sampling import ordered

_TITLES = {"balanced": "balanced do(Q)", "confounded": "confounded", "reliance": "ECG reliance"}


def sections(result: SweepResult) -> list[Section]:
    """The report's chapters that have something to show."""
    found = (build(result) for build in SECTIONS)
    return [section for section in found if section is not None]


def headline(result: SweepResult) -> str:
    """One sentence: what won, and whether it stood the test."""
    final = result.final
    if final is not None and final.differences:
        return " ".join(beats(final, baseline) for baseline in final.differences)
    report = result.winner.reports[-1]
    metric = result.plan.space.metric
    return (
        f"Trial {result.best} wins with {100 * report[metric]:.1f} % of the {_TITLES[metric]} "
        "questions about the development patients; it was not judged on the test set."
    )


def _winner(result: SweepResult) -> Section:
    report, space = result.winner.reports[-1], result.plan.space
    counts = ", ".join(f"{count} {metric}" for metric, count in result.questions.items())
    blocks: list[Block] = [
        Text(
            f"{len(result.trials)} trials were chosen by the {space.metric} questions about the "
            f"development patients ({counts} questions, in training wordings); the test set had no "
            f"part in it. {result.steps_trained} steps were trained; all trials to their end would "
            f"have been {result.steps_of_all_to_the_end}."
        )
    ]
    if not result.is_within_constraints:
        floors = ", ".join(
            f"{name} at least {floor:g}" for name, floor in space.constraints.items()
        )
        blocks.append(
            Text(f"No trial keeps the constraints ({floors}): this is the nearest.", "notice")
        )
    if result.stopped:
        blocks.append(Text(f"No further trial was started: {result.stopped}.", "soft"))
    facts = {"trial": result.winner.folder, **_values(result)}
    for metric, title in _TITLES.items():
        if metric in report:
            found = _interval(report, metric)
            shown = Value(found, "points") if metric == "reliance" else Value(found)
            facts[f"{title}, development"] = whole(shown)
    return Section(
        "winner", f"The winner is trial {result.best}", "Winner", (*blocks, Facts(facts))
    )


def _curse(result: SweepResult) -> Section | None:
    if result.final is None or not (result.final.curses or result.final.reason):
        return None
    final = result.final
    blocks: list[Block] = []
    if final.curses:
        blocks += [
            Text(
                "The winner's score is the largest of several and flatters it. Trained again with "
                "other seeds, on the same questions, it shows how much of that was luck. The "
                "interval is over the seeds alone."
            ),
            Table(
                "Right answers about the development patients, in % (reliance in points)",
                ("metric", "as found", "again", "lost", "each seed"),
                (Group("", tuple(_curse_row(name, one) for name, one in final.curses.items())),),
            ),
        ]
    if final.failures:
        blocks += [Text("Failed trainings:"), Points(final.failures)]
    return (
        Section("again", "The winner, trained again", "Winner's curse", tuple(blocks))
        if (blocks)
        else None
    )


def _curse_row(metric: str, one: Curse) -> tuple[str | Value, ...]:
    seeds = ", ".join(f"{seed}: {100 * score:.1f}" for seed, score in one.seeds.items())
    return (
        _TITLES[metric],
        f"{100 * one.found:.1f}",
        Value(one.again),
        f"{100 * (one.found - one.again.estimate):.1f}",
        seeds,
    )


def _test(result: SweepResult) -> Section | None:
    final = result.final
    if final is None:
        return None
    if not final.values:
        return Section("test", "On the test set", "Test", (Text(f"Not judged: {final.reason}."),))
    titles = list(next(iter(final.values.values())))
    lines = []
    for arm, values in final.values.items():
        lines.append((arm, *(_shown(values.get(title)) for title in titles)))
    for baseline, values in final.differences.items():
        lines.append(
            (f"winner minus {baseline}", *(_shown(values.get(t), signed=True) for t in titles))
        )
    seeds = ", ".join(map(str, final.seeds))
    return Section(
        "test",
        "On the test set, opened once",
        "Test",
        (
            Points(tuple(beats(final, baseline) for baseline in final.differences)),
            Table(
                f"Patients and wordings never trained on, in %; seeds {seeds}; 95 % intervals over "
                "patients and seeds, differences paired",
                ("", *titles),
                (Group("", tuple(lines)),),
            ),
            Text(f"The judge's report: {final.report}/report.html", "soft"),
        ),
    )


def _pareto(result: SweepResult) -> Section | None:
    space, on_front = result.plan.space, result.front
    longest = max(trial.steps for trial in result.trials)
    dots = [
        Dot(
            f"trial {trial.trial}",
            trial.reports[-1]["confounded"],
            trial.reports[-1]["balanced"],
            "winner"
            if trial.trial == result.best
            else "front"
            if trial.trial in on_front
            else "other",
        )
        for trial in result.trials
        if trial.reports and trial.steps == longest and trial.status != "failed"
    ]
    if not dots:
        return None
    names = ", ".join(_TITLES.get(name, COST_UNITS[space.cost]) for name in space.objectives)
    listed = ", ".join(str(number) for number in sorted(on_front)) or "none"
    return Section(
        "front",
        "The Pareto front",
        "Pareto front",
        (
            Text(
                f"By {names}: trials {listed} are on the front; no other is as good by every "
                "objective and better by one. Estimates alone decide, so that neighbours on the "
                "front may differ by chance. Only trials of the whole length that keep the "
                "constraints can be on it."
            ),
            Figures(
                (
                    Figure(
                        scatter(
                            dots,
                            "confounded, %",
                            "balanced do(Q), %",
                            f"{len(dots)} trials by confounded and balanced accuracy",
                        ),
                        "; ".join(f"{d.name}: {100 * d.x:.1f} and {100 * d.y:.1f}" for d in dots),
                        note="Green: the winner. Blue: on the front by all objectives. Joined: "
                        "unbeaten by these two alone.",
                    ),
                ),
                wide=True,
            ),
        ),
    )


def _coordinates(result: SweepResult) -> Section | None:
    metric = result.plan.space.metric
    scored = [trial for trial in result.trials if trial.reports]
    ranking = sorted(scored, key=lambda t: (t.steps, t.reports[-1][metric]))
    lines = [
        Line(
            trial.folder,
            trial.values,
            trial.reports[-1][metric],
            number / max(1, len(ranking) - 1),
            "winner" if trial.trial == result.best else "other",
        )
        for number, trial in enumerate(ranking)
    ]
    return Section(
        "parameters",
        "Every trial",
        "Parallel coordinates",
        (
            Figures(
                (
                    Figure(
                        parallel_coordinates(
                            lines,
                            ordered(result.plan.space),
                            metric,
                            f"Values and {metric} score of {len(lines)} trials",
                        ),
                        f"values of {len(lines)} trials with their {metric} score",
                        note="A line is a trial, stronger where it went further and scored higher; "
                        "its score is that of its longest training.",
                    ),
                ),
                wide=True,
            ),
        ),
    )


def _importance(result: SweepResult) -> Section:
    found = result.importances
    if not found.values:
        text = (
            f"Not determined: {found.trials} trials were scored at a common length, expected at "
            f"least {MINIMUM_TRIALS}."
        )
        return Section("importance", "Which parameter matters", "Importance", (Text(text),))
    axis = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))
    lines = tuple(
        (path, Track((Mark("parameter", one),), f"{path}: {whole(Value(one))}", "bar"), Value(one))
        for path, one in found.values.items()
    )
    return Section(
        "importance",
        "Which parameter matters",
        "Importance",
        (
            Text(
                f"Shares of what the parameters explain of the score after {found.steps} steps, "
                f"over {found.trials} trials (PED-ANOVA), with 95 % intervals over the trials. A "
                "wide interval says that the trials are too few to tell."
            ),
            Table(
                "Importance, in % of all parameters",
                ("parameter", "", "share"),
                (Group("", lines),),
                axis,
            ),
        ),
    )


def _trials(result: SweepResult) -> Section:
    cells = tuple(tuple(row) for row in rows(result))
    failures = [
        f"trial {trial.trial}: {line}" for trial in result.trials for line in trial.failures
    ]
    blocks: list[Block] = [
        Table(
            "Best first; ◆: on the Pareto front. Scores of the longest training",
            tuple(columns(result)),
            (Group("", cells),),
        )
    ]
    if failures:
        blocks += [Text("**Failed tries**"), Points(tuple(failures))]
    return Section("trials", "Trials", "Trials", tuple(blocks))


def _recipe(result: SweepResult) -> Section:
    recipe = best_recipe(result.plan, result.winner.values).model_dump(mode="json")
    text = yaml.safe_dump(recipe, sort_keys=False)
    return Section(
        "recipe",
        "The winner as a recipe",
        "Recipe",
        (
            Text(f"{BEST}, beside this report: `truelead pretrain --recipe {BEST}` trains it."),
            Code(text),
        ),
    )


SECTIONS: tuple[Callable[[SweepResult], Section | None], ...] = (
    _winner,
    _test,
    _curse,
    _pareto,
    _coordinates,
    _importance,
    _trials,
    _recipe,
)


def _values(result: SweepResult) -> dict[str, str]:
    return {path: short(value) for path, value in result.winner.values.items()}


def _interval(report: dict[str, float], metric: str) -> Interval:
    return Interval(report[metric], report[f"{metric}_low"], report[f"{metric}_high"])


def _shown(value: study_table.Value | None, *, signed: bool = False) -> str | Value:
    if value is None:
        return "-"
    bounds = [math.nan if end is None else end for end in (value.low, value.high)]
    return Value(Interval(value.estimate, *bounds), "points" if signed else "percent")
