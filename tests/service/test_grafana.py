"""The dashboard asks for metrics that the service has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from truelead.service.metrics import ServiceMetrics

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_metric_of_the_dashboard_is_the_services() -> None:
    board = json.loads((REPOSITORY / "deploy/grafana/service.json").read_text(encoding="utf-8"))
    metrics = ServiceMetrics()
    metrics.end("/v1/ask", 200, 0.1)
    text = metrics.text().decode()
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    asked: set[str] = set()
    for panel in board["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"truelead_\w+", target["expr"]))
    assert len(asked) >= 8
    for name in asked:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert {name, family} & families, name
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
