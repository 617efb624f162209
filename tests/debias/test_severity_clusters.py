"""Severity by clusters of embeddings: planted clusters are found, ordered, kept and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from truelead.config import SeverityConfig, parse_recipe
from truelead.debias.setup import build_setup
from truelead.debias.severity import severity_provider
from truelead.debias.severity.embedding_clusters import (
    EmbeddingClusters,
    clusters_file,
    read_clusters,
    write_clusters,
)
from truelead.errors import ConfigError, DataError
from truelead.types import Record

STRATA = 3


def planted(
    count: int = 300, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """embedding_ND, abnormal_N and stratum_N: far clusters, the iller the more statements."""
    rng = np.random.default_rng(seed)
    stratum_N = rng.integers(STRATA, size=count)
    centre_AD = np.array([[0.0, 0.0, 5.0], [6.0, 0.0, 0.0], [0.0, 400.0, 0.0]])[[2, 0, 1]]
    # The second number varies most, inside a cluster too: unless standardised, it decides alone.
    embedding_ND = centre_AD[stratum_N] + rng.normal(size=(count, 3)) * [0.5, 30.0, 0.5]
    abnormal_N = rng.poisson([0.2, 1.5, 4.0], size=(count, STRATA))[np.arange(count), stratum_N]
    return embedding_ND.astype(np.float32), abnormal_N, stratum_N


def test_clusters_are_found_and_ordered_by_their_abnormal_statements() -> None:
    embedding_ND, abnormal_N, stratum_N = planted()
    clusters = EmbeddingClusters.fit(embedding_ND, abnormal_N, STRATA)
    assert (clusters.assign(embedding_ND) == stratum_N).mean() > 0.99
    assert (np.diff(clusters.abnormal_A) > 1).all()
    new_ND, _, new_stratum_N = planted(seed=1)
    assert (clusters.assign(new_ND) == new_stratum_N).mean() > 0.99


def test_a_fit_repeats_itself_and_needs_as_many_ecgs_as_strata() -> None:
    embedding_ND, abnormal_N, _ = planted()
    one, two = (EmbeddingClusters.fit(embedding_ND, abnormal_N, STRATA) for _ in range(2))
    assert np.array_equal(one.assign(embedding_ND), two.assign(embedding_ND))
    with pytest.raises(ConfigError, match="expected at least 3 train ECGs with different"):
        EmbeddingClusters.fit(np.ones((9, 2)), np.zeros(9, int), STRATA)


def test_constant_features_are_left_alone() -> None:
    embedding_ND, abnormal_N, stratum_N = planted()
    with_constant = np.concatenate([embedding_ND, np.full((300, 1), 7.0)], axis=1)
    clusters = EmbeddingClusters.fit(with_constant, abnormal_N, STRATA)
    assert (clusters.assign(with_constant) == stratum_N).mean() > 0.99


def write(output: Path, records: list[Record]) -> NDArray[np.int64]:
    embedding_ND, abnormal_N, _ = planted(len(records))
    clusters = EmbeddingClusters.fit(embedding_ND, abnormal_N, STRATA)
    stratum_N = clusters.assign(embedding_ND)
    ids = [record.record_id for record in records]
    write_clusters(clusters_file(output, STRATA), clusters, ids, stratum_N, "the digest")
    return stratum_N


def test_the_file_gives_back_what_was_written(tmp_path: Path, records: list[Record]) -> None:
    stratum_N = write(tmp_path, records)
    found = read_clusters(clusters_file(tmp_path, STRATA))
    assert found.digest == "the digest"
    assert list(found.stratum.values()) == stratum_N.tolist()
    embedding_ND, _, _ = planted(len(records))
    assert np.array_equal(found.clusters.assign(embedding_ND), stratum_N)


def test_a_setup_reads_the_clusters_of_its_run(tmp_path: Path, records: list[Record]) -> None:
    recipe = parse_recipe(
        {
            "name": "x",
            "output": str(tmp_path),
            "questions": {"minimum_positives": 10},
            "severity": {"name": "embedding-clusters", "strata": STRATA},
        }
    )
    with pytest.raises(ConfigError, match=r"expected the run.s clusters at .*, found none"):
        build_setup(recipe, records)
    stratum_N = write(tmp_path, records)
    built = build_setup(recipe, records)
    found = [built.stratum((record.record_id,)) for record in records]
    assert found == stratum_N.tolist()
    with pytest.raises(DataError, match="expected a cluster of ECG 'another'"):
        built.severity(Record("another", "1", "hand", "1"))


def test_unfitted_clusters_know_their_number_and_no_stratum(records: list[Record]) -> None:
    provider = severity_provider(SeverityConfig(name="embedding-clusters", strata=5))
    assert len(provider.strata) == 5
    with pytest.raises(ConfigError, match="expected the clusters of a run"):
        provider(records[0])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "mean": "x"}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clusters.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="expected the severity clusters of a run"):
        read_clusters(path)
