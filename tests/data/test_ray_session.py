"""A local Ray session: private token, nothing printed, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from truelead.data.ray_session import ensure_ray

SCRIPT = """
import os, stat
from pathlib import Path
from truelead.data.ray_session import ensure_ray
first = ensure_ray(cpus=2)
assert ensure_ray().get_job_id() == first.get_job_id()
import ray, ray.data
assert ray.cluster_resources()["CPU"] == 2
assert sorted(row["id"] for row in ray.data.range(3).map(lambda row: row).iter_rows()) == [0, 1, 2]
token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
assert stat.S_IMODE(token.stat().st_mode) == 0o600
print(token.parent)
"""


@pytest.mark.ray
def test_an_existing_session_is_used(ray_cluster: Any) -> None:
    before = ray_cluster.address_info["address"]
    assert ensure_ray().gcs_address == ensure_ray(cpus=1).gcs_address == before


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_session_is_private_quiet_and_cleans_up() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    folder, *others = result.stdout.splitlines()
    assert others == []
    assert result.stderr == ""
    assert not os.path.exists(folder)
