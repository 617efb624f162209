"""Severity providers: their rules, and what every provider of the registry must keep to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from truelead.config import Recipe, SeverityConfig, parse_recipe
from truelead.debias.setup import build_setup
from truelead.debias.severity import SEVERITIES, AdjustableStrata, severity_provider
from truelead.debias.severity.embedding_clusters import (
    EmbeddingClusters,
    clusters_file,
    write_clusters,
)
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


@pytest.mark.parametrize(
    ("given", "grade"),
    [
        (record("NORM", "SR"), 0),
        (record("CLBBB"), 1),
        (record("LVH", "NDT"), 2),
        (record("IMI"), 3),
        (record("IMI", stadium=("unknown", "")), 3),
        (record("NORM", stadium=("Stadium III", "")), 3),
        (record("IMI", stadium=("Stadium II-III", "")), 4),
        (record("IMI", stadium=("Stadium III", "Stadium II")), 4),
        (record("IMI", stadium=("Stadium I-II", "")), 5),
        (record("IMI", stadium=("Stadium II", "Stadium I")), 5),
    ],
)
def test_finer_ptbxl_strata_set_acute_infarctions_above_old_ones(given: Record, grade: int) -> None:
    expected = {
        2: (0, 1, 1, 1, 1, 1),
        3: (0, 1, 2, 2, 2, 2),
        4: (0, 1, 2, 2, 3, 3),
        5: (0, 1, 2, 3, 4, 4),
        6: (0, 1, 2, 3, 4, 5),
    }
    for strata, of_grade in expected.items():
        provider = severity_provider(SeverityConfig(name="ptbxl", strata=strata))
        assert provider(given) == of_grade[grade]
        assert len(provider.strata) == strata


@pytest.mark.parametrize(
    ("strata", "names"),
    [
        (2, ("none", "1 or more statements")),
        (3, ("none", "1 or 2 statements", "3 or more statements")),
        (4, ("none", "1 or 2 statements", "3 or 4 statements", "5 or more statements")),
    ],
)
def test_label_counts_are_cut_as_their_names_say(strata: int, names: tuple[str, ...]) -> None:
    provider = severity_provider(SeverityConfig(name="label-count", strata=strata))
    assert provider.strata == names
    codes = ("LVH", "NDT", "AFIB", "IMI", "PVC", "CLBBB", "LAFB")
    found = [provider(record(*codes[:count])) for count in range(8)]
    assert found == [min((count + 1) // 2, strata - 1) for count in range(8)]


def suited(name: str, records: list[Record]) -> list[Record]:
    """The records with the report that a provider reads."""
    reports = {
        "mimic": ("Normal ECG", "Otherwise normal ECG", "Borderline ECG", "Abnormal ECG", ""),
        "planted": tuple(f"planted severity={s} marker=0 traces=0" for s in range(3)),
    }
    if name not in reports:
        return records
    own = reports[name]
    return [replace(item, report=own[n % len(own)]) for n, item in enumerate(records)]


@pytest.mark.parametrize("name", SEVERITIES)
def test_every_provider_names_its_strata_and_repeats_itself(
    name: str, records: list[Record], tmp_path: Path
) -> None:
    strata = len(SEVERITIES[name].strata)
    embedding_ND = np.random.default_rng(0).normal(size=(len(records), 3))
    clusters = EmbeddingClusters.fit(embedding_ND, np.zeros(len(records), int), strata)
    ids = [item.record_id for item in records]
    path = clusters_file(tmp_path, strata)
    write_clusters(path, clusters, ids, clusters.assign(embedding_ND), "digest")
    provider = severity_provider(name, tmp_path)
    given = suited(name, records)
    found = [provider(item) for item in given]
    assert provider.name == name
    assert len(set(provider.strata)) == len(provider.strata)
    assert set(found) == set(range(len(provider.strata)))
    again = severity_provider(name, tmp_path)
    assert found == [again(item) for item in given]


@pytest.mark.parametrize("name", SEVERITIES)
def test_a_number_of_strata_is_kept_or_refused(name: str) -> None:
    provider = SEVERITIES[name]
    if not isinstance(provider, AdjustableStrata):
        with pytest.raises(ConfigError, match=rf"severity: {name}: expected the plain name"):
            severity_provider(SeverityConfig(name=name, strata=2))
        return
    for count in (2, 3, 4):
        cut = severity_provider(SeverityConfig(name=name, strata=count))
        assert len(set(cut.strata)) == count
        assert cut.name == name
    with pytest.raises(ConfigError, match=rf"severity: {name}: expected strata between 2 and"):
        provider.with_strata(33)


def test_random_severity_tells_nothing_of_illness(records: list[Record]) -> None:
    counts = Counter(SEVERITIES["random"](item) for item in records)
    assert min(counts.values()) > 100
    five = severity_provider(SeverityConfig(name="random", strata=5))
    shares = Counter(five(item) for item in records)
    assert min(shares.values()) > 50
    with_codes = [SEVERITIES["random"](record(code)) for code in ("IMI", "NORM", "LVH")]
    assert len(set(with_codes)) == 1


def test_an_unknown_severity_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"severity: expected one of ptbxl.*found 'grade'"):
        severity_provider("grade")


def test_a_recipe_takes_a_name_or_a_name_with_strata() -> None:
    plain = parse_recipe({"name": "x", "severity": "label-count"})
    assert plain.severity == "label-count"
    # What a stage's digest is made of: a plain name must stay one.
    assert plain.model_dump(mode="json")["severity"] == "label-count"
    cut = parse_recipe({"name": "x", "severity": {"name": "label-count", "strata": 4}})
    assert cut.severity == SeverityConfig(name="label-count", strata=4)
    assert parse_recipe(cut.model_dump(mode="json")) == cut


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "ptbxl"}, "severity.strata: Field required"),
        ({"name": "ptbxl", "strata": 1}, "severity.strata: Input should be greater"),
        ({"name": "ptbxl", "strata": 3, "stratum": 3}, "severity.stratum', did you mean 'strata'"),
        (3, "severity: "),
    ],
)
def test_a_misspelt_severity_is_one_clear_line(given: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe({"name": "x", "severity": given})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_strata_of_a_recipe_reach_the_setup(records: list[Record]) -> None:
    tree = {"name": "x", "questions": {"minimum_positives": 10}}
    recipe = parse_recipe({**tree, "severity": {"name": "label-count", "strata": 2}})
    assert isinstance(recipe, Recipe)
    built = build_setup(recipe, records)
    assert {built.stratum(group) for group in built.groups("train")} == {0, 1}
    with pytest.raises(ConfigError, match=r"severity: mimic: .* found all in 'not judged'"):
        build_setup(parse_recipe({**tree, "severity": "mimic"}), records)
