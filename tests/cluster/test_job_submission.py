"""A job on a local cluster with token authentication runs the uploaded tree.

The package is installed in the cluster's environment as well; only PYTHONPATH=platform makes a job
import what was uploaded.
"""

from __future__ import annotations

import http.client
import json
import shlex
import sys
import time
from pathlib import Path

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = {"env_vars": {"PYTHONPATH": "platform", "RAY_USAGE_STATS_ENABLED": "0"}}
MAXIMUM_UPLOAD_BYTES = 20 * 2**20

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# What the job's driver and a task on the cluster import, and what was uploaded.
PROBE = """
import json, os
from pathlib import Path
import ray
def where():
    import truelead
    return truelead.__file__
ray.init(log_to_driver=False)
sizes = [p.stat().st_size for p in Path('.').rglob('*') if p.is_file()]
print('PROBE ' + json.dumps({'driver': where(), 'task': ray.get(ray.remote(where).remote()),
    'folder': os.getcwd(), 'names': sorted(os.listdir('.')), 'bytes': sum(sizes)}))
"""


def python(*arguments: object) -> str:
    return shlex.join([sys.executable, *map(str, arguments)])


def test_a_job_runs_what_was_uploaded_and_a_failing_one_says_why(
    client: JobSubmissionClient, recipe: Path, tmp_path: Path
) -> None:
    wrong = ["--set", "generate.patience=9"]
    runtime = {**RUNTIME, "working_dir": str(REPOSITORY)}
    probe = client.submit_job(entrypoint=python("-c", PROBE), runtime_env=runtime)
    failing = client.submit_job(
        entrypoint=python("jobs/generate.py", recipe, *wrong), runtime_env=runtime
    )
    end = time.monotonic() + 240
    while not all(client.get_job_status(job).is_terminal() for job in (probe, failing)):
        assert time.monotonic() < end, "the jobs did not end"
        time.sleep(0.5)

    logs = client.get_job_logs(probe)
    assert client.get_job_status(probe) == JobStatus.SUCCEEDED, logs
    (line,) = [found for found in logs.splitlines() if found.startswith("PROBE ")]
    found = json.loads(line.removeprefix("PROBE "))
    uploaded = Path(found["folder"])
    assert uploaded != REPOSITORY
    for name in ("driver", "task"):
        assert Path(found[name]).is_relative_to(uploaded), f"{name} imported the installed tree"
    assert {"jobs", "platform", "pyproject.toml"} <= set(found["names"])
    assert not {".git", ".venv", "runs"} & set(found["names"])
    assert found["bytes"] < MAXIMUM_UPLOAD_BYTES

    assert client.get_job_status(failing) == JobStatus.FAILED
    errors = [x for x in client.get_job_logs(failing).splitlines() if x.startswith("error: ")]
    assert len(errors) == 1
    assert "unknown key 'generate.patience', did you mean 'patients'" in errors[0]
    assert "Traceback" not in client.get_job_logs(failing)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer " + "0" * 64}, 403)],
    ids=["no token", "wrong token"],
)
def test_jobs_are_refused_without_the_token(
    address: str, client: JobSubmissionClient, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/api/jobs/", headers=headers)
    assert connection.getresponse().status == status
    connection.close()
