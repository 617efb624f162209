"""Where ECG sets come from: each source turns a set's own files into `Record`s.

A new source is one file with `load_records` and one line in `SOURCES`; where others ask official
questions about its ECGs, a line in `QUESTIONS` says who reads them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal, Protocol

from truelead.config import DataConfig
from truelead.data.sources import (
    cinc,
    code15,
    ecg_qa,
    ecg_qa_mimic,
    folder,
    ludb,
    mimic_iv_ecg,
    ptbxl,
)
from truelead.errors import DataError
from truelead.types import Question, Record


class Source(Protocol):
    """What a source's module offers."""

    def load_records(self, root: Path, data: DataConfig) -> list[Record]:
        """All records of the set under `root` that the configured split uses, in file order.

        Raises:
            DataError: a file is missing, or a row is not what the set's format says.
        """
        ...


SOURCES: dict[str, Source] = {
    "ptbxl": ptbxl,
    "mimic_iv_ecg": mimic_iv_ecg,
    "code15": code15,
    "cinc": cinc,
    "ludb": ludb,
    "folder": folder,
}


class LoadQuestions(Protocol):
    """Reads the official questions about a set's ECGs, in one wording."""

    def __call__(
        self, folder: Path, *, wording: Literal["template", "paraphrased"]
    ) -> list[Question]:
        """See `ecg_qa.load_questions`."""
        ...


QUESTIONS: dict[str, LoadQuestions] = {
    "ptbxl": ecg_qa.load_questions,
    "mimic_iv_ecg": ecg_qa_mimic.load_questions,
}
"""Who reads the official questions about a source's ECGs."""


def question_loader(sources: Collection[str]) -> LoadQuestions:
    """The loader for records of these sources; ECG-QA's over PTB-XL for sets without a source.

    Raises:
        DataError: the sources have different loaders: the ids of their ECGs would mix.
    """
    loaders = {QUESTIONS.get(source, ecg_qa.load_questions) for source in sources}
    if len(loaders) > 1:
        raise DataError(
            "data.ecg_qa: expected ECGs of one set that ECG-QA asks about, "
            f"found {', '.join(sorted(sources))}"
        )
    return loaders.pop() if loaders else ecg_qa.load_questions
