"""The tree's own rules: where things live and which way the data flows."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "platform" / "truelead"

# A room may import rooms of a lower level, and itself. Rooms of one level do not know each other.
LEVELS: dict[str, int] = {
    "errors": 0,
    "types": 1,
    "config": 1,
    "job": 2,
    "cluster": 2,
    "signal": 2,
    "questions": 3,
    "data": 3,
    "model": 4,
    "debias": 5,
    "evaluate": 6,
    "train": 6,
    "service": 6,
    "study": 7,
    "predict": 7,
    "sweep": 8,
    "chain": 9,
    "demo": 10,
    "cli_cluster": 11,
    "cli_ecg": 11,
    "cli_fetch": 11,
    "cli_export": 12,
    "cli_predict": 12,
    "cli": 13,
}
WITHOUT_TORCH = ("signal", "questions", "types", "errors", "config")
MAXIMUM_LINES = 400


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module == "truelead":
                yield from (f"truelead.{alias.name}" for alias in node.names)


def test_the_source_root_does_not_shadow_the_standard_library() -> None:
    assert not (REPOSITORY / "platform" / "__init__.py").exists()


def test_every_room_has_a_level() -> None:
    rooms = {room(path) for path in sources()} - {"__init__"}
    assert rooms <= set(LEVELS), f"give these rooms a level: {sorted(rooms - set(LEVELS))}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_data_flows_one_way(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "truelead" or len(parts) < 2 or parts[1] == "__version__":
            continue
        other = parts[1]
        assert other == here or LEVELS[other] < LEVELS[here], (
            f"{here} (level {LEVELS[here]}) imports {name} (level {LEVELS[other]})"
        )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_has_one_subject(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAXIMUM_LINES, f"{lines} lines: split it"
    assert path.stem not in {"utils", "util", "helpers", "misc", "common"}
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "a module says what it is for"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_and_ray_stay_where_they_belong(path: Path) -> None:
    top = {name.split(".")[0] for name in imports(path)}
    if room(path) in WITHOUT_TORCH:
        assert not top & {"torch", "transformers", "ray", "deepspeed"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_unsafe_is_loaded(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"pickle.load", "pickle.loads", "eval", "exec"}
            if called == "torch.load":
                # The resumed run's own optimizer state, after its hash matched; tensors only.
                assert path == PACKAGE / "train" / "checkpoint.py"
                safe = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert safe.get("weights_only") == "True"
            for keyword in node.keywords:
                if keyword.arg in {"trust_remote_code", "allow_pickle"}:
                    assert isinstance(keyword.value, ast.Constant)
                    assert keyword.value.value is False
                if called == "yaml.load":
                    pytest.fail("use yaml.safe_load")
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1:
            silent = isinstance(node.body[0], ast.Pass) and (
                node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            )
            assert not silent, f"line {node.lineno}: an error is swallowed"


def test_tests_mirror_the_package() -> None:
    for folder in (REPOSITORY / "tests").iterdir():
        if folder.is_dir() and folder.name not in {
            "layout",
            "cluster",
            "browser",
            "bench",
            "jobs",
            "__pycache__",
        }:
            assert (PACKAGE / folder.name).is_dir(), f"tests/{folder.name} mirrors no room"


def test_no_machine_path_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the committed files cannot be listed")
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".json", ".j2"} and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "/" + "work/" not in text, name
            assert "/" + "root/" not in text, name
