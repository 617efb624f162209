"""The stages of a run in their order; the command line and jobs/ call these and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import yaml

from truelead.config import Recipe
from truelead.errors import ConfigError

if TYPE_CHECKING:
    from truelead.data.manifest import Manifest
    from truelead.data.measurements import MeasurementSummary
    from truelead.study.results import StudyResult
    from truelead.sweep.results import SweepResult

Announce = Callable[[str], None]


@dataclass(frozen=True)
class StageTime:
    """How long one stage of a run took, in seconds."""

    stage: str
    seconds: float


def records_root(recipe: Recipe) -> Path | str:
    """Folder of the set's records: the configured one, or the run's own generated set.

    Returns:
        a path, or the URL that the recipe names.

    Raises:
        ConfigError: the configured folder does not exist.
    """
    if recipe.data.root is None:
        return recipe.output / "records"
    if isinstance(recipe.data.root, str):
        return recipe.data.root
    if not recipe.data.root.is_dir():
        raise ConfigError(
            f"data.root: expected a folder with the records of {recipe.data.source}, "
            f"found none at {recipe.data.root}"
        )
    return recipe.data.root


def save_recipe(recipe: Recipe) -> Path:
    """Write the resolved recipe beside the run's results."""
    recipe.output.mkdir(parents=True, exist_ok=True)
    path = recipe.output / "recipe.yaml"
    path.write_text(
        yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
    )
    return path


def generate(recipe: Recipe) -> Path | str:
    """Write the generated set where the recipe names no real one; otherwise do nothing."""
    root = records_root(recipe)
    if isinstance(root, str):
        return root
    if recipe.data.root is None and recipe.planted is not None:
        from truelead.data.planted_set import write_planted_set
        from truelead.debias.planted import draw_set

        write_planted_set(root, recipe.planted, draw_set(recipe.planted))
    elif recipe.data.root is None:
        from truelead.data.generated import write_generated_set

        write_generated_set(root, recipe.generate)
    return root


def ingest(recipe: Recipe, *, append: bool = False) -> Manifest:
    """Records to Parquet shards; bad records are set aside in shards/rejected.parquet.

    Args:
        recipe: the run.
        append: add what the shards do not hold yet as a further part.
    """
    from truelead.data.ingest import ingest as ingest_records
    from truelead.data.local_copy import local_copy
    from truelead.data.remote_records import listing_folder
    from truelead.data.sources import SOURCES

    if recipe.data.source not in SOURCES:
        raise ConfigError(
            f"data.source: expected one of {', '.join(SOURCES)}, found {recipe.data.source!r}"
        )
    root, shards = records_root(recipe), recipe.output / "shards"
    with listing_folder(root) as tables:
        records = SOURCES[recipe.data.source].load_records(tables, recipe.data)
    manifest = ingest_records(
        records, root, recipe.data.shards_url or shards, recipe.data, append=append
    )
    if recipe.data.shards_url is not None:
        local_copy(recipe.data.shards_url, shards)
    return manifest


def migrate(shards: str) -> Manifest:
    """Bring a folder of shards to this program's schema version, in place."""
    from truelead.data.migration import migrate as migrate_shards

    return migrate_shards(shards)


def measure(recipe: Recipe) -> MeasurementSummary:
    """Intervals of every stored ECG, in a table beside the shards."""
    from truelead.data.measurements import measure as measure_shards

    return measure_shards(recipe.output / "shards")


def pretrain_encoder(recipe: Recipe) -> Path:
    """Train the ECG encoder on the shards."""
    from truelead.train import encoder_stage

    return encoder_stage.run(recipe)


def pretrain(recipe: Recipe, arm: str) -> Path:
    """First stage of an arm's language model: the de-biased (or plain) pre-training."""
    from truelead.train import language_stage

    return language_stage.run(recipe, arm, "pretrain")


def finetune(recipe: Recipe, arm: str) -> Path:
    """Second stage of an arm's language model: the tuning on the observed questions."""
    from truelead.train import language_stage

    return language_stage.run(recipe, arm, "finetune")


def evaluate(recipe: Recipe) -> Path:
    """Judge every arm of the recipe and write the report."""
    from truelead.evaluate.judge import evaluate as judge

    return judge(recipe)


