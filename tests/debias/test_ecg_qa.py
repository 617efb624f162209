"""Set-up `ecg-qa`: official rows where they are, the bank elsewhere, and no leak between them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from truelead.config import QuestionsConfig, StageConfig
from truelead.debias.adjustment import ADJUSTMENTS, build_adjustment
from truelead.debias.setup.base import NEGATIVE_ANSWERS, Cell
from truelead.debias.setup.ecg_qa import NOISE_TEMPLATES, EcgQaSetup
from truelead.debias.severity import SEVERITIES
from truelead.errors import QuestionError
from truelead.types import Question, Record

CONFIG = QuestionsConfig(setup="ecg-qa", minimum_positives=30)
WORDS = {
    "template": "Does this ECG show {}?",
    "paraphrased": "Is there any {} to be seen in this ECG?",
}
NUMERIC = "What numeric features changed?"


def row(number: int, template: int, text: str, ecgs: list[int], answer: str) -> dict[str, object]:
    kind = "single-verify" if template < 60 else "comparison_irrelevant-query"
    return {
        "template_id": template,
        "question_id": 100 + template,
        "sample_id": number,
        "question_type": kind,
        "attribute_type": "noise" if template < 60 else "numeric_feature",
        "question": text,
        "answer": [answer],
        "ecg_id": ecgs,
        "attribute": ["static noise"] if template < 60 else None,
    }


@pytest.fixture(scope="module")
def official(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in ECG-QA's layout about the hand-made records."""
    folder = tmp_path_factory.mktemp("official")
    folder.joinpath("answers_for_each_template.csv").write_text(
        "template_id,classes\n27,\"['no', 'yes']\"\n68,\"['none', 'rr interval']\"\n"
    )
    train = [r for r in records if r.split in ("train", "development")]
    valid = [r for r in records if r.split == "valid"]
    for name, members in (("train", train), ("valid", valid)):
        folder.joinpath(f"{name}_ecgs.tsv").write_text(
            "".join(f"{i}\t{r.record_id}\n" for i, r in enumerate(members))
        )
        for wording, words in WORDS.items():
            rows = [
                row(
                    i,
                    27,
                    words.format("static noise"),
                    [int(r.record_id)],
                    "yes" if i % 3 else "no",
                )
                for i, r in enumerate(members)
            ]
            rows += [
                row(1000 + i, 68, NUMERIC, [int(a.record_id), int(b.record_id)], "rr interval")
                for i, (a, b) in enumerate(zip(members[::4], members[2::4], strict=False))
            ]
            rows.append(row(5000, 27, words.format("static noise"), [999_999], "no"))
            path = folder / wording / name / "00000.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def built(records: list[Record], official: Path) -> EcgQaSetup:
    return EcgQaSetup.build(
        records,
        CONFIG,
        SEVERITIES["ptbxl"],
        ecg_qa=official,
        test_split="valid",
        questions_per_ecg=6,
    )


@pytest.fixture(scope="module")
def sets(built: EcgQaSetup) -> dict[str, tuple[Question, ...]]:
    return built.test_sets()


def test_groups_are_single_ecgs_serial_unrelated_and_official_pairs(built: EcgQaSetup) -> None:
    groups = built.groups("train")
    assert len(set(groups)) == len(groups)
    kinds = Counter(built._kind(group) for group in groups)
    assert set(kinds) == {"single", "comparison_consecutive", "comparison_irrelevant"}
    for group in groups:
        assert {built.records[name].split for name in group} == {"train"}
    official = {g for g in built._official.train_rows if len(g) == 2}
    assert official
    assert official <= set(groups)
    assert built.groups("test") == []


def test_cells_are_the_bank_s_own_questions(built: EcgQaSetup) -> None:
    by_kind = {built._kind(group): group for group in built.groups("train")}
    assert len(by_kind) == 3
    for group in by_kind.values():
        cells = set(built.cells(group))
        records = [built.records[name] for name in group]
        assert cells == {
            Cell(q.question_id, q.answer_text) for q in built._bank.candidates(records)
        }
        for question in built.candidates(group):
            assert Cell(question.question_id, question.answer_text) in cells
            assert question.severity == built.stratum(group)


