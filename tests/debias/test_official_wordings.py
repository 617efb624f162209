"""Training in some of ECG-QA's own wordings leaves the others to the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from truelead.config import QuestionsConfig
from truelead.debias.setup.ecg_qa import EcgQaSetup
from truelead.debias.setup.official import join_official_rows
from truelead.debias.severity import SEVERITIES
from truelead.questions.wordings import TrainedWordings, WordingSplit
from truelead.types import Record

PHRASES = ("Is there {} here?", "Do you see {}?", "Can {} be found?", "Has it {}?", "Any {}?")
NOISES = ("static noise", "burst noise")
TEMPLATE = "Does this ECG show {}?"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each of 20 ECGs asked in its template's and in a paraphrased wording."""
    folder = tmp_path_factory.mktemp("official")
    folder.joinpath("answers_for_each_template.csv").write_text(
        "template_id,classes\n27,\"['no', 'yes']\"\n"
    )
    folder.joinpath("train_ecgs.tsv").write_text("".join(f"{i}\t{i}\n" for i in range(20)))
    for kind in ("template", "paraphrased"):
        rows = [
            {
                "template_id": 27, "question_id": i % 2, "sample_id": i, "answer": ["no"],
                "question_type": "single-verify", "attribute_type": "noise", "ecg_id": [i],
                "attribute": [NOISES[i % 2]],
                "question": (TEMPLATE if kind == "template" else PHRASES[i % 5]).format(
                    NOISES[i % 2]
                ),
            }
            for i in range(20)
        ]  # fmt: skip
        path = folder / kind / "train" / "00000.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return {str(i): Record(str(i), f"p{i}", "made", "") for i in range(20)}


@pytest.mark.parametrize("trained", ["all", "template", "paraphrased"])
def test_what_training_asks_in(
    official: Path, records: dict[str, Record], trained: TrainedWordings
) -> None:
    rows = join_official_rows(
        official, records, dict.fromkeys(records, 0), [27], WordingSplit(trained=trained)
    )
    words = {question.text for question in rows.trained}
    template = {TEMPLATE.format(noise) for noise in NOISES}
    held_out = {
        question.text
        for question in rows.questions["paraphrased"]
        if question.wording_id in rows.held_out_wordings
    }
    # Two of five paraphrases (every third, from the first on), with whatever they ask about.
    assert len(held_out) == 4
    paraphrases = {question.text for question in rows.questions["paraphrased"]}
    expected = {
        "all": template | paraphrases,
        "template": template,
        "paraphrased": paraphrases - held_out,
    }[trained]
    assert words == expected
    asked = {q.text for of_group in rows.train_rows.values() for row in of_group for q in row}
    assert asked == words
    assert {kind: len(found) for kind, found in rows.questions.items()} == {
        "template": 20, "paraphrased": 20
    }  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("trained", ["all", "paraphrased"])
def test_on_the_real_rows(real_records: list[Record], real_data: Path, trained: str) -> None:
    config = QuestionsConfig.model_validate(
        {"setup": "ecg-qa", "templates": (26, 27, 28, 68, 69, 70), "trained_wordings": trained}
    )
    setup = EcgQaSetup.build(
        real_records,
        config,
        SEVERITIES["ptbxl"],
        ecg_qa=real_data / "ecg-qa",
        test_split="valid",
    )
    sets = setup.test_sets()
    corpus = set(setup.corpus())
    for name in ("official", "noise"):
        new = {question.text for question in sets[f"{name}/new-paraphrased"]}
        every = {question.text for question in sets[f"{name}/paraphrased"]}
        assert new < every
        assert bool(new & corpus) == (trained == "all")
        templates = {question.text for question in sets[f"{name}/template"]}
        assert bool(templates & corpus) == (trained == "all")
