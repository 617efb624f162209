"""`ray job submit` on a local cluster with token authentication runs the uploaded tree.

The package is installed in the cluster's environment as well; only PYTHONPATH=platform makes a job
import what was uploaded.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = {"env_vars": {"PYTHONPATH": "platform", "RAY_USAGE_STATS_ENABLED": "0"}}
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
MAXIMUM_UPLOAD_BYTES = 20 * 2**20

_given: set[int] = set()

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


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the dashboard of a cluster started as an operator does, on free ports.

    `ray.init` would give its agent, which starts the jobs, a fixed port: it is not free where
    another cluster runs on the machine.
    """
    folder = tempfile.mkdtemp(prefix="tl_")
    port = free_port()
    options = {
        "port": 0,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": port,
        "dashboard-agent-listen-port": 0,
        "ray-client-server-port": free_port(),
        "num-cpus": 2,
        "object-store-memory": 256 * 2**20,
        "temp-dir": folder,
    }
    with Path(folder, "start.log").open("wb") as log:
        head = subprocess.Popen(
            [*RAY, "start", "--head", "--block", *(f"--{k}={v}" for k, v in options.items())],
            # No node is left to take over work while this one drains.
            env={**environment(), "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield f"http://127.0.0.1:{port}"
    head.terminate()
    head.wait(timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def client(address: str) -> JobSubmissionClient:
    """Of a cluster that is up: the dashboard answers, and so does the agent that starts jobs."""
    end = time.monotonic() + 120
    while True:
        try:
            client = JobSubmissionClient(address)
            client.submit_job(entrypoint="true")
        except (ConnectionError, RuntimeError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return client


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose generation takes seconds; JSON is YAML."""
    path = tmp_path / "recipe.yaml"
    tree = {
        "name": "submitted",
        "output": str(tmp_path / "run"),
        "generate": {"patients": 8, "ecgs_per_patient": 1.0},
    }
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """Of the operator: the token, but neither this session's cluster nor its source tree."""
    return {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "PYTHONPATH")}


def free_port() -> int:
    """A port that is free now, below those that Ray gives its workers."""
    for port in range(8300, 9900):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0 and port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no port is free")


def python(*arguments: object) -> str:
    return shlex.join([sys.executable, *map(str, arguments)])


def submit(address: str, *entrypoint: object) -> subprocess.CompletedProcess[str]:
    """The command as docs/operations.md has it, from the repository's root."""
    options = ["--address", address, "--working-dir", "."]
    options += ["--runtime-env-json", json.dumps(RUNTIME)]
    return subprocess.run(
        [*RAY, "job", "submit", *options, "--", sys.executable, *map(str, entrypoint)],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_submitted_stage_runs_to_its_end(
    address: str, client: JobSubmissionClient, recipe: Path, tmp_path: Path
) -> None:
    done = submit(address, "jobs/generate.py", recipe)
    assert done.returncode == 0, done.stdout + done.stderr
    records = tmp_path / "run" / "records"
    assert f"generated ECGs: {records}" in done.stdout
    assert len(list(records.rglob("*.hea"))) == 8


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
