"""Trained stages by their content: what two trials have in common is trained once.

<output>/sweep/stages/<digest>/
    shards, encoder, features    links to the run's own, or to the variant of the encoder
    model/pretrain, model/finetune
    tries.jsonl                  one line whenever a training begins and ends

The digest is that of everything that shapes the stage's result, so that all sweeps of a run share
their stages: trials that differ only in their tuning start from one pre-training. A lock that the
system lets go of when its process dies keeps two processes from training one stage at once; the
second waits, and finds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truelead.config import ArmConfig, Recipe
from truelead.data.durable import flush_folder
from truelead.errors import DataError
from truelead.study.training import training_seconds
from truelead.train.checkpoint_store import CheckpointStore
from truelead.train.progress import say
from truelead.train.stage import CHECKPOINTS, DONE, digest_of, link_shared

if TYPE_CHECKING:
    from truelead.train.language_stage import Segment

StageName = Literal["pretrain", "finetune"]
STAGES, TRIES, READY = "stages", "tries.jsonl", "encoder.ready"
ARM = "model"
_LOCK = "stage.lock"


@dataclass(frozen=True)
class TrainedStage:
    """A stage that is there.

    Attributes:
        folder: of the model.
        key: digest of what shapes it.
        seconds: of its training, by its own log: steps times their mean time.
        steps: that it was trained for.
    """

    folder: Path
    key: str
    seconds: float
    steps: int


class StagePool:
    """The stages below a run's `sweep/stages`."""

    def __init__(self, base: Recipe) -> None:
        """Args:
        base: recipe of the run whose shards and encoder the stages stand on.
        """
        self._base = base
        self.folder = base.output / "sweep" / STAGES

    def train(self, recipe: Recipe, stages: tuple[str, ...]) -> tuple[TrainedStage, ...]:
        """The stages of a recipe, in their order; those that are not there are trained.

        Args:
            recipe: of the trial; its output and arms do not matter.
            stages: "pretrain", or "pretrain" and "finetune".

        Raises:
            TrueLeadError: what the stages raise.
        """
        own, key = self._own(recipe)
        found = [self._stage(own, key, "pretrain")]
        if "finetune" in stages:
            tree = recipe.finetune.model_dump(mode="json")
            before, key = found[0], digest_of({"start": key, "finetune": tree})
            _link(self._place(key) / ARM / "pretrain", before.folder)
            found.append(self._stage(own, key, "finetune"))
        return tuple(found)

    def train_piece(self, recipe: Recipe, until: int, before: Path | None) -> TrainedStage:
        """A pre-training up to a step, going on from the piece in `before`.

        Raises:
            TrueLeadError: what the stage raises.
        """
        from truelead.train.language_stage import Segment

        own, whole = self._own(recipe)
        started = None if before is None else json.loads((before / DONE).read_text("utf-8"))["key"]
        key = digest_of({"pretrain": whole, "until": until, "before": started})
        return self._stage(own, key, "pretrain", Segment(until, before))

    def _own(self, recipe: Recipe) -> tuple[Recipe, str]:
        """The recipe with the pool's one arm and its inputs as output; its pre-training's key."""
        from truelead.train.language_stage import pretraining_key

        arm = ArmConfig(
            name=ARM, pretrain=recipe.pretrain.strategy, finetune=recipe.finetune.strategy
        )
        own = recipe.model_copy(update={"arms": (arm,), "output": self._inputs(recipe)})
        return own, pretraining_key(own, ARM)

    def _place(self, key: str) -> Path:
        return self.folder / key[:24]

    def _stage(
        self, recipe: Recipe, key: str, stage: StageName, segment: Segment | None = None
    ) -> TrainedStage:
        from truelead.train import language_stage

        place = self._place(key)
        folder = place / ARM / stage
        if not (folder / DONE).is_file():
            link_shared(recipe.output, place)
            with locked(place / _LOCK, f"{stage} {key[:8]}"):
                if not (folder / DONE).is_file():
                    own = recipe.model_copy(update={"output": place})
                    note_try(place, stage, "begin", CheckpointStore(folder / CHECKPOINTS).names())
                    language_stage.run(own, ARM, stage, segment=segment)
                    if segment is None:
                        # What it would resume from is as large as the model, many times over.
                        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
                    note_try(place, stage, "end", [])
        return TrainedStage(
            folder,
            key,
            training_seconds(folder),
            _steps(folder, segment.before if segment else None),
        )

    def _inputs(self, recipe: Recipe) -> Path:
        """Folder with the shards, encoder and features that the recipe asks for.

        An encoder other than the run's own is trained once, with the run's own seed.
        """
        from truelead.sweep.development import development_recipe
        from truelead.train import encoder_stage
        from truelead.train.features import ensure_features

        run, wanted = self._base.output, _encoder_parts(recipe)
        if self.has_own_encoder(recipe):
            return run
        place = self.folder.parent / f"encoder-{digest_of(wanted)[:12]}"
        if not (place / READY).is_file():
            _link(place / "shards", run / "shards")
            with locked(place / _LOCK, "encoder"):
                variant = self._base.model_copy(
                    update={
                        "output": place,
                        "encoder": recipe.encoder,
                        "encoder_training": recipe.encoder_training,
                    }
                )
                encoder_stage.run(development_recipe(variant))
                ensure_features(
                    place / "encoder", place / "shards", place / "features", recipe.data
                )
                (place / READY).touch()
        return place

    def has_own_encoder(self, recipe: Recipe) -> bool:
        """Whether a recipe asks for the run's own encoder."""
        return _encoder_parts(recipe) == _encoder_parts(self._base)

    def tries(self) -> list[dict[str, Any]]:
        """Every beginning and end of a training in the pool, by stage folder in their order."""
        return [
            {"stage_folder": path.parent.name, **json.loads(line)}
            for path in sorted(self.folder.glob(f"*/{TRIES}"))
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.endswith("}")
        ]


def note_try(place: Path, stage: str, event: str, checkpoints: list[Any]) -> None:
    """Append a line about a training to its folder."""
    line = {
        "event": event,
        "stage": stage,
        "from_step": checkpoints[0].step if checkpoints else 0,
        "time": round(time.time(), 3),
        "host": socket.gethostname(),
        "process": os.getpid(),
    }
    with (place / TRIES).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds a lock file; waits, and says so, where another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{what}: another trial trains it, waiting")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _encoder_parts(recipe: Recipe) -> dict[str, Any]:
    tree = recipe.model_dump(mode="json")
    return {name: tree[name] for name in ("encoder", "encoder_training")}


def _link(link: Path, target: Path) -> None:
    """A relative link, made by whoever comes first."""
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
    except FileExistsError:
        if not link.is_symlink():
            raise DataError(f"{link}: expected a link to {target}, found something else") from None
    flush_folder(link.parent)


def _steps(folder: Path, before: Path | None) -> int:
    """Steps that the stage itself has trained."""
    done = [json.loads((one / DONE).read_text("utf-8")) for one in (folder, before) if one]
    counts = [int(one["summary"]["steps"]) for one in done]
    return counts[0] - sum(counts[1:])
