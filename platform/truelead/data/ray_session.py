"""One Ray session a process: the cluster that the environment names, or a local one of its own."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
SERVE_VARIABLES = {
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
}
"""For the processes of a service: calls between deployments go straight (gRPC, under Ray's token)
rather than through the object store, and the replicas' code, which leaves its event loop free, runs
in their main loop. Both shorten the way of a question."""


def ensure_ray(
    *,
    cpus: int | None = None,
    dashboard: bool = False,
    object_store_bytes: int | None = None,
) -> Any:
    """Connect to Ray once; later calls give the same session back.

    In order: the session this process already has (a Ray worker or an earlier call); the cluster
    of `RAY_ADDRESS`; a local cluster on the loopback interface with its own token, which ends with
    this process. A local cluster never joins one that somebody else started on this machine.

    Args:
        cpus: logical CPUs of a local cluster, by default the machine's.
        dashboard: whether a local cluster starts its dashboard (Ray Tune and jobs need it).
        object_store_bytes: shared memory of a local cluster, by default Ray's choice.

    Returns:
        Ray's runtime context.

    Raises:
        ConnectionError: the cluster of `RAY_ADDRESS` does not answer.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return sys.modules["ray"].get_runtime_context()
    _set_defaults()
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if not os.environ.get("RAY_ADDRESS"):
        _provide_token()  # before the first import of ray, which reads the authentication mode
        options.update(
            address="local",
            num_cpus=cpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=object_store_bytes,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(_own_folder()),
        )
    import ray

    ray.init(**options)
    _quieten_ray_data()
    return ray.get_runtime_context()


def _set_defaults() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would start its workers at niceness 15, where anything else on the machine starves them.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for name, value in SERVE_VARIABLES.items():
        os.environ.setdefault(name, value)


def _provide_token() -> None:
    """A token of this process's own in a private file, unless the environment names one."""
    if not any(os.environ.get(name) for name in TOKEN_VARIABLES):
        token = _own_folder() / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32), encoding="ascii")
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    if "ray" not in sys.modules:
        # Else `ray.init` sets it for its new cluster, and reads it again.
        os.environ.setdefault("RAY_AUTH_MODE", "token")


@cache
def _own_folder() -> Path:
    """A private folder for this process's local session; goes when the process ends.

    Directly below the system's temporary folder: socket names are limited to 107 bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix="tl_"))
    atexit.register(_end_session, folder, os.getpid())
    return folder


def _end_session(folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a fork does not own the session
        return
    import ray

    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def _quieten_ray_data() -> None:
    """Our commands draw their own progress; Ray Data's warnings still come through."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("execution.streaming_executor", "datasource.parquet_datasource"):
        logging.getLogger(f"ray.data._internal.{name}").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
