"""The set-up `planted`: what it asks follows the model, and the truth it tells is the model's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from truelead.config import EvaluateConfig, PlantedConfig, QuestionsConfig, Recipe, parse_recipe
from truelead.data.planted_set import TRACES
from truelead.debias.diagnostics import mutual_information
from truelead.debias.planted import interventional, observational, planted_in
from truelead.debias.setup import build_setup
from truelead.debias.setup.planted import PlantedSetup
from truelead.debias.severity import severity_provider
from truelead.debias.severity.planted import PlantedSeverity
from truelead.errors import ConfigError, DataError
from truelead.types import Question, Record

Records = Callable[[PlantedConfig], list[Record]]
DIALS = PlantedConfig(ecgs=1600, conditions=6, strata=3, severity_readable=0.2)


def recipe_of(planted: PlantedConfig | None, **keys: Any) -> Recipe:
    return Recipe(
        name="x",
        planted=planted,
        questions=QuestionsConfig(setup="planted"),
        evaluate=EvaluateConfig(split="valid"),
        **{"severity": "planted", **keys},
    )


def setup_of(records: list[Record], planted: PlantedConfig, **keys: Any) -> PlantedSetup:
    built = build_setup(recipe_of(planted, **keys), records)
    assert isinstance(built, PlantedSetup)
    return built


@pytest.fixture(scope="module")
def records(records_of: Records) -> list[Record]:
    return records_of(DIALS)


@pytest.fixture(scope="module")
def setup(records: list[Record]) -> PlantedSetup:
    return setup_of(records, DIALS)


@pytest.fixture(scope="module")
def sets(setup: PlantedSetup) -> dict[str, tuple[Question, ...]]:
    return setup.test_sets()


def test_every_condition_is_asked_and_answered_by_the_labels(setup: PlantedSetup) -> None:
    assert setup.codes == tuple(TRACES)[:6]
    for group in setup.groups("train")[:30]:
        record = setup.records[group[0]]
        for code, cell in zip(setup.codes, setup.cells(group), strict=True):
            assert cell.answer == ("yes" if code in record.scp_codes else "no")
        assert setup.stratum(group) == setup.planted_severity(group)


@pytest.mark.parametrize("confounding", [0.0, 0.5, 1.0])
def test_observed_questions_tell_as_much_of_severity_as_the_model_says(
    records: list[Record], confounding: float
) -> None:
    setup = setup_of(records, DIALS.model_copy(update={"confounding": confounding}))
    asked = [q for group in setup.groups("train") for q in setup.observed(group, 0)]
    strata = [setup.planted_severity(question.ecg_ids) for question in asked]
    bits = mutual_information([question.question_id for question in asked], strata)
    assert bits == pytest.approx(setup.model.question_severity_bits(), abs=0.02)
    codes = [setup.codes.index(setup._code[question.question_id]) for question in asked]
    counts = Counter(zip(strata, codes, strict=True))
    for stratum in range(3):
        total = sum(counts[stratum, code] for code in range(6))
        for code in range(6):
            share = setup.model.question_AC[stratum, code]
            error = np.sqrt(share * (1 - share) / total)
            assert abs(counts[stratum, code] / total - share) < 4.5 * error


def test_the_truths_are_the_posteriors(
    setup: PlantedSetup, sets: dict[str, tuple[Question, ...]], records: list[Record]
) -> None:
    ecgs = planted_in(records, setup.codes, DIALS)
    do_NC, observed_NC = interventional(setup.model, ecgs), observational(setup.model, ecgs)
    row = {record.record_id: number for number, record in enumerate(records)}
    for question in sets["interventional/test-wordings"][:200]:
        place = row[question.ecg_ids[0]], setup.codes.index(setup._code[question.question_id])
        assert setup.truth(question) == (do_NC[place], observed_NC[place])


def test_the_answers_are_calibrated_to_the_truths(
    setup: PlantedSetup, sets: dict[str, tuple[Question, ...]]
) -> None:
    """Set questions are answered yes as often as the one truth says, observed ones as the other."""
    asked = {
        "set": sets["interventional/test-wordings"],
        "observed": [
            question
            for epoch in range(3)
            for group in setup.groups("train")
            for question in setup.observed(group, epoch)
        ],
    }
    z: dict[tuple[str, int], list[float]] = defaultdict(list)
    for kind, questions in asked.items():
        by_code: dict[str, list[Question]] = defaultdict(list)
        for question in questions:
            by_code[question.question_id].append(question)
        for same in by_code.values():
            yes = np.array([question.answers == ("yes",) for question in same])
            truth_Q2 = np.array([setup.truth(question) for question in same])
            # An ECG that is asked the same several times counts as one draw of its condition.
            repeats = len(same) / len({question.ecg_ids for question in same})
            for which in range(2):
                share = truth_Q2[:, which]
                error = np.sqrt((share * (1 - share)).sum() * repeats)
                z[kind, which].append(abs((yes - share).sum()) / error)
    assert max(z["set", 0]) < 4
    assert max(z["observed", 1]) < 4
    assert max(z["observed", 0]) > 6


def test_without_confounding_both_truths_are_one(records: list[Record]) -> None:
    setup = setup_of(records, DIALS.model_copy(update={"confounding": 0.0}))
    for group in setup.groups("train")[:100]:
        for question in setup.candidates(group):
            do, observed = setup.truth(question)
            assert do == pytest.approx(observed, abs=1e-12)


def test_confounding_moves_the_truth_of_observed_questions(
    setup: PlantedSetup, sets: dict[str, tuple[Question, ...]]
) -> None:
    questions = sets["interventional/test-wordings"]
    truth_Q2 = np.array([setup.truth(question) for question in questions])
    assert np.abs(truth_Q2[:, 0] - truth_Q2[:, 1]).mean() > 0.03


def test_the_test_sets(setup: PlantedSetup, sets: dict[str, tuple[Question, ...]]) -> None:
    for name in ("confounded", "balanced", "balanced-same-severity"):
        assert {f"{name}/train-wordings", f"{name}/test-wordings"} <= set(sets)
    everything = sets["interventional/test-wordings"]
    asked = [(question.ecg_ids, question.question_id) for question in everything]
    tested = setup.groups("valid")
    assert len(asked) == len(set(asked)) == len(tested) * 6
    assert {group for group, _ in asked} == set(tested)
    trained = set(setup.corpus())
    assert not {question.text for question in everything} & trained
    answers = Counter(q.answer_text for q in sets["balanced/test-wordings"])
    assert answers["yes"] == answers["no"] > 100


def test_random_strata_change_the_adjustment_and_not_the_questions(
    setup: PlantedSetup, sets: dict[str, tuple[Question, ...]], records: list[Record]
) -> None:
    control = setup_of(records, DIALS, severity="random")
    groups = setup.groups("train")

    def asked(questions: tuple[Question, ...]) -> list[Question]:
        return [replace(question, severity=-1) for question in questions]

    for group in groups[:200]:
        assert asked(control.observed(group, 1)) == asked(setup.observed(group, 1))
    assert {name: asked(found) for name, found in control.test_sets().items()} == {
        name: asked(found) for name, found in sets.items()
    }
    strata = [control.stratum(group) for group in groups]
    severity = [setup.stratum(group) for group in groups]
    assert abs(mutual_information(strata, severity)) < 0.006
    question = sets["interventional/test-wordings"][0]
    assert control.truth(question) == setup.truth(question)


def test_the_strata_are_as_many_as_were_planted(records_of: Records) -> None:
    dials = PlantedConfig(ecgs=200, strata=4, conditions=4)
    records = records_of(dials)
    setup = setup_of(records, dials)
    assert len(setup.severity.strata) == 4
    assert {setup.stratum(group) for group in setup.groups("train")} == {0, 1, 2, 3}
    few = severity_provider("planted")
    with pytest.raises(DataError, match=r"report: expected a severity below 3"):
        [few(record) for record in records]
    with pytest.raises(ConfigError, match="planted: expected strata between 2 and 4, found 5"):
        PlantedSeverity().with_strata(5)


def test_positivity_zero_leaves_questions_that_nobody_is_asked(records_of: Records) -> None:
    dials = PlantedConfig(ecgs=200, positivity=0.0, severity_readable=1.0)
    setup = setup_of(records_of(dials), dials)
    for question in setup.test_sets()["interventional/test-wordings"]:
        do, observed = setup.truth(question)
        code = setup.codes.index(setup._code[question.question_id])
        never = setup.model.question_AC[setup.planted_severity(question.ecg_ids), code] == 0
        assert 0 <= do <= 1
        assert np.isnan(observed) == never


def test_what_is_missing_is_one_clear_line(records: list[Record]) -> None:
    with pytest.raises(ConfigError, match="planted: expected the dials"):
        build_setup(recipe_of(None), records)
    with pytest.raises(DataError, match="expected what the dials under planted draw"):
        build_setup(recipe_of(PlantedConfig(conditions=4)), records)
    unplanted = [replace(records[0], report="sinus rhythm"), *records[1:]]
    with pytest.raises(DataError, match="record 1: report: expected the statement"):
        build_setup(recipe_of(DIALS), unplanted)
    with pytest.raises(ConfigError, match=r"planted\.confounding"):
        parse_recipe({"name": "x", "planted": {"confounding": 2}})
    with pytest.raises(ConfigError, match=r"unknown key 'planted\.confunding'.*'confounding'"):
        parse_recipe({"name": "x", "planted": {"confunding": 1}})