def test_observed_questions_are_official_rows_and_uncovered_templates(built: EcgQaSetup) -> None:
    covered = {27, 68}
    found: Counter[bool] = Counter()
    for group in built.groups("train"):
        asked = built.observed(group, 1)
        assert asked == built.observed(group, 1)
        for question in asked:
            is_official = question.question_id.startswith("ecg-qa:")
            found[is_official] += 1
            assert is_official == (question.template_id in covered)
            assert question.ecg_ids == group
            assert question.split == "train"
    assert found[True] > 100
    assert found[False] > 1000


def test_both_official_wordings_are_observed(built: EcgQaSetup) -> None:
    texts = {
        q.text
        for epoch in range(2)
        for g in built.groups("train")
        for q in built.observed(g, epoch)
    }
    assert {words.format("static noise") for words in WORDS.values()} <= texts


def test_illness_draws_positive_answers(built: EcgQaSetup) -> None:
    answers: dict[int, list[bool]] = defaultdict(list)
    for group in built.groups("train"):
        if len(group) == 1:
            for question in built.observed(group, 0):
                if not question.question_id.startswith("ecg-qa:"):
                    answers[question.severity].append(question.answer_text not in NEGATIVE_ANSWERS)
    shares = [sum(answers[s]) / len(answers[s]) for s in range(3)]
    assert shares == pytest.approx([0.1, 0.5, 0.9], abs=0.06)


def test_test_sets_are_about_patients_not_trained_on(
    built: EcgQaSetup, sets: dict[str, tuple[Question, ...]]
) -> None:
    trained = {built.records[name].patient_id for g in built.groups("train") for name in g}
    assert {name.partition("/")[0] for name in sets} == {
        "official",
        "noise",
        "confounded",
        "balanced",
        "balanced-same-severity",
    }
    for name, questions in sets.items():
        tested = {built.records[ecg].patient_id for q in questions for ecg in q.ecg_ids}
        assert not tested & trained
        split = "development" if name.startswith("noise/") else "valid"
        assert {q.split for q in questions} == {split}
        if name.startswith("noise/"):
            assert {q.template_id for q in questions} <= NOISE_TEMPLATES


def test_bank_test_wordings_are_not_trained_on(
    built: EcgQaSetup, sets: dict[str, tuple[Question, ...]]
) -> None:
    trained = set(built.corpus())
    assert {q.text for g in built.groups("train")[:40] for q in built.observed(g, 0)} <= trained
    for name, questions in sets.items():
        texts = {q.text for q in questions}
        if name.endswith("/test-wordings"):
            assert not texts & trained
        if name.endswith("/train-wordings"):
            assert texts <= trained


def test_balanced_sets_are_half_and_half(sets: dict[str, tuple[Question, ...]]) -> None:
    sides: dict[str, Counter[bool]] = defaultdict(Counter)
    for question in sets["balanced/test-wordings"]:
        sides[question.question_id][question.answer_text in NEGATIVE_ANSWERS] += 1
    assert sides
    assert all(counts[True] == counts[False] > 0 for counts in sides.values())


@pytest.mark.parametrize("strategy", ADJUSTMENTS)
def test_every_strategy_draws_from_it(built: EcgQaSetup, strategy: str) -> None:
    options = {"estimation_epochs": 1} if strategy == "ipw" else {}
    adjustment = build_adjustment(
        StageConfig(strategy=strategy, questions_per_ecg=6, options=dict(options)), built, 0
    )
    groups = built.groups("train")[::7]
    drawn = [item for group in groups for item in adjustment.draw(group, 0)]
    assert 3 < len(drawn) / len(groups) < 9
    assert adjustment.draw(groups[0], 0) == adjustment.draw(groups[0], 0)
    if strategy == "do-question":
        templates = Counter(i.question.template_id for i in drawn if len(i.question.ecg_ids) == 1)
        # Each template alike, however many ways there are to fill it.
        assert templates[2] < 3 * templates[13]


