"""Measure a section: python -m bench SECTION [--long]; prints a table, writes bench/results."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

from rich.console import Console
from rich.table import Table

from truelead.errors import TrueLeadError

FIELDS = ("name", "value", "unit", "goal", "holds", "peer", "interval", "command")
SECTIONS = {
    "data": ["signal_reading", "ingest", "resampling", "packing"],
    "serve": ["serve_throughput", "serve_adapters"],
    "spine": ["shared_prefix"],
    "sweep": [
        "sweep_refusals",
        "sweep_overhead",
        "sweep_workers",
        "sweep_kills",
        "sweep_asha",
        "sweep_weighting",
    ],
    "train": ["train_peers", "train_checkpoints", "train_world_size"],
}
LONG_SECTIONS = {
    "data": ["damaged_files", "delineation", "ingest_endurance", "feed"],
    "spine": ["real_ecgs", "official_noise"],
    "causal": ["strategies", "reliance"],
    "sweep": ["sweep_soak"],
    "train": [
        "train_zero",
        "train_overhead",
        "train_faults",
        "train_damage",
        "train_disk_full",
        "train_nodes",
    ],
    "serve": ["serve_endurance", "serve_robustness"],
    "gpu": ["train_gpu"],
}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Status 0 if every row that has a goal holds, 1 if one does not, 2 if one was not measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("section", choices=sorted(SECTIONS | LONG_SECTIONS))
    parser.add_argument("--long", action="store_true", help="the long measurements instead")
    given = parser.parse_args()
    modules = (LONG_SECTIONS if given.long else SECTIONS).get(given.section)
    if not modules:
        print(f"error: section {given.section} has no such measurements", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    failed = False
    for name in modules:
        try:
            rows += importlib.import_module(f"bench.{name}").rows()
        except (TrueLeadError, ImportError, OSError, RuntimeError, SubprocessError) as error:
            # One measurement that cannot be made here does not cost the others.
            print(f"error: {name}: {' '.join(str(error).split())[:400]}", file=sys.stderr)
            failed = True
    if not rows:
        return 2
    show(rows)
    path = RESULTS / f"{given.section}{'-long' if given.long else ''}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps([{field: row.get(field) for field in FIELDS} for row in rows], indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written: {path}")
    return 2 if failed else int(any(row["holds"] is False for row in rows))


def show(rows: list[dict[str, Any]]) -> None:
    """The rows as a table."""
    table = Table(*FIELDS[:-1])
    for row in rows:
        table.add_row(*(_text(row.get(field)) for field in FIELDS[:-1]))
    Console().print(table)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " to ".join(_text(part) for part in value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
