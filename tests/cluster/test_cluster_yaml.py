"""cluster.yaml passes Ray's own schema and its own checks, and typing errors in it do not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    import ray

    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "cluster.yaml").read_text("utf-8"))
    return loaded


def test_passes_rays_schema_and_validation(schema: dict[str, Any], cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    jsonschema.validate(cluster, schema)
    validate_config(prepare_config(copy.deepcopy(cluster)))


def test_head_does_no_work_and_gpu_workers_autoscale(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    head = types[cluster["head_node_type"]]
    assert head["resources"]["CPU"] == 0
    assert "GPU" not in head["resources"]
    gpu = [t for t in types.values() if t["resources"].get("GPU")]
    assert gpu
    assert all(t["min_workers"] == 0 < t["max_workers"] for t in gpu)


@pytest.mark.parametrize(
    "change",
    [{"max_wrokers": 3}, {"max_workers": "four"}, {"idle_timeout_minutes": "soon"}],
    ids=["unknown key", "text for a number", "text for minutes"],
)
def test_a_wrong_cluster_file_is_refused(
    schema: dict[str, Any], cluster: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, **change}, schema)
