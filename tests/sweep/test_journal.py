"""The journal survives a kill at any byte, and says what a trial was."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.errors import ConfigError, DataError
from truelead.sweep.journal import CONTINUE, STOP, Journal


def filled(folder: Path) -> Journal:
    journal = Journal(folder, "key")
    journal.begin_trial(0, {"a": 1})
    journal.report(0, {"steps": 10.0, "balanced": 0.5}, CONTINUE)
    journal.end(0, "stopped early")
    journal.promote(0, 30)
    journal.failure(0, "its process ended")
    journal.begin_trial(1, {"a": 2})
    journal.report(1, {"steps": 10.0, "balanced": 0.4}, STOP)
    journal.end(1, "stopped early")
    return journal


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = filled(tmp_path)
    found = Journal(tmp_path, "key")
    assert found.trials == written.trials
    assert found.starts == written.starts + 1
    assert (found.trials[0].status, found.trials[0].promoted_to) == ("running", 30)
    assert found.trials[0].failures == ["its process ended"]
    assert found.trials[1].decisions == {10: STOP}


def test_the_first_word_stands(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.begin_trial(0, {"a": 9})
    journal.report(1, {"steps": 10.0, "balanced": 0.9}, CONTINUE)
    journal.promote(0, 30)
    assert len(journal.of("promoted")) == 1
    assert journal.trials[0].values == {"a": 1}
    assert journal.trials[1].reports[10]["balanced"] == 0.4
    assert journal.trials[1].decisions == {10: STOP}


def test_a_kill_at_any_byte_of_the_last_line_loses_that_line_alone(tmp_path: Path) -> None:
    filled(tmp_path / "whole")
    data = (tmp_path / "whole" / "journal.jsonl").read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    before = Journal(tmp_path / "whole", "key").trials
    for end in range(last, len(data)):
        folder = tmp_path / str(end)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(data[:end])
        found = Journal(folder, "key")
        assert found.trials[1].status == "running"
        assert found.trials[0] == before[0]
        found.end(1, "stopped early")
        assert Journal(folder, "key").trials == before


def test_another_sweeps_journal_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(ConfigError, match="another one's journal"):
        Journal(tmp_path, "other")
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(DataError, match="line 1"):
        Journal(tmp_path, "key")
