"""cluster.yaml passes Ray's own schema and its own checks, and typing errors in it do not."""

from __future__ import annotations

import copy
import json
import subprocess
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


def test_gpu_workers_may_be_spot_and_every_disk_is_encrypted(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    market = {
        name: kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType")
        for name, kind in types.items()
    }
    assert market == {"head": None, "cpu_worker": "spot", "gpu_worker": "spot"}
    for kind in types.values():
        for disk in kind["node_config"]["BlockDeviceMappings"]:
            assert disk["Ebs"]["Encrypted"] is True
        # Credentials of a node are only for requests with a session of the metadata service.
        assert kind["node_config"]["MetadataOptions"]["HttpTokens"] == "required"


def test_every_node_sees_the_shared_storage_of_this_region(cluster: dict[str, Any]) -> None:
    (mount,) = [one for one in cluster["setup_commands"] if "/shared" in one]
    assert f".efs.{cluster['provider']['region']}.amazonaws.com:/ /shared" in mount
    assert mount.startswith("mountpoint -q /shared ||")  # setup runs again on a known node


def test_the_token_reaches_the_nodes_as_a_file_and_the_dashboard_stays_inside(
    cluster: dict[str, Any],
) -> None:
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    (start,) = [one for one in cluster["head_start_ray_commands"] if "ray start" in one]
    assert "--dashboard-host=127.0.0.1" in start
    exports = [one for one in cluster["setup_commands"] if "RAY_AUTH_MODE=token" in one]
    assert len(exports) == 1


@pytest.mark.parametrize(
    "key", ["setup_commands", "head_start_ray_commands", "worker_start_ray_commands"]
)
def test_the_commands_are_shell(cluster: dict[str, Any], key: str) -> None:
    for command in cluster[key]:
        done = subprocess.run(
            ["bash", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
