"""deploy/Containerfile copies what is there, pins what it builds on, and runs as nobody special.

It is not built here: that takes a builder and the registries.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
IGNORED = REPOSITORY / ".dockerignore"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """(instruction, its text), comments and line continuations gone."""
    text = (REPOSITORY / "deploy" / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def values(instructions: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for name, rest in instructions if name == word]


def test_the_base_is_pinned_and_of_a_python_that_the_package_supports(
    instructions: list[tuple[str, str]],
) -> None:
    (base,) = [x for x in values(instructions, "ARG") if x.startswith("BASE=")]
    found = re.fullmatch(r"BASE=\S+/python:(\d+)\.(\d+)\.(\d+)-slim-\w+", base)
    assert found, base
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={found[1]}.{found[2]}"
    assert values(instructions, "FROM") == ["${BASE} AS build", "${BASE}"]


def test_every_extra_exists(instructions: list[tuple[str, str]]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    (extras,) = [x for x in values(instructions, "ARG") if x.startswith("EXTRAS=")]
    named = set(extras.removeprefix("EXTRAS=").split(","))
    chosen_by_few = {"vllm", "mlflow", "wandb"}
    assert named == set(project["optional-dependencies"]) - {"dev", "bench"} - chosen_by_few


def test_what_is_copied_exists_and_is_sent_to_the_builder(
    instructions: list[tuple[str, str]],
) -> None:
    lines = IGNORED.read_text(encoding="utf-8").splitlines()
    assert "*" in lines  # all is kept out but what is named
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = set()
    for rest in values(instructions, "COPY"):
        words = shlex.split(rest)
        if not words[0].startswith("--from="):
            copied |= set(words[:-1])
    assert copied == sent
    assert all((REPOSITORY / name).exists() for name in copied)
    assert "serve" in copied  # `serve.app:build` of deploy/kuberay/rayservice.yaml


def test_the_container_is_no_root_and_knows_no_secret(
    instructions: list[tuple[str, str]],
) -> None:
    assert values(instructions, "USER") == ["1000:1000"]
    after = instructions[[word for word, _ in instructions].index("USER") + 1 :]
    assert [word for word, _ in after] == ["CMD"]
    text = " ".join(rest for word, rest in instructions if word in ("ENV", "ARG", "COPY"))
    assert not re.search(r"(?i)token=|password|secret|\.ray\b|\.netrc|_KEY", text)


def test_the_image_is_where_the_manifests_look(instructions: list[tuple[str, str]]) -> None:
    assert values(instructions, "WORKDIR")[-1] == "/opt/truelead"
    (environment,) = values(instructions, "ENV")[-1:]
    assert "PYTHONPATH=/opt/truelead " in environment
    assert "PATH=/opt/venv/bin:" in environment
