"""The audit trail: each answer in digests, none lost when a process dies."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from truelead.errors import ConfigError
from truelead.service.access import Access
from truelead.service.api import create_api
from truelead.service.audit import AuditTrail, read_audit, text_sha256
from truelead.service.wire import AskRequest, AskResponse, Reliance
from truelead.types import Ecg

Send = Callable[..., httpx.Response]
Body = Callable[..., dict[str, Any]]


def answer(request_id: str) -> tuple[AskRequest, AskResponse]:
    request = AskRequest.model_construct(question="Normal?", options=None, ecgs=())
    reliance = Reliance(
        nats=0.5, threshold=0.1, false_alarm_rate=0.05, rests_on_ecg=True, verdict="it does"
    )
    response = AskResponse(
        answer="yes",
        answers=("yes",),
        option_probabilities={},
        reliance=reliance,
        ecgs=(),
        model="m",
        model_digest="d",
        data_digest=None,
        truelead_version="1",
        request_id=request_id,
    )
    return request, response


def test_an_answer_leaves_its_digests(
    send: Send, body: Body, calibrated: Any, ecgs: list[Ecg], tmp_path: Path
) -> None:
    folder = tmp_path / "audit"
    audit = AuditTrail(folder)
    app = create_api(calibrated, Access(), audit=audit)
    found = send("POST", "/v1/ask", json=body(0, 1), app=app).json()
    send("POST", "/v1/ask", json=body(0, question=""), app=app)  # refused: no answer, no row
    audit.close()
    [row] = read_audit(folder).to_pylist()
    assert row["request_id"] == found["request_id"]
    assert row["route"] == "/v1/ask"
    assert row["question_sha256"] == text_sha256(body(0)["question"])
    assert row["options_sha256"] == [text_sha256(option) for option in body(0)["options"]]
    assert row["answer_sha256"] == text_sha256(found["answer"])
    assert row["ecg_sha256"] == [
        hashlib.sha256(ecg.signal_LT.tobytes()).hexdigest() for ecg in ecgs[:2]
    ]
    assert row["reliance"] == found["reliance"]["nats"]
    assert row["rests_on_ecg"] == found["reliance"]["rests_on_ecg"]
    assert row["model_digest"] == found["model_digest"]
    stored = b"".join(file.read_bytes() for file in folder.iterdir())
    assert body(0)["question"].encode() not in stored
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_full_journals_become_parquet(tmp_path: Path) -> None:
    audit = AuditTrail(tmp_path, rows_a_file=2)
    for number in range(5):
        audit.record("/v1/ask", *answer(str(number)))
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    audit.close()
    audit.close()
    assert not list(tmp_path.glob("*.jsonl"))
    assert sorted(read_audit(tmp_path)["request_id"].to_pylist()) == list("01234")


def test_a_journal_in_use_is_left_alone(tmp_path: Path) -> None:
    first = AuditTrail(tmp_path)
    first.record("/v1/ask", *answer("first"))
    second = AuditTrail(tmp_path)
    second.record("/v1/ask", *answer("second"))
    assert not list(tmp_path.glob("*.parquet"))
    first.record("/v1/ask", *answer("third"))
    first.close()
    second.close()
    assert sorted(read_audit(tmp_path)["request_id"].to_pylist()) == ["first", "second", "third"]


def test_a_killed_process_loses_no_row(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        audit = AuditTrail(tmp_path)
        for number in range(3):
            audit.record("/v1/ask", *answer(str(number)))
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    [journal] = tmp_path.glob("*.jsonl")
    with journal.open("a") as stream:
        stream.write('{"request_id": "ha')  # cut off within a row
    AuditTrail(tmp_path).close()
    assert read_audit(tmp_path)["request_id"].to_pylist() == ["0", "1", "2"]


def test_a_folder_that_cannot_be_written_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="audit: expected a folder"):
        AuditTrail(file)
    assert os.listdir(tmp_path) == ["file"]


def test_no_answer_leaves_that_cannot_be_recorded(
    send: Send, body: Body, calibrated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = AuditTrail(tmp_path)

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", fail)
    app = create_api(calibrated, Access(), audit=audit)
    response = send("POST", "/v1/ask", json=body(0), app=app)
    assert response.status_code == 500
    assert "answer" not in response.json()