def sweep(recipe: Recipe, space_file: Path) -> SweepResult:
    """Sweep a search space; the ECGs, shards and encoder that all trials share are made first.

    Raises:
        ConfigError: the space does not fit the recipe, or there is no development split.
    """
    from truelead.sweep.checking import check_space
    from truelead.sweep.development import development_recipe
    from truelead.sweep.driver import run_sweep, start_session
    from truelead.sweep.mirror import Mirror
    from truelead.sweep.space import load_space

    space = load_space(space_file)
    check_space(recipe, space)
    development_recipe(recipe)
    if space.storage is not None:
        Mirror(space.storage, recipe.output).pull()
    start_session(recipe.train)
    generate(recipe)
    ingest(recipe)
    if recipe.questions.measurements:
        measure(recipe)
    pretrain_encoder(recipe)
    return run_sweep(recipe, space)


def study(study_file: Path, overrides: Sequence[str] = ()) -> StudyResult:
    """Compare strategies over seeds and conditions; what is finished is found and skipped.

    Args:
        overrides: `a.b=c`, on top of the study's recipe.

    Raises:
        ConfigError: the study, its recipe or one of its arms does not fit; nothing has started.
    """
    from truelead.study.definition import load_study
    from truelead.study.driver import run_study
    from truelead.study.plan import make_plan

    def prepare(recipe: Recipe) -> None:
        generate(recipe)
        ingest(recipe)
        if recipe.questions.measurements:
            measure(recipe)
        pretrain_encoder(recipe)

    return run_study(make_plan(load_study(study_file), overrides), prepare)


def share_inputs(recipe: Recipe, output: Path) -> Recipe:
    """The recipe with another output folder, on the same shards, encoder and features.

    What differs between such runs is the language model's training alone, so that the encoder is
    paid once.
    """
    from truelead.train.stage import link_shared

    link_shared(recipe.output, output)
    return recipe.model_copy(update={"output": output})


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The same run with another seed, in `<output>/seed-<n>`, to show the spread of training."""
    shared = share_inputs(recipe, recipe.output / f"seed-{seed}")
    return shared.model_copy(update={"seed": seed})


def evaluate_seeds(recipe: Recipe, seeds: Sequence[int]) -> Path:
    """Judge every arm over several seeds on the same questions; the first is the recipe's own."""
    from truelead.evaluate.judge import evaluate_runs

    runs = [recipe, *(with_seed(recipe, seed) for seed in seeds if seed != recipe.seed)]
    return evaluate_runs(
        recipe,
        {arm.name: [one.output / arm.name / "finetune" for one in runs] for arm in recipe.arms},
    )


def run(
    recipe: Recipe, *, seeds: Sequence[int] = (), announce: Announce = lambda _: None
) -> tuple[StageTime, ...]:
    """The whole chain, from records to report; finished stages are found and skipped.

    Args:
        recipe: the run.
        seeds: further seeds of the language model's training; the report compares the arms over
            all of them.
        announce: called with the name of each stage as it starts.

    Raises:
        TrueLeadError: what the stages raise.
    """
    from truelead.data.ray_session import ensure_ray

    records_root(recipe)
    save_recipe(recipe)
    ensure_ray()
    steps: list[tuple[str, Callable[[], object]]] = [
        ("generate", lambda: generate(recipe)),
        ("ingest", lambda: ingest(recipe)),
        ("encoder", lambda: pretrain_encoder(recipe)),
    ]
    others = [seed for seed in seeds if seed != recipe.seed]
    for seed in [recipe.seed, *others]:
        one = recipe if seed == recipe.seed else with_seed(recipe, seed)
        label = f"seed {seed}, " if others else ""
        for arm in recipe.arms:
            for name, stage in (("pretrain", pretrain), ("finetune", finetune)):
                steps.append(
                    (f"{label}{arm.name}: {name}", partial(stage, one, arm.name)),
                )
    steps.append(("evaluate", lambda: evaluate_seeds(recipe, others)))
    if recipe.questions.measurements:
        steps.insert(2, ("measure", lambda: measure(recipe)))
    if recipe.data.root is not None:
        steps.pop(0)
    times = []
    for name, step in steps:
        announce(name)
        start = monotonic()
        step()
        times.append(StageTime(name, monotonic() - start))
    return tuple(times)
