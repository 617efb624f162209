"""Shared fixtures: one local Ray cluster a session, the real records, a small generated set."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# The same examples everywhere, so that a change is judged by what it changes. New ones are sought
# with HYPOTHESIS_PROFILE=explore.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.register_profile("explore", derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

REPOSITORY = Path(__file__).resolve().parent.parent

# A short path: AF_UNIX socket names are limited to 107 bytes.
_RAY_DIRECTORY = tempfile.mkdtemp(prefix="tl_")
_TOKEN = Path(_RAY_DIRECTORY, "token")
_TOKEN.touch(0o600)
_TOKEN.write_text(secrets.token_hex(32))
os.environ.update(
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN_PATH=str(_TOKEN),
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="0.2",
    RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="30",
    RAY_TRAIN_ENABLE_PREEMPTION_WATCHER="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    DS_ACCELERATOR="cpu",
    OMP_NUM_THREADS="1",
    OMP_WAIT_POLICY="PASSIVE",
    RAY_worker_niceness="0",
    RAY_SERVE_USE_GRPC_BY_DEFAULT="1",
    RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD="0",
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
    PYTHONPATH=os.pathsep.join(
        [str(REPOSITORY / "platform"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    ).rstrip(os.pathsep),
)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A local cluster with 4 logical CPUs, its dashboard on, and its own token."""
    import ray
    import ray.data

    context = ray.init(
        num_cpus=4,
        object_store_memory=512 * 2**20,
        include_dashboard=True,
        dashboard_port=0,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=_RAY_DIRECTORY,
    )
    os.environ["RAY_ADDRESS"] = context.address_info["address"]
    data_context = ray.data.DataContext.get_current()
    data_context.enable_progress_bars = False
    data_context.execution_options.preserve_order = True
    yield context
    ray.shutdown()
    os.environ.pop("RAY_ADDRESS", None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of the real records; the test is skipped, saying why, where they are not there."""
    root = Path(os.environ.get("TRUELEAD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "ptbxl" / "ptbxl_database.csv").is_file():
        pytest.skip(
            f"real ECG records not found in {root}: download PTB-XL and ECG-QA from PhysioNet, "
            "lay them out as docs/data.md says, and set TRUELEAD_DATA to the folder"
        )
    return root


@pytest.fixture(scope="session")
def generated_set(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Path:
    """A small generated set in PTB-XL's layout."""
    from truelead.config import GenerateConfig
    from truelead.data.generated import write_generated_set

    root = tmp_path_factory.mktemp("generated")
    return write_generated_set(root, GenerateConfig(patients=60, ecgs_per_patient=1.5, seed=7))
