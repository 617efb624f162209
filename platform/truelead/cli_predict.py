"""The command `predict`: a list of questions answered over a whole ECG set."""

from __future__ import annotations

import sys
from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from truelead.cli_ecg import FormatName, Gain, Leads, Orientation, Rate, Units, statement
from truelead.errors import ConfigError

console = Console(soft_wrap=True, highlight=False, markup=False)


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a trained model (ARM/finetune).")
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="ECGS",
            help="One folder of shards (RUN/shards); or ECG files, folders of them, or quoted "
            "patterns ('ecgs/*.xml').",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the predictions.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="YAML, CSV or JSONL with text, and if wanted options and name.",
        ),
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option("--question", help="A question; repeatable.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="A possible answer to each --question; repeatable."),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="Text file with one ECG file a line."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="Of shards, only this split; repeatable."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first so many ECGs.")
    ] = None,
    part_size: Annotated[
        int, typer.Option("--part-size", min=1, help="ECGs of one output file.")
    ] = 256,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="ECGs that the model reads at once.")
    ] = 32,
    actors: Annotated[int, typer.Option("--actors", min=1, help="Copies of the model.")] = 1,
    gpus_per_actor: Annotated[
        float,
        typer.Option("--gpus-per-actor", min=0.0, help="0: CPU; 0.5: two actors share a GPU."),
    ] = 0.0,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="CPUs that an actor reserves.")
    ] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove an earlier prediction from --output.")
    ] = False,
    format: FormatName = None,
    rate: Rate = None,
    units: Units = None,
    leads: Leads = None,
    gain: Gain = None,
    orientation: Orientation = None,
) -> None:
    """Answer a list of questions about every ECG of a set, into Parquet files.

    Stored ECGs: truelead predict runs/tiny/debiased/finetune runs/tiny/shards --questions
    questions.yaml -o predictions

    Files of any format: truelead predict MODEL ecgs/ --question 'Is there atrial fibrillation?'
    --option yes --option no -o predictions

    On four GPUs: add --actors 4 --gpus-per-actor 1 --batch-size 256

    questions.yaml is a list with text, options and name; quote "yes" and "no" there. Without
    options the model writes a free answer.

    Written are predictions-00000.parquet and so on (answer, option probabilities, reliance on the
    ECG where the model is calibrated, digests), rejected.parquet (ECGs that cannot be read, with
    their reason) and, last, predictions-manifest.json. Started again, it keeps the finished parts
    and goes on. Not for clinical use.

    Status 1: some ECGs were set aside; the others are answered.
    """
    from truelead.predict.listing import read_list
    from truelead.predict.questions import given_questions, read_questions
    from truelead.predict.run import PredictOptions
    from truelead.predict.run import predict as run_predict

    if output is None:
        raise ConfigError("predict: expected --output FOLDER")
    if (questions is None) == (not question):
        raise ConfigError("predict: expected --questions FILE, or --question TEXT")
    if questions is not None and option:
        raise ConfigError("--option: expected --question, found --questions, whose file has them")
    if (listed is None) == (not sources):
        raise ConfigError("predict: expected ECGS, or --list FILE")
    asked = (
        read_questions(questions)
        if questions is not None
        else given_questions(question or (), option or ())
    )
    options = PredictOptions(
        splits=tuple(split or ()),
        limit=limit,
        ecgs_per_part=part_size,
        batch_size=batch_size,
        actors=actors,
        gpus_per_actor=gpus_per_actor,
        threads=threads,
        format=format,
        stated=statement(rate, units, leads, gain, orientation),
        overwrite=overwrite,
    )
    try:
        finished = run_predict(
            model,
            read_list(listed) if listed is not None else sources or (),
            asked,
            output,
            options,
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None
    manifest = finished.manifest
    kept = f", kept {finished.parts_kept} finished parts" if finished.parts_kept else ""
    console.print(
        f"answered {len(asked)} question(s) about {manifest.answered} ECGs: "
        f"{manifest.rows} rows in {len(manifest.parts)} part(s){kept}"
    )
    if finished.left_alone:
        console.print(f"left alone: {finished.left_alone} files of no known format")
    console.print(f"content digest {manifest.digest}; {manifest.notice}")
    if manifest.rejected:
        console.print(f"set aside {manifest.rejected}, see {output / 'rejected.parquet'}")
        for reason, count in manifest.rejected_by_reason.items():
            console.print(f"  {count} x {reason}")
        raise typer.Exit(1)


def add_command(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    # Lines of a paragraph are joined: the terminal breaks them where it is wide.
    paragraphs = cleandoc(predict.__doc__ or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(one.split()) for one in paragraphs))(predict)
