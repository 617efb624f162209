"""Severity of illness S, the confounder: which stratum a record belongs to.

A provider is a part of `SEVERITIES`; its strata are numbered 0 (least ill) upwards. Most read the
record's labels or report; `embedding-clusters` is fitted by a run and read from its folder.
"""

from __future__ import annotations

from pathlib import Path

from truelead.config import SeverityConfig
from truelead.debias.severity.base import (
    NORMAL_CODES,
    AdjustableStrata,
    FittedSeverity,
    SeverityProvider,
    abnormal_count,
)
from truelead.debias.severity.embedding_clusters import EmbeddingClusterSeverity
from truelead.debias.severity.label_count import LabelCountSeverity
from truelead.debias.severity.mimic import MimicSeverity
from truelead.debias.severity.planted import PlantedSeverity
from truelead.debias.severity.ptbxl import PtbxlSeverity
from truelead.debias.severity.random_control import RandomSeverity
from truelead.errors import ConfigError

__all__ = [
    "NORMAL_CODES",
    "SEVERITIES",
    "AdjustableStrata",
    "FittedSeverity",
    "SeverityProvider",
    "abnormal_count",
    "severity_name",
    "severity_provider",
]

SEVERITIES: dict[str, SeverityProvider] = {
    "ptbxl": PtbxlSeverity(),
    "mimic": MimicSeverity(),
    "label-count": LabelCountSeverity(),
    "embedding-clusters": EmbeddingClusterSeverity(),
    "planted": PlantedSeverity(),
    "random": RandomSeverity(),
}


def severity_name(severity: str | SeverityConfig) -> str:
    """The provider's name in either form that a recipe gives it."""
    return severity if isinstance(severity, str) else severity.name


def severity_provider(
    severity: str | SeverityConfig, output: Path | None = None
) -> SeverityProvider:
    """The provider that a recipe names, with the strata that it asks for.

    Args:
        output: the run's folder, from which a fitted provider is read; without it such a provider
            tells the number of its strata and no stratum.

    Raises:
        ConfigError: no such provider; its scale has no such number of strata; it was not fitted.
    """
    name = severity_name(severity)
    if name not in SEVERITIES:
        raise ConfigError(f"severity: expected one of {', '.join(SEVERITIES)}, found {name!r}")
    provider = SEVERITIES[name]
    if isinstance(severity, SeverityConfig):
        if not isinstance(provider, AdjustableStrata):
            raise ConfigError(
                f"severity: {name}: expected the plain name, its {len(provider.strata)} strata are "
                f"fixed, found strata {severity.strata}"
            )
        provider = provider.with_strata(severity.strata)
    if output is not None and isinstance(provider, FittedSeverity):
        provider = provider.of_run(output)
    return provider
