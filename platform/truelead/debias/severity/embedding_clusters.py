"""Severity by clusters of the encoder's embeddings, for sets whose labels tell of no severity.

The clusters are fitted once a run, on its train ECGs, and kept in a file beside the features they
come from, so that training, judging and every later reader give an ECG the same stratum.

Shape suffixes: N ECGs, D encoder width, A severity strata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.data.durable import write_durable_text
from truelead.debias.severity.base import check_count
from truelead.errors import ConfigError, DataError
from truelead.types import Record

USUAL_STRATA = 4
_MOST = 32
_RESTARTS = 10
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class EmbeddingClusters:
    """Fitted clusters, least ill first.

    Attributes:
        mean_D, scale_D: of the train ECGs' embeddings; embeddings are standardised by them.
        centre_AD: cluster centres, standardised, float64 [A, D].
        abnormal_A: mean number of abnormal statements of the train ECGs in each, rising.
    """

    mean_D: NDArray[np.float64]
    scale_D: NDArray[np.float64]
    centre_AD: NDArray[np.float64]
    abnormal_A: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        embedding_ND: NDArray[np.floating],
        abnormal_N: NDArray[np.integer],
        strata: int,
        seed: int = 0,
    ) -> EmbeddingClusters:
        """K-means of standardised embeddings, the clusters ordered by how many statements are
        abnormal.

        The labels give the order only, never the borders; where all clusters have as many, any
        order is as good. What the encoder was trained to tell apart decides what the clusters
        are: they hold illness as far as it dominates the embedding, and rate, noise or habitus
        as far as those do.

        Source: Lloyd S., IEEE Trans. Inf. Theory 1982; seeding by Arthur D. and Vassilvitskii S.,
        SODA 2007 (scikit-learn's KMeans), best of 10 starts.

        Args:
            embedding_ND: mean over the patches of each train ECG's features, finite.
            abnormal_N: number of abnormal statements of each.

        Raises:
            ConfigError: fewer different embeddings than strata.
        """
        from sklearn.cluster import KMeans

        value_ND = np.asarray(embedding_ND, dtype=np.float64)
        if len(np.unique(value_ND, axis=0)) < strata:
            raise ConfigError(
                f"severity: embedding-clusters: expected at least {strata} train ECGs with "
                f"different embeddings, found {len(value_ND)} ECGs"
            )
        mean_D = value_ND.mean(axis=0)
        scale_D = value_ND.std(axis=0)
        scale_D[scale_D == 0] = 1.0
        found = KMeans(strata, n_init=_RESTARTS, random_state=seed).fit(
            (value_ND - mean_D) / scale_D
        )
        mean_A = np.array([abnormal_N[found.labels_ == a].mean() for a in range(strata)])
        order_A = np.argsort(mean_A, kind="stable")
        return cls(mean_D, scale_D, found.cluster_centers_[order_A], mean_A[order_A])

    def assign(self, embedding_ND: NDArray[np.floating]) -> NDArray[np.int64]:
        """Stratum of each embedding: that of the nearest centre."""
        value_ND = (np.asarray(embedding_ND, dtype=np.float64) - self.mean_D) / self.scale_D
        # |x - c|^2 without its x^2, which is the same for all centres.
        distance_NA = (self.centre_AD**2).sum(axis=1) - 2.0 * value_ND @ self.centre_AD.T
        return distance_NA.argmin(axis=1)


def clusters_file(output: Path, strata: int) -> Path:
    """Where a run keeps its clusters: with the features that all its seeds and trials share."""
    return output / "features" / f"severity-clusters-{strata}.json"


def write_clusters(
    path: Path,
    clusters: EmbeddingClusters,
    record_ids: Sequence[str],
    stratum_N: NDArray[np.int64],
    digest: str,
) -> None:
    """Write the clusters and the stratum of every ECG of the run, as one JSON file.

    Args:
        digest: of the encoder and the shards that the embeddings come from.
    """
    tree = {
        "schema": _SCHEMA,
        "digest": digest,
        "mean": clusters.mean_D.tolist(),
        "scale": clusters.scale_D.tolist(),
        "centres": clusters.centre_AD.tolist(),
        "abnormal_statements": clusters.abnormal_A.tolist(),
        "strata": dict(zip(record_ids, stratum_N.tolist(), strict=True)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durable_text(path, json.dumps(tree))


@dataclass(frozen=True, eq=False)
class ClustersFile:
    """What `write_clusters` wrote."""

    clusters: EmbeddingClusters
    stratum: Mapping[str, int]
    digest: str


def read_clusters(path: Path) -> ClustersFile:
    """Read a file of `write_clusters`.

    Raises:
        DataError: the file is missing or holds something else.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["schema"] != _SCHEMA:
            raise ValueError("schema")
        arrays = (tree["mean"], tree["scale"], tree["centres"], tree["abnormal_statements"])
        clusters = EmbeddingClusters(*(np.asarray(array, dtype=np.float64) for array in arrays))
        stratum = {str(name): int(value) for name, value in tree["strata"].items()}
        digest = str(tree["digest"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected the severity clusters of a run") from error
    return ClustersFile(clusters, stratum, digest)


class EmbeddingClusterSeverity:
    """By k-means clusters of the encoder's pooled embeddings, the least ill cluster first.

    Assumes that the encoder's embedding spreads along severity. It needs no label of the ECG that
    is judged, and labels of the train ECGs only to order the clusters. Until a run has fitted it
    (`of_run`) it knows no strata but their number.

    Args:
        strata: number of clusters, 2 to 32.
        stratum: record_id -> stratum of a fitted run.

    Raises:
        ConfigError: another number of strata.
    """

    name = "embedding-clusters"

    def __init__(
        self, strata: int = USUAL_STRATA, stratum: Mapping[str, int] | None = None
    ) -> None:
        check_count(self.name, strata, 2, _MOST)
        self.strata: tuple[str, ...] = tuple(f"cluster {number}" for number in range(strata))
        self._stratum = stratum

    def __call__(self, record: Record) -> int:
        """The stratum.

        Raises:
            ConfigError: the clusters were not fitted.
            DataError: they were fitted without this record.
        """
        if self._stratum is None:
            raise ConfigError(f"severity: {self.name}: expected the clusters of a run, found none")
        if record.record_id not in self._stratum:
            raise DataError(
                f"severity: {self.name}: expected a cluster of ECG {record.record_id!r}, found "
                "none: the run's clusters were fitted on other records"
            )
        return self._stratum[record.record_id]

    def with_strata(self, count: int) -> EmbeddingClusterSeverity:
        """See `AdjustableStrata.with_strata`."""
        return EmbeddingClusterSeverity(count)

    def of_run(self, output: Path) -> EmbeddingClusterSeverity:
        """See `FittedSeverity.of_run`."""
        path = clusters_file(output, len(self.strata))
        if not path.is_file():
            raise ConfigError(
                f"severity: {self.name}: expected the run's clusters at {path}, found none: they "
                "are fitted when a language-model stage of the run is trained"
            )
        return EmbeddingClusterSeverity(len(self.strata), read_clusters(path).stratum)
