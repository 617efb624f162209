"""ECG-QA over MIMIC-IV-ECG: the same layout as over PTB-XL, with MIMIC's study ids.

Layout: `ecgqa/mimic-iv-ecg/` of ECG-QA's repository (Oh J. et al., NeurIPS 2023 Datasets and
Benchmarks): template/ and paraphrased/ with {train,valid,test}/*.json, {train,valid,test}_ecgs.tsv
and its own table of answers, which leaves out the templates that MIMIC's reports cannot answer.
An ecg_id is a study_id; record_list.csv of MIMIC-IV-ECG says where its record lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from truelead.data.sources import ecg_qa
from truelead.data.sources.table import rows
from truelead.errors import DataError
from truelead.types import Question

NAME = "mimic-iv-ecg"


def mimic_folder(folder: Path) -> Path:
    """`folder` itself, or its `mimic-iv-ecg`, `ecgqa/mimic-iv-ecg` or `ecg-qa/mimic-iv-ecg` below.

    Where `folder` holds split lists itself and a `mimic-iv-ecg` as well, the latter is taken: the
    repository once had the lists of PTB-XL at that place.

    Raises:
        DataError: none of them holds the split lists.
    """
    folder = Path(folder)
    below = (folder / part / NAME for part in ("", "ecgqa", "ecg-qa"))
    for candidate in (*below, folder):
        if (candidate / "train_ecgs.tsv").is_file():
            return candidate
    raise DataError(f"{folder}: expected ECG-QA's folder {NAME} with train_ecgs.tsv, found none")


def load_split(folder: Path) -> dict[str, str]:
    """study_id -> train, valid or test; see `ecg_qa.load_split`."""
    return ecg_qa.load_split(mimic_folder(folder))


def load_options(folder: Path) -> dict[int, tuple[str, ...]]:
    """template_id -> its possible answers; see `ecg_qa.load_options`."""
    return ecg_qa.load_options(mimic_folder(folder))


def load_questions(
    folder: Path,
    *,
    wording: Literal["template", "paraphrased"],
    splits: Iterable[str] = ecg_qa.SPLITS,
) -> list[Question]:
    """The questions of the asked splits; see `ecg_qa.load_questions`.

    `ecg_ids` are study ids, which are the `record_id`s of source mimic_iv_ecg.
    """
    return ecg_qa.load_questions(mimic_folder(folder), wording=wording, splits=splits)


def record_paths(root: Path) -> dict[str, str]:
    """study_id -> path of the record below MIMIC-IV-ECG's folder, from record_list.csv.

    Raises:
        DataError: the file or a column is missing, a row is wrong, or a study is doubled.
    """
    paths: dict[str, str] = {}
    for row in rows(Path(root) / "record_list.csv", ("study_id", "path")):
        study = row.identifier("study_id")
        if study in paths:
            raise row.wrong("study_id", "each study_id once")
        paths[study] = row.inner_path("path")
    return paths


def without_record(questions: Iterable[Question], paths: Mapping[str, str]) -> list[Question]:
    """The questions about an ECG that the record list does not hold."""
    return [question for question in questions if not all(e in paths for e in question.ecg_ids)]
