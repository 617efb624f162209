"""The quality of a set in a page of Markdown, out of `quality.parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from truelead.signal.quality import CLIPPED_RUN, FLAT_MILLIVOLTS, SIGNAL_HZ, WANDER_HZ

SHARDS_NAMED = 10
"""Shards that the page names: those with the largest share of ECGs that show something."""

_FINDINGS = {"missing_leads": "lead missing", "flat_leads": "lead flat", "clipped_leads": "clipped"}
_NUMBERS = (
    "missing_share",
    "lowest_millivolts",
    "highest_millivolts",
    "noise_millivolts",
    "wander_share",
)
_HEADS = (
    *_FINDINGS.values(),
    "missing samples",
    "amplitude (mV)",
    "noise (uV), median / 95 %",
    "wander, median / 95 %",
)


def summary_text(path: Path) -> str:
    """The page.

    Args:
        path: of `quality.parquet`.
    """
    columns = ["split", "shard", "source_sampling_rate", "source_seconds", *_FINDINGS, *_NUMBERS]
    # Few values stand behind the texts, so that a million ECGs stay small.
    table = pq.read_table(path, columns=columns, read_dictionary=["split", "shard", *_FINDINGS])
    return "\n".join(_lines(table.to_pandas())) + "\n"


def _lines(ecgs: pd.DataFrame) -> Iterator[str]:
    yield "# Quality of the stored ECGs"
    yield ""
    yield (
        f"Measured on the ECGs as read. Flat: at most {FLAT_MILLIVOLTS:g} mV from smallest to "
        f"largest sample. Clipped: {CLIPPED_RUN} or more equal samples in a row at either. "
        f"Noise: robust standard deviation above {SIGNAL_HZ:g} Hz. Wander: share of the power "
        f"below {WANDER_HZ:g} Hz. Both are medians over the leads of an ECG. "
        "One row an ECG: `quality.parquet`."
    )
    yield ""
    yield from _table("", [("all", ecgs), *_groups(ecgs, "split")])
    yield ""
    yield f"Sources: {_sources(ecgs)}."
    shown = pd.concat([ecgs[name].astype(str).ne("") for name in _FINDINGS], axis=1).any(axis=1)
    worst = (
        shown.groupby(ecgs["shard"], observed=True)
        .mean()
        .sort_values(ascending=False, kind="stable")
    )
    worst = worst[worst > 0].head(SHARDS_NAMED)
    if len(worst):
        yield ""
        yield "## Shards with the most ECGs that show one of these"
        yield ""
        yield from _table("shard", [(name, ecgs[ecgs["shard"] == name]) for name in worst.index])


def _groups(ecgs: pd.DataFrame, name: str) -> list[tuple[str, pd.DataFrame]]:
    return [(str(value), part) for value, part in ecgs.groupby(name, observed=True, sort=False)]


def _table(head: str, groups: Sequence[tuple[str, pd.DataFrame]]) -> Iterator[str]:
    yield f"| {head} | ECGs | {' | '.join(_HEADS)} |"
    yield f"|---|{'---:|' * (len(_HEADS) + 1)}"
    for name, part in groups:
        cells = [str(len(part))]
        cells += [str(int(part[finding].astype(str).ne("").sum())) for finding in _FINDINGS]
        if len(part):
            low, high = part["lowest_millivolts"].min(), part["highest_millivolts"].max()
            cells += [
                f"{100 * part['missing_share'].mean():.3g} %",
                f"{low:+.2f} to {high:+.2f}",
                _spread(1000 * part["noise_millivolts"], ""),
                _spread(100 * part["wander_share"], " %"),
            ]
        else:
            cells += [""] * 4
        yield f"| {name} | {' | '.join(cells)} |"


def _spread(values: pd.Series, unit: str) -> str:
    known = values.dropna()
    if known.empty:
        return "not measurable"
    return f"{known.median():.3g} / {known.quantile(0.95):.3g}{unit}"


def _sources(ecgs: pd.DataFrame) -> str:
    """Each rate with its number of ECGs, then the lengths."""
    rates = ecgs["source_sampling_rate"].value_counts().sort_index()
    text = ", ".join(f"{count} at {rate:g} Hz" for rate, count in rates.items())
    seconds = ecgs["source_seconds"].dropna()
    if len(seconds):
        text += f"; {seconds.min():g} to {seconds.max():g} s, median {seconds.median():g} s"
    if unknown := len(ecgs) - len(seconds):
        text += f"; length of {unknown} not known"
    return text or "none"
