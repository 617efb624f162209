"""The commands of docs/clusters.md exist with the options that they are shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "clusters.md").read_text(encoding="utf-8")


def commands(program: str) -> Iterator[list[str]]:
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words[:1] == [program]:
                yield words[1:]


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_commands_of_truelead() -> None:
    from truelead.cli import app

    group = typer.main.get_command(app)
    found = list(commands("truelead"))
    assert {words[0] for words in found} == {"submit", "attach", "jobs"}
    for words in found:
        known = options(group.commands[words[0]])  # type: ignore[attr-defined]
        assert {word for word in words if word.startswith("--")} <= known, words


def test_what_is_submitted_is_a_job_with_a_file_that_travels_or_is_shared() -> None:
    from truelead.cluster.sending import job_names

    submitted = [words[1:] for words in commands("truelead") if words[0] == "submit"]
    assert len(submitted) == 3
    for job, recipe, *_ in submitted:
        assert job in job_names(REPOSITORY)
        assert recipe.startswith("/shared/") or (REPOSITORY / recipe).is_file()


def test_commands_of_ray() -> None:
    from ray.scripts.scripts import cli

    starts = [words for words in commands("ray") if words[0] == "start"]
    assert len(starts) == 2
    for words in commands("ray"):
        known = options(cli.commands[words[0]])
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"\]\(([^):#]+)\)|`(deploy/[\w./]+)`", PAGE)))
)
def test_named_files_exist(path: tuple[str, str]) -> None:
    link, named = path
    assert ((REPOSITORY / "docs" / link) if link else (REPOSITORY / named)).exists()
