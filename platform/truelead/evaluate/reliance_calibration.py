"""Calibrates a model's reliance: chooses reference ECGs and fits the threshold.

Both come to lie beside the model, for the judge and for the service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from truelead.config import Recipe
from truelead.data.store import ShardStore, open_store
from truelead.debias.setup import Setup, build_setup
from truelead.errors import DataError, ModelError
from truelead.evaluate.asked import at_most
from truelead.evaluate.stored_features import StoredFeatures, answered, measured
from truelead.model.answering import Answerer
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest, signal_digest
from truelead.model.reliance import RelianceMeter
from truelead.model.reliance_threshold import (
    FALSE_ALARM_RATE,
    RelianceThreshold,
    strictest_threshold,
)
from truelead.types import Question, Record

REFERENCES = 16
TEST_SETS = (
    "balanced/test-wordings",
    "confounded/test-wordings",
    "official/paraphrased",
    "noise/paraphrased",
)
"""Question sets that are calibrated on and tested, those of them that a set-up has."""
CALIBRATION_SPLITS = ("development", "valid")
"""Splits to calibrate on, the first of them that there is and that the judge does not use."""


def calibrate_reliance(
    recipe: Recipe, folder: Path, *, rate: float = FALSE_ALARM_RATE, references: int = REFERENCES
) -> RelianceThreshold:
    """Choose reference ECGs, fit the threshold, and leave both beside the model.

    The references are train ECGs, spread over the strata of severity in proportion. The threshold
    is fitted on answers about development patients, whom the judge never asks about, in wordings
    that training never used. A model that is calibrated already is left as it is.

    Args:
        folder: a trained model of the recipe's run.

    Raises:
        DataError: the shards hold no patients to calibrate on.
        ModelError: the folder holds no whole model.
    """
    calibrated = _calibrated(folder, rate)
    if calibrated is not None:
        return calibrated
    store = open_store(recipe.output / "shards")
    setup, sets = _calibration_sets(recipe, store)
    answerer = Answerer.from_pretrained(folder)
    stored = StoredFeatures(answerer, store, ecgs_per_batch=recipe.evaluate.batch_ecgs)
    chosen = reference_ids(setup, references, recipe.questions.seed)
    stored.load(chosen)
    kept = ReferenceEcgs(
        stored.all[list(stored.places(chosen))],
        tuple(signal_digest(signal_LT) for signal_LT in store.signals(chosen)),
    )
    meter = RelianceMeter(answerer, kept)
    threshold = replace(
        fit_threshold(answerer, meter, stored, sets, setup.records, rate=rate),
        model=model_digest(folder),
        references=kept.digest,
    )
    kept.save(folder)
    threshold.save(folder)
    return threshold


def fit_threshold(
    answerer: Answerer,
    meter: RelianceMeter,
    stored: StoredFeatures,
    sets: Mapping[str, Sequence[Question]],
    records: Mapping[str, Record],
    *,
    rate: float = FALSE_ALARM_RATE,
) -> RelianceThreshold:
    """A threshold that keeps the false-alarm rate on each of the sets; its digests are empty."""
    closed: dict[str, list[float]] = {}
    free: dict[str, list[float]] = {}
    patients: set[str] = set()
    for name, questions in sets.items():
        shown = [question.ecg_ids for question in questions]
        stored.load([ecg_id for ecg_ids in shown for ecg_id in ecg_ids])
        given = answered(answerer, stored, questions, shown)
        reliances = measured(meter, stored, questions, given)
        for question, found in zip(questions, reliances, strict=True):
            if found is not None:
                kind = free if found.margin is None else closed
                kind.setdefault(name, []).append(found.reliance)
                patients.update(records[ecg_id].patient_id for ecg_id in question.ecg_ids)
    return RelianceThreshold(
        closed=strictest_threshold(closed, rate),
        free=strictest_threshold(free, rate),
        false_alarm_rate=rate,
        answers=sum(map(len, (*closed.values(), *free.values()))),
        patients=len(patients),
        model="",
        references="",
    )


@dataclass(frozen=True)
class CalibratedModel:
    """A model that says how much each answer rests on its ECG, and the stored ECGs it reads."""

    answerer: Answerer
    meter: RelianceMeter
    threshold: RelianceThreshold
    stored: StoredFeatures

    @classmethod
    def load(cls, folder: Path, store: ShardStore, *, ecgs_per_batch: int = 32) -> CalibratedModel:
        """The calibrated model in a folder.

        Raises:
            ModelError: the model is not calibrated, or the calibration is another model's.
        """
        references = ReferenceEcgs.load(folder)
        threshold = RelianceThreshold.load(folder, references)
        answerer = Answerer.from_pretrained(folder)
        stored = StoredFeatures(answerer, store, ecgs_per_batch=ecgs_per_batch)
        return cls(answerer, RelianceMeter(answerer, references), threshold, stored)


def reference_ids(setup: Setup, count: int, seed: int) -> list[str]:
    """Record ids of train ECGs of different patients, spread over the strata in proportion.

    Raises:
        DataError: the train split has not that many patients.
    """
    random = np.random.default_rng([seed, count])
    train = [name for name, record in setup.records.items() if record.split == "train"]
    shuffled = [train[place] for place in random.permutation(len(train))]
    of_patient = {setup.records[name].patient_id or name: name for name in shuffled}
    ordered = sorted(of_patient.values(), key=lambda name: setup.stratum((name,)))
    if len(ordered) < count:
        raise DataError(f"train split: expected at least {count} patients, found {len(ordered)}")
    return [ordered[int((place + 0.5) * len(ordered) / count)] for place in range(count)]


def _calibrated(folder: Path, rate: float) -> RelianceThreshold | None:
    """The threshold in the folder if it is this model's and of this rate."""
    try:
        found = RelianceThreshold.load(folder, ReferenceEcgs.load(folder))
    except ModelError:
        return None
    return found if found.false_alarm_rate == rate else None


def _calibration_sets(
    recipe: Recipe, store: ShardStore
) -> tuple[Setup, dict[str, tuple[Question, ...]]]:
    held_out = {record.split for record in store.records}
    for split in CALIBRATION_SPLITS:
        if split in held_out and split != recipe.evaluate.split:
            judged = recipe.evaluate.model_copy(update={"split": split})
            setup = build_setup(recipe.model_copy(update={"evaluate": judged}), store.records)
            sets = at_most(
                setup.test_sets(), recipe.evaluate.maximum_questions, recipe.questions.seed
            )
            found = {name: sets[name] for name in TEST_SETS if sets.get(name)}
            if found:
                return setup, found
    raise DataError(
        f"{store.folder}: expected a {' or '.join(CALIBRATION_SPLITS)} split, other than the "
        f"judge's {recipe.evaluate.split}, to calibrate reliance on"
    )
