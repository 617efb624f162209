"""Where a cluster's job API is and how it is asked: the address, the token, errors as one line.

Ray's job API: https://docs.ray.io/en/latest/cluster/running-applications/job-submission; its token:
https://docs.ray.io/en/latest/ray-security/token-auth.html.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from truelead.errors import ClusterError, ConfigError

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
ANSWER_WITHIN_SECONDS = 10.0
# They tell of every file that is not sent and every connection that is closed.
RAY_LOGGERS = {
    "ray.dashboard.modules.job.sdk": logging.WARNING,
    "ray.dashboard.modules.dashboard_sdk": logging.WARNING,
    "ray._private.runtime_env.packaging": logging.WARNING,
    "ray._private.runtime_env.working_dir": logging.ERROR,
}
TOKEN_ADVICE = (
    "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file with the cluster's token"  # noqa: S105
)


def cluster_address(given: str | None) -> str:
    """The address of a cluster's job API: the given one, or that of the environment.

    Raises:
        ConfigError: there is none, or it is none of a dashboard.
    """
    named = next((os.environ[name] for name in ADDRESS_VARIABLES if os.environ.get(name)), None)
    found = given or named
    wanted = "cluster: expected the dashboard's address such as http://127.0.0.1:8265"
    if not found:
        raise ConfigError(f"{wanted} (--cluster URL or {' or '.join(ADDRESS_VARIABLES)})")
    parts = urlsplit(found)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise ConfigError(f"{wanted}, found {found.rpartition('@')[2]!r}")
    if "@" in parts.netloc:
        raise ConfigError(f"{wanted}, found a user's name in it: {TOKEN_ADVICE}")
    return found.rstrip("/")


def connect(address: str) -> Any:
    """A `ray.job_submission.JobSubmissionClient` of a cluster that answers and accepts the token.

    Raises:
        ConfigError: the token's file cannot be read, or Ray's client is not installed.
        ClusterError: the cluster does not answer, or refuses the token.
    """
    headers = _authorization()
    _check_answer(address, headers)
    from ray.job_submission import JobSubmissionClient

    for name, level in RAY_LOGGERS.items():  # now, as Ray sets its own levels when imported
        logging.getLogger(name).setLevel(level)
    with cluster_errors(address), _only_address(address):
        try:
            return JobSubmissionClient(address, headers=headers)
        except RuntimeError as error:
            if "ray[default]" in str(error):
                raise ConfigError("cluster: expected Ray's job client: install ray[default]") from (
                    error
                )
            raise


@contextmanager
def cluster_errors(address: str) -> Iterator[None]:
    """Errors of Ray's client as one line.

    Raises:
        ClusterError: instead of Ray's.
    """
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        raise ClusterError(refused(address, 403 if "failed" in str(error) else 401)) from None
    except (requests.exceptions.RequestException, ConnectionError) as error:
        raise ClusterError(
            f"{address}: expected a cluster that answers, found {type(error).__name__}"
        ) from error
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(f"{address}: expected the request to be taken: {reason}") from error


def refused(address: str, status: int) -> str:
    """What to say of a request without the cluster's token (401) or with another one (403)."""
    found = "none was sent" if status == 401 else "another one was sent"
    return f"{address}: expected the cluster's token, {found} ({status}): {TOKEN_ADVICE}"


@contextmanager
def _only_address(address: str) -> Iterator[None]:
    """Ray's client lets these variables win over the address that it is given."""
    before = {name: os.environ.get(name) for name in ADDRESS_VARIABLES}
    os.environ.update(dict.fromkeys(ADDRESS_VARIABLES, address))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _authorization() -> dict[str, str]:
    """The header with the token that the environment names; none where it names none.

    Ray's own client reads the mode when Ray is imported, and leaves a given header as it is.
    """
    mode, path = os.environ.get("RAY_AUTH_MODE"), os.environ.get("RAY_AUTH_TOKEN_PATH")
    if mode not in (None, "", "token"):
        return {}
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    if not token and (path or mode == "token"):
        file = Path(path or "~/.ray/auth_token").expanduser()
        try:
            token = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"token: expected an ASCII file at {file}, found {type(error).__name__}: "
                f"{TOKEN_ADVICE}"
            ) from None
        if not token.strip():
            raise ConfigError(f"token: expected one in {file}, found an empty file")
    token = token.strip()
    if not (token.isascii() and (token.isprintable() or not token)):
        raise ConfigError("token: expected one line of visible ASCII characters")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _check_answer(address: str, headers: Mapping[str, str]) -> None:
    """Ask for the version, with a limit on the time that Ray's own client does not have."""
    import httpx

    wanted = "expected the dashboard of a Ray cluster"
    try:
        answer = httpx.get(
            f"{address}/api/version", headers=dict(headers), timeout=ANSWER_WITHIN_SECONDS
        )
    except httpx.HTTPError as error:
        raise ClusterError(
            f"{address}: {wanted} to answer within {ANSWER_WITHIN_SECONDS:g} s, found "
            f"{type(error).__name__}: see `ray dashboard`, or `kubectl port-forward`, and --cluster"
        ) from error
    if answer.status_code in (401, 403):
        raise ClusterError(refused(address, answer.status_code))
    try:
        known = "ray_version" in answer.json()
    except (ValueError, TypeError):
        known = False
    if not known:
        raise ClusterError(f"{address}: {wanted}, found another service ({answer.status_code})")
