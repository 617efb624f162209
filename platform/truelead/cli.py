"""The command line: every command is one stage of the chain, or a look at what went in and out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from truelead import __version__
from truelead.cli_cluster import attach, jobs, submit
from truelead.cli_ecg import add_commands
from truelead.cli_export import add_command as add_export
from truelead.cli_fetch import fetch
from truelead.cli_predict import add_command as add_predict
from truelead.config import Recipe, load_recipe
from truelead.errors import ConfigError, TrueLeadError

TINY = Path("jobs/recipes/tiny.yaml")

app = typer.Typer(
    name="truelead",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Train, sweep, judge and serve a language model that reads 12-lead ECGs, and see whether "
        "its answers come from the leads. Research software, not for clinical use."
    ),
)
console = Console()

RecipeFile = Annotated[Path, typer.Argument(help="Recipe (YAML); see jobs/recipes.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="Override a key of the recipe; repeatable."),
]
Arm = Annotated[str | None, typer.Option("--arm", help="One arm; default: every arm.")]


def _recipe(path: Path, overrides: list[str] | None) -> Recipe:
    return load_recipe(path, overrides or ())


def _arms(recipe: Recipe, arm: str | None) -> list[str]:
    if arm is not None:
        recipe.arm(arm)
        return [arm]
    return [one.name for one in recipe.arms]


@app.command()
def generate(recipe: RecipeFile = TINY, overrides: Overrides = None) -> None:
    """Write generated ECGs in PTB-XL's layout (where the recipe names no real set)."""
    from truelead import chain

    console.print(f"records: {chain.generate(_recipe(recipe, overrides))}")


