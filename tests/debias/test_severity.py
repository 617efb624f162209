"""Severity providers: their rules, and what every provider of the registry must keep to."""

from __future__ import annotations

from collections import Counter

import pytest

from truelead.debias.severity import SEVERITIES, severity_provider
from truelead.errors import ConfigError
from truelead.types import Record


def record(*codes: str, stadium: tuple[str, str] = ("", ""), likelihood: float = 100.0) -> Record:
    return Record(
        "1",
        "1",
        "hand",
        "1",
        scp_codes=dict.fromkeys(codes, likelihood),
        infarction_stadium=stadium,
    )


@pytest.mark.parametrize(
    ("given", "stratum"),
    [
        (record(), 0),
        (record("NORM", "SR"), 0),
        (record("AFIB", "PVC", "ABQRS"), 0),
        (record("CLBBB"), 1),
        (record("CLBBB", "LAFB"), 1),
        (record("CLBBB", likelihood=15.0), 1),
        (record("LVH", "NDT"), 2),
        (record("IMI"), 2),
        (record("NORM", stadium=("Stadium II", "")), 2),
        (record("AFIB", stadium=("", "unknown")), 2),
    ],
)
def test_ptbxl_strata(given: Record, stratum: int) -> None:
    assert SEVERITIES["ptbxl"](given) == stratum


@pytest.mark.parametrize(
    ("codes", "stratum"),
    [(("NORM", "SR"), 0), (("SR", "PVC"), 1), (("LVH", "NDT"), 1), (("LVH", "NDT", "AFIB"), 2)],
)
def test_label_count_strata(codes: tuple[str, ...], stratum: int) -> None:
    assert SEVERITIES["label-count"](record(*codes)) == stratum


@pytest.mark.parametrize("name", SEVERITIES)
def test_every_provider_names_its_strata_and_repeats_itself(
    name: str, records: list[Record]
) -> None:
    provider = severity_provider(name)
    strata = [provider(item) for item in records]
    assert provider.name == name
    assert len(set(provider.strata)) == len(provider.strata)
    assert set(strata) == set(range(len(provider.strata)))
    assert strata == [provider(item) for item in records]


def test_random_severity_tells_nothing_of_illness(records: list[Record]) -> None:
    counts = Counter(SEVERITIES["random"](item) for item in records)
    assert min(counts.values()) > 100
    with_codes = [SEVERITIES["random"](record(code)) for code in ("IMI", "NORM", "LVH")]
    assert len(set(with_codes)) == 1


def test_an_unknown_severity_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"severity: expected one of ptbxl.*found 'grade'"):
        severity_provider("grade")
