"""The command `export`: a trained model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from truelead.errors import ConfigError

console = Console(soft_wrap=True, highlight=False, markup=False)


def export(
    stage: Annotated[
        Path, typer.Argument(metavar="STAGE", help="RUN/ARM/pretrain or RUN/ARM/finetune.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    merged: Annotated[
        bool, typer.Option("--merged", help="The language model alone, adapters merged into it.")
    ] = False,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="The PEFT adapter alone (language_model.train: lora).")
    ] = False,
    served_adapter: Annotated[
        bool,
        typer.Option(
            "--served-adapter",
            help="All that the stage has beyond the model it started from, for `serve --adapter`.",
        ),
    ] = False,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="Of the newest whole checkpoint of the stage.")
    ] = False,
    dtype: Annotated[
        str, typer.Option("--dtype", help="Of the weights: float32, bfloat16 or float16.")
    ] = "float32",
) -> None:
    """Write a model in the hub's layout: whole (default), its language model or an adapter."""
    chosen = {"merged": merged, "adapter": adapter, "served-adapter": served_adapter}
    kinds = [kind for kind, wanted in chosen.items() if wanted] or ["whole"]
    if len(kinds) > 1:
        raise ConfigError(f"export: expected --{kinds[0]} or --{kinds[1]}, found both")
    from truelead.train.environment import quieten_hub
    from truelead.train.export import export as write

    quieten_hub()
    written = write(stage, output, kinds[0], from_checkpoint=checkpoint, dtype=dtype)  # type: ignore[arg-type]
    console.print(f"{kinds[0]} model: {written}")


def add_command(app: typer.Typer) -> None:
    """Give `app` the command."""
    app.command()(export)
