"""The command `fetch`: what it says, its exit status, and that help and list teach."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.data.fetch.loopback_server import LoopbackServer, loopback_server
from truelead import cli
from truelead.data.fetch import KNOWN_SETS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """run("fetch", ...) as the installed command would: status, standard output, errors."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["truelead", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def test_a_set_is_fetched_and_the_second_run_keeps_it(
    server: LoopbackServer, run: Run, tmp_path: Path
) -> None:
    url = server.publish("set", {"a.dat": b"abc", "sub/b.csv": b"bcd"})
    status, out, err = run("fetch", url, "--output", str(tmp_path / "out"))
    assert (status, err) == (0, "")
    assert "to fetch: 2 files, 6 bytes; verified: 0" in out
    assert "fetched 2, kept 0, failed 0; 6 bytes received" in out
    assert "\x1b" not in out
    status, out, _ = run("fetch", url, "--output", str(tmp_path / "out"))
    assert status == 0
    assert "fetched 0, kept 2, failed 0; 0 bytes received" in out


def test_a_failed_file_is_one_line_and_status_1(
    server: LoopbackServer, run: Run, tmp_path: Path
) -> None:
    url = server.publish("set", {"a.dat": b"abc", "b.csv": b"bcd"})
    server.always["/set/a.dat"] = "404"
    status, out, err = run("fetch", url, "-o", str(tmp_path / "out"))
    assert status == 1
    assert err == "failed: a.dat: server answered 404\n"
    assert "fetched 1, kept 0, failed 1" in out
    assert (tmp_path / "out/b.csv").read_bytes() == b"bcd"


def test_a_mirror_serves_a_known_set(server: LoopbackServer, run: Run, tmp_path: Path) -> None:
    url = server.publish("mirror", {"records100/a.dat": b"abc", "records500/a.dat": b"abcd"})
    status, out, _ = run(
        *("fetch", "ptb-xl", "-o", str(tmp_path / "out")),
        *("--base-url", url, "--only", "records100/*"),
    )
    assert status == 0
    assert "ptb-xl 1.0.3, licence: CC BY 4.0, https://physionet.org/content/ptb-xl/1.0.3/" in out
    assert (tmp_path / "out/records100/a.dat").read_bytes() == b"abc"
    assert not (tmp_path / "out/records500").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fetch"], "expected SET and --output"),
        (["fetch", "ptb-xl"], "expected SET and --output"),
        (["fetch", "ptbxl", "-o", "OUT"], "expected one of ptb-xl"),
        (["fetch", "https://u:hidden-one@h.example/", "-o", "OUT"], "no user name or password"),
    ],
    ids=["nothing", "no output", "unknown set", "password in the URL"],
)
def test_a_mistake_is_one_line_and_status_2(
    run: Run, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    status, _, err = run(*(part.replace("OUT", str(tmp_path / "out")) for part in arguments))
    assert status == 2
    assert err.startswith("error: ")
    assert expected in err
    assert err.count("\n") == 1
    assert "hidden-one" not in err


def test_the_list_shows_licence_size_and_access(run: Run) -> None:
    status, out, _ = run("fetch", "--list")
    assert status == 0
    for name, ecg_set in KNOWN_SETS.items():
        row = next(line for line in out.splitlines() if line.strip().startswith(f"{name} "))
        assert ecg_set.version in row
        assert ("account" if ecg_set.access == "credentialed" else "open") in row
    assert "about 3.0 GB" in out
    assert "ODbL 1.0" in out


def test_help_teaches_and_offers_no_password_option() -> None:
    text = CliRunner().invoke(cli.app, ["fetch", "--help"], env={"COLUMNS": "200"}).output
    for word in ("--only", "--base-url", "TRUELEAD_FETCH_USER", ".netrc", "records100/*"):
        assert word in text
    assert "--password" not in text
    assert "--user" not in text
