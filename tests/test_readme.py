"""The README's own commands run as they stand, on a smaller recipe."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SMALL_RECIPE = """\
name: tiny
output: runs/tiny
generate: { patients: 60, ecgs_per_patient: 1.3, seed: 0 }
data: { development_fraction: 0.0, records_per_shard: 32 }
encoder: { options: { width: 32 } }
encoder_training: { epochs: 1, batch_size: 16, minimum_positives: 2 }
language_model: { hidden_size: 32, layers: 1, heads: 2, vocabulary_size: 512 }
questions: { minimum_positives: 5 }
pretrain: { steps: 3, ecgs_per_step: 4, questions_per_ecg: 2 }
finetune: { steps: 2, ecgs_per_step: 4, questions_per_ecg: 2 }
train: { in_process: true, checkpoint_every: 2 }
evaluate: { bootstrap_samples: 100, maximum_questions: 40 }
arms: [{ name: debiased, pretrain: do-question-balanced }]
"""


def commands() -> list[str]:
    """Every line of the blocks that are marked as tested."""
    blocks = re.findall(r"<!-- tested -->\n```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_starts_with_the_two_commands() -> None:
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert re.findall(r"^make (\w+)", first[1], re.MULTILINE) == ["demo", "test"]


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_every_file_the_readme_names_exists() -> None:
    named = set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))
    named |= set(re.findall(r"((?:jobs|tune|serve)/[\w/.-]+\.(?:py|yaml))", README))
    assert named
    missing = sorted(name for name in named if not (REPOSITORY / name).exists())
    assert not missing


@pytest.mark.ray
@pytest.mark.slow
def test_the_main_tasks_run(tmp_path: Path, ray_cluster: Any) -> None:
    found = commands()
    assert len(found) >= 9
    recipe = tmp_path / "jobs" / "recipes" / "tiny.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(SMALL_RECIPE, encoding="utf-8")
    for command in found:
        program, *arguments = shlex.split(command)
        assert program == ".venv/bin/truelead"
        done = subprocess.run(
            [sys.executable, "-m", "truelead.cli", *arguments],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert (tmp_path / "runs/tiny/report/report.html").is_file()
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")
