from __future__ import annotations

import csv
from pathlib import Path

import pytest

from truelead.errors import QuestionError
from truelead.questions.scp import SCP_STATEMENTS, SUPERCLASSES, code_of


def test_every_statement_has_its_own_name() -> None:
    assert len(SCP_STATEMENTS) == 71
    assert len({statement.name for statement in SCP_STATEMENTS.values()}) == 71


def test_kinds_and_classes_agree() -> None:
    for statement in SCP_STATEMENTS.values():
        assert statement.diagnostic or statement.form or statement.rhythm
        assert statement.diagnostic == bool(statement.diagnostic_class)
        assert statement.diagnostic_class in {"", "NORM", *SUPERCLASSES}


def test_code_of_takes_code_and_name() -> None:
    for code, statement in SCP_STATEMENTS.items():
        assert code_of(code) == code_of(statement.name) == code
    with pytest.raises(QuestionError, match="expected an SCP statement"):
        code_of("a broken heart")


@pytest.mark.real_data
def test_table_is_that_of_ptbxl(real_data: Path) -> None:
    with (real_data / "ptbxl" / "scp_statements.csv").open(encoding="utf-8") as stream:
        rows = {row[""]: row for row in csv.DictReader(stream)}
    assert list(rows) == list(SCP_STATEMENTS)
    for code, row in rows.items():
        statement = SCP_STATEMENTS[code]
        for kind in ("diagnostic", "form", "rhythm"):
            assert getattr(statement, kind) == (row[kind] == "1.0"), (code, kind)
        assert statement.diagnostic_class == row["diagnostic_class"]
        assert statement.diagnostic_subclass == row["diagnostic_subclass"]
