"""A job as it is sent to a cluster: which program with which recipe, and the working tree.

The working tree travels with the job, and `PYTHONPATH=platform` makes the job import what was sent
(docs/clusters.md).
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from truelead.cluster.address import cluster_errors
from truelead.config import load_recipe
from truelead.errors import ConfigError

SWEEP = "sweep"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Work:
    """What a job is to do.

    Attributes:
        job: name of a program in jobs/, or "sweep".
        recipe: of the job (a study for the job "study"): a file of the working tree, or an absolute
            path that the cluster knows.
        overrides: `a.b=c`, on top of the recipe.
        arm: the one arm that the job is about; None: every arm of the recipe.
        space: of a sweep.
    """

    job: str
    recipe: Path
    overrides: tuple[str, ...] = ()
    arm: str | None = None
    space: Path | None = None


def job_names(root: Path) -> list[str]:
    """The jobs of a working tree.

    Raises:
        ConfigError: the folder is no working tree of TrueLead.
    """
    names = sorted(path.stem for path in (root / "jobs").glob("*.py"))
    if not names or not (root / "platform" / "truelead").is_dir():
        raise ConfigError(
            f"working tree: expected a checkout of TrueLead (jobs/ and platform/), found none in "
            f"{root}: go there or name it by --working-dir"
        )
    return [*names, SWEEP] if (root / "tune" / "sweep.py").is_file() else names


def entrypoint(work: Work, root: Path) -> str:
    """The command that the cluster runs, from the root of the copy of the working tree.

    A recipe that can be read here is checked here, before anything is sent.

    Raises:
        ConfigError: there is no such job, it does not take what is given, or the recipe is wrong or
            would not be found on the cluster.
    """
    names = job_names(root)
    if work.job not in names:
        raise ConfigError(f"job: expected one of {', '.join(names)}, found {work.job!r}")
    if work.arm is not None and work.job not in ("pretrain", "finetune"):
        raise ConfigError(f"--arm: expected the job pretrain or finetune, found {work.job}")
    if (work.space is None) == (work.job == SWEEP):
        raise ConfigError("--space: expected with the job sweep, and only with it")
    recipe = travelling_path(work.recipe, root)
    if work.recipe.is_file() and work.job != "study":
        checked = load_recipe(work.recipe, work.overrides)
        if work.arm is not None:
            checked.arm(work.arm)
    words = ["python", f"jobs/{work.job}.py", recipe]
    if work.space is not None:
        space = travelling_path(work.space, root)
        words = ["python", "tune/sweep.py", "--recipe", recipe, "--space", space]
    if work.arm is not None:
        words += ["--arm", work.arm]
    for override in work.overrides:
        words += ["--set", override]
    return shlex.join(words)


def travelling_path(path: Path, root: Path) -> str:
    """How the job names a file: relative to the working tree that it is part of, or absolute.

    Raises:
        ConfigError: the job would not find it.
    """
    full, root = path.expanduser().resolve(), root.resolve()
    if not full.is_relative_to(root):
        if not path.is_absolute():
            raise ConfigError(
                f"{path}: expected a file of the working tree {root}, or an absolute path that "
                "every node of the cluster sees"
            )
        return str(path)
    if not full.is_file():
        raise ConfigError(f"{path}: expected a file, found none")
    inside = full.relative_to(root)
    if inside.parts[0] in _kept_out(root):
        raise ConfigError(
            f"{path}: expected a file that is sent along, but .rayignore or .gitignore keeps "
            f"{inside.parts[0]}/ out: copy the file elsewhere"
        )
    return inside.as_posix()


def vanishing_output(work: Work) -> Path | None:
    """The output folder of a recipe that is readable here, if it lies in the job's own copy."""
    if work.job == "study" or not work.recipe.is_file():
        return None
    output = load_recipe(work.recipe, work.overrides).output
    return None if output.is_absolute() else output


def job_identity(job: str) -> str:
    """A new job's name on the cluster: what it does, when it was sent (UTC), and chance."""
    now = datetime.now(UTC)
    return f"{job.replace('_', '-')}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def submit(
    client: Any,
    command: str,
    root: Path,
    *,
    identity: str,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Send the working tree, less what .rayignore and .gitignore name, and start the job in it.

    Args:
        client: of `connect`.
        command: of `entrypoint`.
        root: of the working tree.
        identity: of `job_identity`.
        variables: further environment variables of the job and of its workers.

    Raises:
        ClusterError: the cluster does not take it.
    """
    environment = {"PYTHONPATH": "platform", "RAY_USAGE_STATS_ENABLED": "0", **(variables or {})}
    with cluster_errors(client.get_address()):
        client.submit_job(
            entrypoint=command,
            submission_id=identity,
            runtime_env={"working_dir": str(root.resolve()), "env_vars": environment},
        )


def parse_variables(given: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` as a mapping.

    Raises:
        ConfigError: one is something else.
    """
    variables = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not _NAME.fullmatch(name):
            raise ConfigError("--env: expected NAME=VALUE, with letters, digits and _ in the name")
        variables[name] = value
    return variables


def _kept_out(root: Path) -> set[str]:
    """Folders at the root that .rayignore and .gitignore name."""
    names = set()
    for file in (root / ".rayignore", root / ".gitignore"):
        if file.is_file():
            names |= {line.strip().strip("/") for line in file.read_text("utf-8").splitlines()}
    return names - {""}
