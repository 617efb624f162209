"""Damaged ECG files by the thousand: each is read as an ECG or refused by a typed error.

2,000 damaged copies of a generated ECG's file in every format, and in every way that a format has
to store samples. WFDB, of which a record is two files: 20,000, half with a damaged header and half
with a damaged signal file; where the wfdb package reads the damaged record too, both must give the
same millivolts.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from bench.format_mutations import mutation, run_mutations
from bench.reported import row
from bench.whole_files import whole_files
from truelead.errors import RecordError
from truelead.signal import read_record, write_record
from truelead.signal.generator import generate_ecg
from truelead.types import LEADS, Ecg

COMMAND = "make soak SECTION=data"
COUNT, WFDB_COUNT = 2_000, 20_000
LONGEST_SECONDS = 1.0
MEMORY_MEBIBYTES = 64.0
SAMPLES = 250


def rows() -> list[dict[str, Any]]:
    """For each format: files that broke the rules, of how many; then memory and the slowest."""
    ecg = _small_ecg()
    before = _memory()
    found, slowest = [], 0.0
    for file in whole_files(ecg):
        outcome = run_mutations(file.format, file.content, COUNT, seed=1, stated=file.stated)
        found.append(_row(file.name, len(outcome.failures), outcome.total, outcome.failures))
        slowest = max(slowest, outcome.slowest_seconds)
    failures, seconds = _wfdb(ecg)
    found.append(_row("wfdb", len(failures), WFDB_COUNT, failures))
    slowest = max(slowest, seconds)
    grown = _memory() - before
    return [
        *found,
        row(
            "slowest read of a damaged file",
            slowest,
            "CPU s",
            COMMAND,
            goal=LONGEST_SECONDS,
            holds=slowest <= LONGEST_SECONDS,
        ),
        row(
            "growth of memory over all damaged files",
            grown,
            "MiB",
            COMMAND,
            goal=MEMORY_MEBIBYTES,
            holds=grown <= MEMORY_MEBIBYTES,
        ),
    ]


def _row(name: str, broken: int, total: int, failures: list[str]) -> dict[str, Any]:
    for failure in failures[:5]:
        print(f"{name}: {failure}")
    return row(
        f"{name}: damaged files neither read nor refused, of {total}",
        broken,
        "files",
        COMMAND,
        goal=0,
        holds=broken == 0,
    )


def _small_ecg() -> Ecg:
    whole = generate_ecg(5, {}, age=60, sex=0).ecg
    step = round(whole.sampling_rate / 100)
    return Ecg(whole.signal_LT[:, : SAMPLES * step : step].copy(), 100.0, record_id="whole")


def _memory() -> float:
    """MiB of this process, at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _wfdb(ecg: Ecg) -> tuple[list[str], float]:
    failures: list[str] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        record = write_record(folder, ecg, name="whole")
        header, signal = record.with_suffix(".hea"), record.with_suffix(".dat")
        contents = {header: header.read_bytes(), signal: signal.read_bytes()}
        for number in range(WFDB_COUNT):
            file = (header, signal)[number % 2]
            kind, damaged = mutation(contents[file], 2, number)
            file.write_bytes(damaged)
            start = time.process_time()
            problem = _compared(record)
            slowest = max(slowest, time.process_time() - start)
            if problem:
                failures.append(f"mutation {number} of {file.suffix} ({kind}): {problem}")
            file.write_bytes(contents[file])
    return failures, slowest


def _compared(record: Path) -> str:
    """What is wrong with how a damaged record is read; empty where nothing is."""
    try:
        ours = read_record(record)
    except RecordError as error:
        return "" if "\n" not in str(error) else "an error of several lines"
    except Exception as error:  # noqa: BLE001  # any other kind is what is looked for
        return f"{type(error).__name__}"
    theirs = _by_wfdb(record)
    if theirs is None:
        return ""
    for lead, values_T in theirs.items():
        place = LEADS.index(lead)
        if not np.allclose(ours.signal_LT[place], values_T, rtol=1e-5, atol=1e-6, equal_nan=True):
            return f"lead {lead}: other values than the wfdb package"
    return ""


def _by_wfdb(record: Path) -> dict[str, np.ndarray] | None:
    """Millivolts of the leads that the wfdb package reads alike; None where it reads none."""
    names = {lead.lower(): lead for lead in LEADS}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = wfdb.rdrecord(os.fspath(record))
    except Exception:  # noqa: BLE001  # it refuses damaged records by many kinds of error
        return None
    if found.p_signal is None:
        return None
    return {
        names[name.lower()]: found.p_signal[:, place]
        for place, (name, units) in enumerate(zip(found.sig_name, found.units, strict=True))
        if name.lower() in names and units == "mV"
    }
