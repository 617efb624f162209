"""Population-based training: members train in pieces, and the worst go on from the best.

Ray Tune's scheduler pauses all members after every piece, lets the worst take over the checkpoint
of one of the best, and changes what the space lets it change. A piece is a segment of a
pre-training: it starts from the checkpoint of the piece before, optimizer included, and follows the
learning-rate schedule of the whole length. What Tune carries from member to member is a pointer to
that piece.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from truelead.config import Scalar
from truelead.errors import TrueLeadError
from truelead.sweep.distributions import Distribution
from truelead.sweep.objective import FAILED, SweepPlan, link_model, number_in, own_config, scored

_POINTER = "piece.json"
_VALUE = "value:"
"""Prefix of a config path among the keys that Ray Tune changes."""


def member_config(
    plan: SweepPlan, number: int, name: str, values: dict[str, Scalar]
) -> dict[str, Any]:
    """What Ray Tune starts a member with."""
    mutated = plan.space.scheduler.mutate
    return {
        "trial": number,
        "name": name,
        "values": {path: value for path, value in values.items() if path not in mutated},
        **{_VALUE + path: values[path] for path in mutated},
    }


def mutations(domains: dict[str, Any]) -> dict[str, Any]:
    """Config path -> domain, as Ray Tune finds them in a member's configuration."""
    return {"member": {_VALUE + path: domain for path, domain in domains.items()}}


def within(found: Mapping[str, Distribution]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Keeps changed values inside their ranges, which Ray Tune's factors may leave."""

    def keep(config: dict[str, Any]) -> dict[str, Any]:
        for path, one in found.items():
            if one.kind != "choice":
                low, high = one.ends
                value = min(high, max(low, config["member"][_VALUE + path]))
                config["member"][_VALUE + path] = round(value) if one.is_whole else value
        return config

    return keep


def values_of(config: dict[str, Any]) -> dict[str, Scalar]:
    """All values of a member as it stands."""
    changed = {k.removeprefix(_VALUE): v for k, v in config.items() if k.startswith(_VALUE)}
    return {**config["values"], **changed}


def run_member(config: dict[str, Any], *, plan: SweepPlan) -> None:
    """Ray Tune's function of one member: from its last piece, its own or a better one's, onwards.

    Args:
        config: of `member_config`, perhaps changed; `piece` names where an earlier start of the
            sweep had come to.
        plan: of the sweep.
    """
    from ray import tune

    config = dict(own_config(config))
    piece = config.get("piece")
    given = tune.get_checkpoint()
    if given is not None:
        with given.as_directory() as folder:
            piece = json.loads(Path(folder, _POINTER).read_text(encoding="utf-8"))
    # The configuration may be that of the member whose checkpoint this one goes on from.
    values, name = values_of(config), tune.get_context().get_trial_name()
    number = number_in(name)
    assert number is not None, "members are named by their numbers"
    done = 0 if piece is None else int(piece["steps"])
    if done >= plan.rungs[-1] and piece is not None and "report" in piece:
        # It had come to its end before the sweep was started again: the others count on its score.
        tune.report({**piece["report"], "member_values": json.dumps(values), "donor": -1.0})
    for steps in [rung for rung in plan.rungs if rung > done]:
        try:
            folder, report = _train_piece(plan, name, values, steps, piece)
        except TrueLeadError as error:
            tune.report({"steps": steps, FAILED: str(error)})
            return
        donor = -1 if piece is None else int(piece["trial"])
        piece = {"steps": steps, "folder": str(folder), "trial": number}
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, _POINTER).write_text(json.dumps(piece), encoding="utf-8")
            tune.report(
                {**report, "member_values": json.dumps(values), "donor": float(donor)},
                checkpoint=tune.Checkpoint.from_directory(scratch),
            )


def _train_piece(
    plan: SweepPlan,
    name: str,
    values: dict[str, Scalar],
    steps: int,
    before: dict[str, Any] | None,
) -> tuple[Path, dict[str, float]]:
    from truelead.sweep.stages import StagePool
    from truelead.train.environment import prepare_worker

    prepare_worker(plan.recipe.train.threads_per_worker)
    start = time.monotonic()
    recipe = plan.trial_recipe(values, plan.rungs[-1], name)
    trained = StagePool(plan.recipe).train_piece(
        recipe, steps, None if before is None else Path(before["folder"])
    )
    link_model(plan.trial_folder(name) / f"steps-{steps:06d}", trained.folder)
    return trained.folder, scored(plan, (trained,), steps, time.monotonic() - start)
