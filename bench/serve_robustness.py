"""The service against requests made from its own OpenAPI document and against hostile ones.

schemathesis (Hatfield-Dodds and Dygalo, ICSE 2022, "Deriving Semantics-Aware Fuzzers from Web API
Schemas") makes requests that fit the document and requests that do not. Whatever is sent, the
answer is no 5xx, and what is refused is refused in the service's one form.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from bench.reported import row
from bench.serve_hostile import Hostile, harmful, malformed
from bench.serve_in_process import BEARER, Sender, application
from bench.serve_services import untrained
from truelead.types import Ecg

COMMAND = "make soak SECTION=serve"
CASES, MALFORMED = 1_000, 2_000


def rows() -> list[dict[str, Any]]:
    """Faults among the cases of every operation, the malformed requests and the harmful files."""
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        here = Path(scratch)
        app = application(untrained(here / "bench" / "finetune"))
        ecg = Ecg(np.random.default_rng(0).normal(0, 0.3, (12, 1000)).astype(np.float32), 100.0)
        sender = Sender(app)
        found = []
        for positive in (True, False):
            for name, (total, faults) in from_document(app, CASES, positive=positive).items():
                kind = "that fit" if positive else "that do not fit"
                label = f"{name}: requests {kind} the document, 5xx of {total}"
                found.append(_row(label, faults))
        for label, requests in (
            (f"malformed bodies and damaged files, faults of {MALFORMED}", malformed),
            ("harmful files and numbers not refused by a typed 4xx", None),
        ):
            some = harmful(ecg, here) if requests is None else requests(MALFORMED, ecg, here)
            found.append(_row(label, faults_of(sender, some)[0]))
        sender.close()
    return found


def from_document(
    app: FastAPI, cases: int, *, positive: bool, only: str = ""
) -> dict[str, tuple[int, list[str]]]:
    """Of each operation, how many cases were sent and what went wrong, one line each.

    Args:
        cases: of each operation.
        positive: whether they fit the document.
        only: a part of the operations' names; empty for all.

    Raises:
        ImportError: schemathesis is not installed.
    """
    import schemathesis
    from schemathesis.generation import GenerationMode

    mode = GenerationMode.POSITIVE if positive else GenerationMode.NEGATIVE
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=BEARER)
    found: dict[str, tuple[int, list[str]]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        if only not in operation.label:
            continue
        found[operation.label] = _send_cases(operation, mode, cases)
    return found


def _send_cases(operation: Any, mode: Any, cases: int) -> tuple[int, list[str]]:
    faults: list[str] = []
    sent = 0

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        nonlocal sent
        response = case.call(headers=BEARER)
        sent += 1
        if response.status_code >= 500:
            faults.append(f"{operation.label}: {response.status_code}")

    try:
        send()
    except Unsatisfiable:
        pass  # an operation without parameters and body has nothing that does not fit
    except Exception as error:  # noqa: BLE001  # the application has crashed
        faults.append(f"{operation.label}: {type(error).__name__}: {str(error)[:200]}")
    return sent, faults


def faults_of(sender: Sender, requests: Iterable[Hostile]) -> tuple[list[str], Counter[int]]:
    """What went wrong, one line each, and the statuses."""
    faults: list[str] = []
    statuses: Counter[int] = Counter()
    for one in requests:
        response = sender("POST", one.path, **one.sent)
        statuses[response.status_code] += 1
        if response.status_code >= 500 or (response.status_code == 200 and one.must_refuse):
            faults.append(f"{one.kind}: {response.status_code}")
        elif response.status_code != 200 and not _is_typed(response):
            faults.append(f"{one.kind}: {response.status_code} in another form")
    return faults, statuses


def _is_typed(response: httpx.Response) -> bool:
    try:
        error = response.json()["error"]
        return bool(error["kind"] and error["message"] and "\n" not in error["message"])
    except (ValueError, KeyError, TypeError):
        return False


def _row(label: str, faults: list[str]) -> dict[str, Any]:
    for fault in faults[:10]:
        print(fault)
    return row(label, float(len(faults)), "faults", COMMAND, goal=0.0, holds=not faults)


if __name__ == "__main__":
    for one in rows():
        print(one)
