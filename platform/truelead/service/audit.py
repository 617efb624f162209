"""A record of every answer, in digests: which model said what to which question about which ECG.

It proves afterwards that an answer was given, to whoever holds the question, the ECG and the
answer; it holds none of them. Digests are SHA-256 of UTF-8 text and of float32 millivolts, so
words that can be guessed can be found: keep the folder as private as the questions.

A row is appended to a journal (JSON lines, flushed) before the answer leaves, so a crash loses
none; full journals, and those that an earlier process left, become Parquet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from truelead.data.durable import durable_file
from truelead.errors import ConfigError
from truelead.service.wire import AskRequest, AskResponse

ROWS_A_FILE = 1_000
_JOURNAL = ".jsonl"

SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("request_id", pa.string()),
        ("route", pa.string()),
        ("model", pa.string()),
        ("model_digest", pa.string()),
        ("data_digest", pa.string()),
        ("truelead_version", pa.string()),
        ("question_sha256", pa.string()),
        ("options_sha256", pa.list_(pa.string())),
        ("ecg_sha256", pa.list_(pa.string())),
        ("answer_sha256", pa.string()),
        ("reliance", pa.float64()),
        ("threshold", pa.float64()),
        ("false_alarm_rate", pa.float64()),
        ("rests_on_ecg", pa.bool_()),
    ]
)


class AuditTrail:
    """Writes the rows of one process; several may share the folder.

    Args:
        folder: made, readable by its owner only, where it is not there.
        rows_a_file: rows of a Parquet file.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, rows_a_file: int = ROWS_A_FILE) -> None:
        self.folder = folder
        self._rows_a_file = rows_a_file
        self._lock = threading.Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for journal in sorted(folder.glob(f"*{_JOURNAL}")):
                _adopt(journal)
            self._open()
        except OSError as error:
            raise ConfigError(
                f"audit: expected a folder that can be written, found {type(error).__name__}"
            ) from None

    def record(self, route: str, request: AskRequest, response: AskResponse) -> None:
        """Keep the digests of one answer.

        Raises:
            OSError: the folder can no longer be written; then no answer should leave.
        """
        row = {
            "time": time.time_ns() // 1_000,
            "request_id": response.request_id,
            "route": route,
            "model": response.model,
            "model_digest": response.model_digest,
            "data_digest": response.data_digest,
            "truelead_version": response.truelead_version,
            "question_sha256": text_sha256(request.question),
            "options_sha256": [text_sha256(option) for option in request.options or ()],
            "ecg_sha256": [ecg.sha256 for ecg in response.ecgs],
            "answer_sha256": text_sha256(response.answer),
            "reliance": response.reliance.nats,
            "threshold": response.reliance.threshold,
            "false_alarm_rate": response.reliance.false_alarm_rate,
            "rests_on_ecg": response.reliance.rests_on_ecg,
        }
        with self._lock:
            self._stream.write(json.dumps(row) + "\n")
            self._stream.flush()
            self._rows += 1
            if self._rows >= self._rows_a_file:
                self._roll()
                self._open()

    def close(self) -> None:
        """Turn the journal into Parquet; nothing can be recorded afterwards."""
        with self._lock:
            if not self._stream.closed:
                self._roll()

    def _open(self) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self._journal = self.folder / f"answers-{stamp}-{uuid.uuid4().hex[:8]}{_JOURNAL}"
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        # The lock tells other processes that this journal has an owner.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink == 0:
            # Another process, starting now, took it for an abandoned one before it was locked.
            os.close(descriptor)
            self._open()
            return
        self._stream: IO[str] = os.fdopen(descriptor, "w", encoding="utf-8")
        self._rows = 0

    def _roll(self) -> None:
        _write_parquet(self._journal)
        self._journal.unlink()
        self._stream.close()


def read_audit(folder: Path) -> pa.Table:
    """All rows that are Parquet already, in the order of their files."""
    files = sorted(folder.glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file, schema=SCHEMA) for file in files])


def text_sha256(text: str) -> str:
    """SHA-256 of the text in UTF-8, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _adopt(journal: Path) -> None:
    """Turn a journal into Parquet whose owner has ended."""
    try:
        stream = journal.open("r", encoding="utf-8")
    except FileNotFoundError:
        return  # another process was faster
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        if os.fstat(stream.fileno()).st_nlink:
            _write_parquet(journal)
            journal.unlink()


def _write_parquet(journal: Path) -> None:
    rows = list(_rows(journal.read_text(encoding="utf-8").splitlines()))
    if not rows:
        return
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with durable_file(journal.with_suffix(".parquet")) as temporary:
        pq.write_table(table, temporary)


def _rows(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a process that was killed while it wrote
        yield row
