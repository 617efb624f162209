"""What a report was made from, as text."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import truelead
from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.debias.severity import severity_provider
from truelead.types import Record


def provenance(recipe: Recipe, store: ShardStore, tested: Iterable[Record]) -> dict[str, str]:
    """Versions, digests and counts of one judging.

    Args:
        tested: records of the ECGs that the test sets ask about.
    """
    tested = list(tested)
    train = [record for record in store.records if record.split == "train"]
    return {
        "TrueLead": truelead.__version__,
        "git revision": git_revision(Path(truelead.__file__)),
        "data": "generated ECGs" if recipe.data.root is None else recipe.data.source,
        "data digest": store.digest,
        "split": f"{recipe.evaluate.split} of {recipe.data.split_by}",
        "questions": recipe.questions.setup,
        "severity": _severity(recipe),
        "tested": _count(tested),
        "trained on": _count(train),
        "bootstrap replicates": str(recipe.evaluate.bootstrap_samples),
    }


def git_revision(file: Path) -> str:
    """Commit of the repository that tracks the file, "+changes" if it was changed since.

    "not under version control" for an installed package: the repository that a virtual
    environment happens to lie in says nothing about it.
    """
    git = ["git", "-C", str(file.resolve().parent)]
    try:
        tracked = _run([*git, "ls-files", "--error-unmatch", file.name])
        revision = _run([*git, "rev-parse", "--short=12", "HEAD"])
        changed = _run([*git, "status", "--porcelain", "--untracked-files=no", "."])
    except (OSError, subprocess.SubprocessError):
        return "unknown (no git)"
    if tracked is None or revision is None:
        return "not under version control"
    return revision + ("+changes" if changed else "")


def _run(command: list[str]) -> str | None:
    done = subprocess.run(  # noqa: S603  # fixed words and the package's own path
        command, capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _severity(recipe: Recipe) -> str:
    provider = severity_provider(recipe.severity)
    return f"{provider.name}: {', '.join(provider.strata)}"


def _count(records: list[Record]) -> str:
    return f"{len(records)} ECGs of {len({record.patient_id for record in records})} patients"
