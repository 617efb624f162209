"""A sweep's journal: every trial, score and decision, one line each, on disk before it counts.

The driver alone writes it. A driver that was killed reads it and goes on: values that were drawn
stay drawn, trials that were stopped stay stopped, and the searcher is told again what it knew. It
holds plain JSON, one object a line; a last line that was cut short by the kill is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from truelead.errors import ConfigError, DataError
from truelead.sweep.space import Values

JOURNAL = "journal.jsonl"
CONTINUE, STOP = "CONTINUE", "STOP"
_SCHEMA = 1

Report = dict[str, float]
"""What a trial reported at a rung: steps, metrics, costs, seconds."""


@dataclass
class TrialLog:
    """What the journal knows of a trial.

    Attributes:
        values: config path -> value it was started with.
        reports: by steps, in their order.
        decisions: steps -> what the scheduler said.
        changes: steps -> values from there on, where a scheduler changed them.
        donors: steps -> the trial whose checkpoint it went on from.
        promoted_to: steps that it was promoted to last, 0 where it never was.
        status: "running", "finished", "stopped early" or "failed".
        error: one line, of a failed trial.
        failures: one line for each time its process died or its training failed.
    """

    values: Values
    reports: dict[int, Report] = field(default_factory=dict)
    decisions: dict[int, str] = field(default_factory=dict)
    changes: dict[int, Values] = field(default_factory=dict)
    donors: dict[int, int] = field(default_factory=dict)
    promoted_to: int = 0
    status: str = "running"
    error: str = ""
    failures: list[str] = field(default_factory=list)

    @property
    def latest_values(self) -> Values:
        """The values of its newest report."""
        return self.changes[max(self.changes)] if self.changes else self.values


class Journal:
    """The journal of one sweep.

    Args:
        folder: of the sweep.
        key: digest of what the sweep is; a journal of another one is not gone on with.

    Raises:
        ConfigError: the folder holds the journal of another sweep.
        DataError: a line before the last cannot be read.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / JOURNAL
        self.trials: dict[int, TrialLog] = {}
        self.events: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)
        for event in _read(self.path):
            self._take(event)
        begun = next((one for one in self.events if one["event"] == "begun"), None)
        if begun is not None and begun["key"] != key:
            raise ConfigError(
                f"{folder}: expected the sweep of this space and recipe, found another one's "
                "journal: give the space another name, or remove the folder"
            )
        self.starts = sum(one["event"] == "begun" for one in self.events)
        self.append("begun", schema=_SCHEMA, key=key, start=self.starts)

    def append(self, event: str, **fields: Any) -> None:
        """Write an event; when this returns it is on disk."""
        whole = {"event": event, **fields}
        with self.path.open("ab") as stream:
            stream.write((json.dumps(whole) + "\n").encode())
            stream.flush()
            os.fsync(stream.fileno())
        self._take(whole)

    def begin_trial(self, number: int, values: Values) -> None:
        """A trial has its values; one that is known already keeps them."""
        if number not in self.trials:
            self.append("trial", trial=number, values=values)

    def report(
        self,
        number: int,
        report: Report,
        decision: str,
        *,
        values: Values | None = None,
        donor: int | None = None,
    ) -> None:
        """A trial was scored, and what the scheduler decided; the first word stands."""
        if int(report["steps"]) in self.trials[number].reports:
            return
        more: dict[str, Any] = {} if values is None else {"values": values}
        if donor is not None:
            more["donor"] = donor
        self.append("report", trial=number, report=report, decision=decision, **more)

    def promote(self, number: int, steps: int) -> None:
        """A trial that was left at a rung goes on to the next."""
        if self.trials[number].promoted_to < steps:
            self.append("promoted", trial=number, steps=steps)

    def failure(self, number: int, reason: str) -> None:
        """A try of a trial has failed; it may be tried again."""
        self.append("failure", trial=number, reason=reason)

    def end(self, number: int, status: str, error: str = "") -> None:
        """A trial has ended; said once, and again where a failed one was tried again."""
        log = self.trials[number]
        if (log.status, log.error) != (status, error):
            self.append("ended", trial=number, status=status, error=error)

    def of(self, event: str) -> list[dict[str, Any]]:
        """Events of one kind, in their order."""
        return [one for one in self.events if one["event"] == event]

    def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        kind = event["event"]
        if kind == "trial":
            self.trials[int(event["trial"])] = TrialLog(dict(event["values"]))
        elif kind == "report":
            log, report = self.trials[int(event["trial"])], event["report"]
            steps = int(report["steps"])
            log.reports[steps] = report
            log.decisions[steps] = str(event["decision"])
            if "values" in event:
                log.changes[steps] = dict(event["values"])
            if "donor" in event:
                log.donors[steps] = int(event["donor"])
        elif kind == "promoted":
            log = self.trials[int(event["trial"])]
            log.promoted_to, log.status = int(event["steps"]), "running"
        elif kind == "failure":
            self.trials[int(event["trial"])].failures.append(str(event["reason"]))
        elif kind == "ended":
            log = self.trials[int(event["trial"])]
            log.status, log.error = str(event["status"]), str(event["error"])


def _read(path: Path) -> list[dict[str, Any]]:
    """The events of a file; what a kill has cut short at its end is taken off."""
    if not path.is_file():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as stream:
            stream.truncate(whole)
            os.fsync(stream.fileno())
    events = []
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            event = json.loads(line)
            if not isinstance(event, Mapping) or "event" not in event:
                raise ValueError("no event")
        except ValueError:
            raise DataError(
                f"{path}: line {number}: expected an event of a sweep, found something else"
            ) from None
        events.append(dict(event))
    return events
