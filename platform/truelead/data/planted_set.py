"""A set with planted truth on disk, in PTB-XL's own layout like every generated set.

Each ECG is drawn from its traces and its marker alone. A trace is one finding of the generator at
full strength, the marker the rhythm; age, sex, anatomy, noise and electrode places are drawn
without regard to severity and conditions. Conditions of the patient that left no trace are in
the record's SCP codes and nowhere in the signal.

The findings are chosen so that any of them stand side by side: they change the end of the QRS, its
axis, the ST segment along three directions, the T wave, the voltage, and the PR interval.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from truelead.config import PlantedConfig
from truelead.data.generated import rows_in_parallel, store_ecg, strat_fold, write_set
from truelead.data.planted_statement import PlantedStatement
from truelead.errors import DataError
from truelead.signal.generator import Finding, GeneratedEcg, generate_ecg
from truelead.signal.generator.history import draw_age_and_sex
from truelead.signal.generator.statements import STATEMENTS
from truelead.types import Record

_ACUTE = "Stadium I"
TRACES: Mapping[str, Finding] = {
    "CRBBB": Finding(),
    "LAFB": Finding(),
    "ASMI": Finding(stage=_ACUTE),
    "IMI": Finding(stage=_ACUTE),
    "ALMI": Finding(stage=_ACUTE),
    "INVT": Finding(),
    "LVOLT": Finding(),
    "1AVB": Finding(),
}
"""SCP code of each condition -> the finding that is its trace; a set uses the first ones."""

MARKERS: tuple[Mapping[str, Finding], ...] = (
    {"SBRAD": Finding()},
    {},
    {"STACH": Finding()},
    {"BIGU": Finding()},
)
"""What the marker shows for each stratum: slow, usual or fast sinus rhythm, then bigeminy."""

_SHAPING = (
    "ecgs",
    "conditions",
    "strata",
    "noise",
    "severity_readable",
    "false_trace",
    "seed",
)
_ECGS_A_TASK = 64


@dataclass(frozen=True)
class PlantedEcg:
    """What one ECG is made from.

    Attributes:
        statement: severity, marker and traces.
        conditions: for each condition of the set, whether the patient has it.
    """

    statement: PlantedStatement
    conditions: tuple[bool, ...]


def write_planted_set(
    root: Path, config: PlantedConfig, drawn: Sequence[PlantedEcg], *, progress: bool = True
) -> Path:
    """Write the ECGs `drawn` for `config` into the folder `root`, one ECG a patient.

    The bytes depend on the arguments alone, not on how many workers share the work. A set that is
    already there is left as it is; an interrupted one is completed. The note of the set holds the
    dials that shape ECGs, not those that shape questions.

    Args:
        root: made if it is not there.
        drawn: `config.ecgs` of them (`truelead.debias.planted.draw_set`).
        progress: show Ray Data's progress bars.

    Returns:
        `root`.

    Raises:
        DataError: `root` holds another set, or what was drawn does not fit the dials.
    """
    root = Path(root)
    _check(config, drawn)
    dials = {name: getattr(config, name) for name in _SHAPING}
    items = [{"index": index, "drawn": json.dumps(asdict(ecg))} for index, ecg in enumerate(drawn)]
    return write_set(
        root,
        {"config": {"planted": dials}},
        lambda: rows_in_parallel(
            items,
            _write_ecgs,
            {"root": str(root.resolve()), "seed": config.seed},
            items_a_task=_ECGS_A_TASK,
            progress=progress,
        ),
    )


def generate_planted(seed: int, index: int, planted: PlantedEcg) -> GeneratedEcg:
    """ECG number `index` of a set: signal from traces and marker, codes from the conditions."""
    # Far apart, so that no two sets share an ECG's random numbers.
    own = seed * 2**32 + index
    age, sex = draw_age_and_sex(np.random.default_rng(np.random.SeedSequence((own, 4))))
    statement = planted.statement
    shown = {
        code: finding
        for (code, finding), trace in zip(TRACES.items(), statement.traces, strict=False)
        if trace
    }
    findings = {**MARKERS[statement.marker], **shown}
    generated = generate_ecg(own, findings, age=age, sex=sex)
    return replace(generated, record=planted_record(generated.record, planted))


def planted_record(record: Record, planted: PlantedEcg) -> Record:
    """The record with what is planted: conditions as SCP codes, the hidden rest as report."""
    return replace(
        record,
        scp_codes={
            code: 100.0 if "d" in STATEMENTS[code].kinds else 0.0
            for code, present in zip(TRACES, planted.conditions, strict=False)
            if present
        },
        report=str(planted.statement),
        # What the generator saw of its own signal: beside the conditions it would tell the traces.
        heart_axis="",
        infarction_stadium=("", ""),
        extra_beats="",
    )


def _check(config: PlantedConfig, drawn: Sequence[PlantedEcg]) -> None:
    if len(drawn) != config.ecgs:
        raise DataError(f"planted set: ecgs: expected {config.ecgs} drawn, found {len(drawn)}")
    for number, ecg in enumerate(drawn, start=1):
        sizes = {len(ecg.conditions), len(ecg.statement.traces)}
        if sizes != {config.conditions}:
            raise DataError(
                f"planted set: ECG {number}: expected {config.conditions} conditions and traces"
            )
        if not {ecg.statement.severity, ecg.statement.marker} <= set(range(config.strata)):
            raise DataError(
                f"planted set: ECG {number}: severity and marker: expected 0..{config.strata - 1}"
            )


def _write_ecgs(batch: dict[str, np.ndarray], root: str, seed: int) -> dict[str, list[Any]]:
    """Ray Data task: store some ECGs; one database row as JSON an ECG."""
    ids: list[int] = []
    rows: list[str] = []
    for index, text in zip(batch["index"].tolist(), batch["drawn"], strict=True):
        found = json.loads(text)
        statement = found["statement"]
        planted = PlantedEcg(
            PlantedStatement(**{**statement, "traces": tuple(statement["traces"])}),
            tuple(found["conditions"]),
        )
        number = index + 1
        row = store_ecg(
            Path(root),
            number,
            number,
            strat_fold(seed, index),
            generate_planted(seed, index, planted),
        )
        ids.append(number)
        rows.append(json.dumps(row))
    return {"ecg_id": ids, "row": rows}