@app.command()
def ingest(
    recipe: RecipeFile = TINY,
    append: Annotated[
        bool, typer.Option("--append", help="Add what the shards do not hold yet.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Read the set's records into Parquet shards; bad records are set aside with their reason."""
    from truelead import chain

    manifest = chain.ingest(_recipe(recipe, overrides), append=append)
    console.print(f"stored {manifest.accepted} ECGs, set aside {manifest.rejected}")
    for reason, count in sorted(manifest.rejected_by_reason.items()):
        console.print(f"  {count} x {reason}")
    for number, part in enumerate(manifest.parts[1:], start=1):
        console.print(
            f"  part {number}: {part.accepted} of {', '.join(part.sources)}, digest {part.digest}"
        )
    if manifest.duplicates.records:
        console.print(
            f"  {manifest.duplicates.records} ECGs share their source files with another, "
            f"{manifest.duplicates.across_splits} sources across splits: see duplicates.parquet"
        )
    console.print(f"data digest {manifest.digest}")


@app.command()
def migrate(
    shards: Annotated[str, typer.Argument(help="Folder of shards, a path or a URL of fsspec.")],
) -> None:
    """Bring shards that an earlier version wrote to this one, in place."""
    from truelead import chain

    manifest = chain.migrate(shards)
    console.print(
        f"{shards}: {manifest.accepted} ECGs in {len(manifest.shards)} shards of version "
        f"{manifest.schema_version}, data digest {manifest.digest}"
    )


@app.command()
def measure(recipe: RecipeFile = TINY, overrides: Overrides = None) -> None:
    """Intervals of every stored ECG, for questions about them (questions.measurements)."""
    from truelead import chain

    found = chain.measure(_recipe(recipe, overrides))
    console.print(f"{found.records} ECGs, {found.shards_measured} shards measured now")
    for title, counts in (("measured", found.measured), ("flag", found.flags)):
        for name, count in counts.items():
            console.print(f"  {title}: {name}: {count}")


@app.command("pretrain-encoder")
def pretrain_encoder(recipe: RecipeFile = TINY, overrides: Overrides = None) -> None:
    """Train the ECG encoder on SCP statements and reports."""
    from truelead import chain

    console.print(f"encoder: {chain.pretrain_encoder(_recipe(recipe, overrides))}")


@app.command()
def pretrain(
    recipe: RecipeFile = TINY,
    arm: Arm = None,
    overrides: Overrides = None,
    named: Annotated[
        Path | None, typer.Option("--recipe", help="The same, such as a sweep's best.yaml.")
    ] = None,
) -> None:
    """Pre-train the language model of an arm, de-biased or plain as its strategy says."""
    from truelead import chain

    resolved = _recipe(named or recipe, overrides)
    for name in _arms(resolved, arm):
        console.print(f"{name}: {chain.pretrain(resolved, name)}")


@app.command()
def finetune(recipe: RecipeFile = TINY, arm: Arm = None, overrides: Overrides = None) -> None:
    """Tune the pre-trained language model of an arm on the observed questions."""
    from truelead import chain

    resolved = _recipe(recipe, overrides)
    for name in _arms(resolved, arm):
        console.print(f"{name}: {chain.finetune(resolved, name)}")


@app.command()
def evaluate(recipe: RecipeFile = TINY, overrides: Overrides = None) -> None:
    """Judge every arm and write the report (HTML, JSON, Markdown, every prediction)."""
    from truelead import chain
    from truelead.evaluate.console import print_report

    folder = chain.evaluate(_recipe(recipe, overrides))
    print_report(folder)
    console.print(f"report: {folder / 'report.html'}")


@app.command()
def run(
    recipe: RecipeFile = TINY,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each arm.")] = 1,
    overrides: Overrides = None,
) -> None:
    """The whole chain: ingest, encoder, every arm, report. Finished stages are skipped."""
    from truelead import chain
    from truelead.evaluate.console import print_report

    resolved = _recipe(recipe, overrides)
    times = chain.run(
        resolved,
        seeds=range(resolved.seed, resolved.seed + seeds),
        announce=lambda stage: console.rule(f"[bold]{stage}", align="left"),
    )
    folder = resolved.output / "report"
    print_report(folder)
    for time in times:
        console.print(f"{time.seconds:8.1f} s  {time.stage}")
    console.print(f"report: {folder / 'report.html'}")


@app.command()
def demo(recipe: RecipeFile = TINY, overrides: Overrides = None) -> None:
    """The main job on generated ECGs, down to one question answered over HTTP."""
    from truelead.demo import demo as run_demo

    run_demo(_recipe(recipe, overrides), console)


@app.command()
def serve(
    model: Annotated[
        Path | None, typer.Argument(help="Model folder; default: the last arm of the recipe.")
    ] = None,
    recipe: Annotated[Path, typer.Option(help="Recipe whose last arm is served.")] = TINY,
    host: str = "127.0.0.1",
    port: int = 8000,
    adapter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="An adapter of the model; repeatable."),
    ] = None,
) -> None:
    """Serve a model over HTTP. Beyond loopback a token is needed (TRUELEAD_TOKEN)."""
    from truelead.service.run import serve_model

    if model is None:
        resolved = load_recipe(recipe)
        model = resolved.output / resolved.arms[-1].name / "finetune"
    adapters: dict[str, str] = {}
    for text in adapter or ():
        name, equals, folder = text.partition("=")
        if not equals or name in adapters:
            raise ConfigError("--adapter: expected NAME=FOLDER, each name once")
        adapters[name] = folder
    serve_model(
        model,
        host=host,
        port=port,
        token=os.environ.get("TRUELEAD_TOKEN"),
        arguments={"adapters": adapters} if adapters else None,
    )


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    records: Annotated[list[Path], typer.Argument(help="One or two ECG files.")],
    url: str = "http://127.0.0.1:8000",
    option: Annotated[list[str] | None, typer.Option(help="A possible answer; repeatable.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A model of the service; default: its base model.")
    ] = None,
) -> None:
    """Ask a running service about one ECG, or two to compare."""
    from truelead.service.client import ask as ask_service
    from truelead.signal.formats.reading import read_ecg

    answer = ask_service(
        url,
        [read_ecg(record) for record in records],
        question,
        options=option,
        token=os.environ.get("TRUELEAD_TOKEN"),
        model=model,
    )
    console.print(answer.answer)
    for name, probability in answer.option_probabilities.items():
        console.print(f"  {name}: {probability:.3f}")
    console.print(f"reliance on the ECG: {answer.reliance.verdict}")
    console.print(f"[dim]{answer.notice}")


@app.command()
def tune(
    space: Annotated[Path, typer.Argument(help="Search space (YAML); see tune/spaces.")],
    recipe: Annotated[Path, typer.Option(help="Recipe that the space varies.")] = TINY,
    overrides: Overrides = None,
) -> None:
    """Sweep a search space over the recipe with Ray Tune; write its report and the best recipe.

    Started again, it goes on where it was.
    """
    from truelead import chain
    from truelead.sweep.console import print_result

    print_result(chain.sweep(_recipe(recipe, overrides), space))


@app.command()
def study(
    study_file: Annotated[
        Path, typer.Argument(metavar="STUDY", help="Study (YAML); see jobs/studies.")
    ],
    overrides: Overrides = None,
) -> None:
    """Compare strategies over seeds and conditions; started again, it goes on where it was."""
    from truelead import chain
    from truelead.study.console import print_result

    print_result(chain.study(study_file, overrides or ()))


add_commands(app)
app.command()(fetch)
add_predict(app)
add_export(app)
for cluster_command in (submit, attach, jobs):
    app.command()(cluster_command)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show it.")] = False) -> None:
    if version:
        console.print(f"truelead {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point; what the user can mend is one line and status 2."""
    try:
        app()
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
