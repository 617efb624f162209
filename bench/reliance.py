"""Does an answer's reliance tell that it was given with another patient's ECG?

Calibrates the models that `make soak SECTION=spine` trained on real ECGs, on development patients,
and holds answers given with a random patient's ECG against the patient's own. The pointing game
asks the same models about ventricular extra beats in generated ECGs, which they never saw.
"""

from __future__ import annotations

from typing import Any

from bench.real_ecgs import DEBIASED, SEEDS, real_recipe
from bench.reported import row
from truelead import chain
from truelead.data.store import open_store
from truelead.debias.setup import build_setup
from truelead.evaluate.asked import answers_by_labels, at_most
from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.planted_evidence import PointingGame, pointing_game
from truelead.evaluate.reliance_calibration import calibrate_reliance
from truelead.evaluate.reliance_detection import RelianceResult, measure_reliance
from truelead.evaluate.suites import SuiteContext
from truelead.model.answering import Answerer
from truelead.questions.bank import QuestionBank
from truelead.types import Record

COMMAND = "make soak SECTION=causal"
GOAL = 80.0


def rows() -> list[dict[str, Any]]:
    """False alarms and detection on each test set over the seeds, and the pointing game."""
    recipe = real_recipe()
    runs = [
        recipe if seed == recipe.seed else chain.with_seed(recipe, seed)
        for seed in range(recipe.seed, recipe.seed + SEEDS)
    ]
    folders = [run.output / DEBIASED / "finetune" for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        calibrate_reliance(run, folder)
    store = open_store(recipe.output / "shards")
    setup = build_setup(recipe, store.records)
    sets = at_most(setup.test_sets(), recipe.evaluate.maximum_questions, recipe.questions.seed)
    context = SuiteContext(sets, setup.records, answers_by_labels(setup), recipe.questions.seed)
    found = []
    for result in measure_reliance(recipe, {DEBIASED: folders}, context, store):
        found += _detection(result)
    record = Record("", "", "", "", scp_codes={"PVC": 100.0})
    question = QuestionBank().verify_code("PVC", record, wording=0)
    for run, folder in zip(runs, folders, strict=True):
        game = pointing_game(Answerer.from_pretrained(folder), question)
        if game is not None:
            found += _pointing(run.seed, game)
    return found


def _detection(result: RelianceResult) -> list[dict[str, Any]]:
    name = f"{result.arm}: {result.test_set}"
    bound = 100 * result.bound
    return [
        _row(
            f"{name}: own ECG, flagged (false alarms)",
            result.false_alarms,
            goal=bound,
            holds=result.false_alarms.low <= result.bound,
        ),
        _row(
            f"{name}: random ECG, labels differ, flagged",
            result.detected,
            goal=GOAL,
            holds=100 * result.detected.estimate >= GOAL,
        ),
        _row(f"{name}: of these, true of the patient by chance", result.true_of_patient),
        _row(
            f"{name}: random ECG, answer false of the patient, flagged",
            result.detected_false,
            goal=GOAL,
            holds=100 * result.detected_false.estimate >= GOAL,
        ),
    ]


def _pointing(seed: int, game: PointingGame) -> list[dict[str, Any]]:
    name = f"seed {seed}: occlusion points at extra beats, {game.ecgs} of {game.shown} ECGs"
    return [
        _row(
            name,
            game.hits,
            goal=100 * game.chance.estimate,
            holds=game.lead_over_chance.above(0.0),
            peer=f"a random window: {100 * game.chance.estimate:.1f} %",
        )
    ]


def _row(name: str, value: Interval, **more: Any) -> dict[str, Any]:
    interval = [100 * value.low, 100 * value.high]
    return row(name, 100 * value.estimate, "%", COMMAND, interval=interval, **more)