def test_without_official_rows_the_bank_serves_alone(records: list[Record]) -> None:
    alone = EcgQaSetup.build(
        records, CONFIG, SEVERITIES["ptbxl"], ecg_qa=None, test_split="development"
    )
    assert not any(name.startswith(("official/", "noise/")) for name in alone.test_sets())
    assert len(alone.observed(alone.groups("train")[0], 0)) == 8


def test_a_split_that_is_not_ecg_qa_s_is_refused(records: list[Record], official: Path) -> None:
    moved = [replace(r, split="train") if r.split == "valid" else r for r in records]
    with pytest.raises(QuestionError, match="expected ECGs of its own splits"):
        EcgQaSetup.build(moved, CONFIG, SEVERITIES["ptbxl"], ecg_qa=official, test_split="valid")


def test_only_the_chosen_templates_are_asked(records: list[Record], official: Path) -> None:
    chosen = CONFIG.model_copy(update={"templates": (26, 27)})
    setup = EcgQaSetup.build(
        records, chosen, SEVERITIES["ptbxl"], ecg_qa=official, test_split="valid"
    )
    groups = setup.groups("train")
    assert {len(group) for group in groups} == {1}
    assert {len(group) for group in setup.groups("valid")} == {1}
    observed = [question for group in groups for question in setup.observed(group, 0)]
    assert {question.template_id for question in observed} == {26, 27}
    sets = setup.test_sets()
    assert {q.template_id for questions in sets.values() for q in questions} == {26, 27}
    assert sets["noise/template"]
    unknown = CONFIG.model_copy(update={"templates": (27, 71)})
    with pytest.raises(QuestionError, match="expected templates 1 to 70, found 71"):
        EcgQaSetup.build(records, unknown, SEVERITIES["ptbxl"], ecg_qa=official, test_split="valid")


@pytest.mark.real_data
def test_on_the_real_rows(real_records: list[Record], real_data: Path) -> None:
    setup = EcgQaSetup.build(
        real_records,
        QuestionsConfig(setup="ecg-qa"),
        SEVERITIES["ptbxl"],
        ecg_qa=real_data / "ecg-qa",
        test_split="valid",
    )
    official = setup._official.questions
    assert len([q for q in official["template"] if q.split == "valid"]) == 2431
    kept = [q for q in official["paraphrased"] if q.split in ("train", "development")]
    # Pairs of a train and a development ECG are left out, in both wordings alike.
    assert 2 * (7492 - len(kept)) == setup._official.left_out
    noise = [
        q
        for q in official["paraphrased"]
        if q.split == "development" and q.template_id in (26, 27, 28)
    ]
    assert len(noise) > 400
    trained = {r.patient_id for r in real_records if r.split == "train"}
    assert not trained & {setup.records[q.ecg_ids[0]].patient_id for q in noise}
    assert {27, 28, 26, 68, 69, 70} == setup._covered
    # No bank test wording is one of the official training wordings.
    corpus = set(setup.corpus())
    checked = 0
    for question_id in setup._questions:
        group = _group_asked(setup, question_id)
        if group is not None:
            for index in range(setup.wording_count(question_id, "test")):
                assert setup.word(group, question_id, "test", index).text not in corpus
                checked += 1
    assert checked > 800


def _group_asked(setup: EcgQaSetup, question_id: str) -> tuple[str, ...] | None:
    kinds = {setup._kind(group): group for group in setup.groups("train")[:60]}
    kinds |= {setup._kind(group): group for group in setup.groups("train")[-60:]}
    for group in kinds.values():
        if any(cell.question_id == question_id for cell in setup.cells(group)):
            return group
    return None
