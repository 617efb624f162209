"""The main job on one screen: the whole chain, then one question answered over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from truelead import chain
from truelead.config import Recipe
from truelead.data.store import open_store
from truelead.debias.setup import build_setup
from truelead.errors import DataError
from truelead.evaluate.console import read_report
from truelead.evaluate.metrics import is_correct
from truelead.service import run as service
from truelead.service.client import ask
from truelead.service.wire import AskResponse
from truelead.types import Ecg, Question

_COLUMNS: dict[str, str] = {
    "confounded/test-wordings": "observed\n(confounded)",
    "balanced/test-wordings": "balanced\ndo(Q)",
    "balanced/test-wordings/random-ecg": "balanced do(Q),\nrandom ECG",
    "official/paraphrased": "official",
    "official/paraphrased/random-ecg": "official,\nrandom ECG",
}
"""Cells of the report that the table shows, where the set-up has them."""

_PREFERRED_SETS = ("balanced/test-wordings", "official/paraphrased")


def demo(recipe: Recipe, console: Console) -> Path:
    """Run every stage, ask the last arm's model one question over HTTP, and print what came out.

    Args:
        recipe: the run; finished stages are skipped.
        console: to print on.

    Returns:
        The path of report.html.

    Raises:
        TrueLeadError: what the stages and the service raise.
    """
    times = chain.run(recipe, announce=lambda stage: console.print(f"[bold]>[/bold] {stage}"))
    console.print("[bold]>[/bold] serve")
    question, ecgs = example_question(recipe)
    answer = _ask_over_http(recipe, question, ecgs)
    folder = recipe.output / "report"
    report = read_report(folder)
    console.print()
    console.print(results_table(report))
    _print_answer(console, recipe, question, answer)
    console.print("stage times: " + ", ".join(f"{t.stage} {t.seconds:.0f} s" for t in times))
    page = folder / "report.html"
    console.print(f"report: {page}", soft_wrap=True)
    console.print(f"[dim]{answer.notice}[/dim]")
    return page


def example_question(recipe: Recipe) -> tuple[Question, list[Ecg]]:
    """A question of the judge's test, drawn by the recipe's seed, with the ECGs it is about.

    Raises:
        DataError: there are no shards, or the set-up has no test question.
    """
    store = open_store(recipe.output / "shards")
    sets = build_setup(recipe, store.records).test_sets()
    names = [name for name in (*_PREFERRED_SETS, *sets) if sets.get(name)]
    if not names:
        raise DataError(f"{store.folder}: expected ECGs of the {recipe.evaluate.split} split")
    questions = sets[names[0]]
    # A large step: neighbours in a test set ask the same thing.
    question = questions[(7919 * (recipe.seed + 1)) % len(questions)]
    return question, [store.signal(ecg_id) for ecg_id in question.ecg_ids]


def results_table(report: Mapping[str, Any]) -> Table:
    """The cells that tell reading from guessing, one row a model, from the content of report.json.

    Bounds of the 95 % interval stand beside each share of right answers.
    """
    examination = report["examination"]
    cells: dict[tuple[str, str], Mapping[str, Any]] = {
        (result["cell"], result["arm"]): result["micro"] for result in examination["cells"]
    }
    shown = [cell for cell in _COLUMNS if any(name == cell for name, _ in cells)]
    table = Table(title=f"{report['name']}: right answers, % (95 % interval)")
    table.add_column("model")
    for cell in shown:
        table.add_column(_COLUMNS[cell], justify="right")
    for arm in (*examination["arms"], *examination["baselines"]):
        values = [_share(cells.get((cell, arm))) for cell in shown]
        if any(values):
            table.add_row(arm, *values)
    return table


def _ask_over_http(recipe: Recipe, question: Question, ecgs: Sequence[Ecg]) -> AskResponse:
    model = recipe.output / recipe.arms[-1].name / "finetune"
    url = service.serve_model(model, port=service.free_port(), block=False)
    try:
        return ask(url, ecgs, question.text, question.options or None)
    finally:
        service.stop()


def _print_answer(
    console: Console, recipe: Recipe, question: Question, answer: AskResponse
) -> None:
    right = "right" if is_correct(question.answers, answer.answers) else "wrong"
    console.print(f"asked over HTTP ({answer.model}): {question.text}")
    chance = answer.option_probabilities.get(answer.answer)
    sure = "" if chance is None else f" (probability {chance:.2f})"
    console.print(
        f"  answered [bold]{answer.answer or 'nothing'}[/bold]{sure}, "
        f"true answer {question.answer_text}: {right}; "
        f"ECG {' and '.join(question.ecg_ids)} of the {recipe.evaluate.split} split"
    )


def _share(value: Mapping[str, float | None] | None) -> str:
    if value is None or value["estimate"] is None:
        return ""
    low, high = value["low"], value["high"]
    bounds = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value['estimate']:.1f}{bounds}"
