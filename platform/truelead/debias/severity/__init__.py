"""Severity of illness S, the confounder: which stratum a record belongs to, from its labels.

A provider is a part of `SEVERITIES`; its strata are numbered 0 (least ill) upwards.
"""

from __future__ import annotations

from truelead.debias.severity.base import NORMAL_CODES, SeverityProvider
from truelead.debias.severity.label_count import LabelCountSeverity
from truelead.debias.severity.ptbxl import PtbxlSeverity
from truelead.debias.severity.random_control import RandomSeverity
from truelead.errors import ConfigError

__all__ = ["NORMAL_CODES", "SEVERITIES", "SeverityProvider", "severity_provider"]

SEVERITIES: dict[str, SeverityProvider] = {
    "ptbxl": PtbxlSeverity(),
    "label-count": LabelCountSeverity(),
    "random": RandomSeverity(),
}


def severity_provider(name: str) -> SeverityProvider:
    """The provider of this name.

    Raises:
        ConfigError: no such provider.
    """
    if name not in SEVERITIES:
        raise ConfigError(f"severity: expected one of {', '.join(SEVERITIES)}, found {name!r}")
    return SEVERITIES[name]
