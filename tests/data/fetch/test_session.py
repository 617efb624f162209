"""Credentials go to the set's own server and nowhere else: no log, no message, no other host."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.fetch.conftest import QUICK
from tests.data.fetch.loopback_server import LoopbackServer, loopback_server
from truelead.data.fetch import KNOWN_SETS, EcgSet, FetchOptions, FetchResult, fetch_set
from truelead.data.fetch.credentials import Credentials, find_credentials
from truelead.data.fetch.problems import FetchFailure
from truelead.data.fetch.session import Session, _redirected
from truelead.data.fetch.sets import resolve_set
from truelead.errors import ConfigError

Fetch = Callable[..., FetchResult]
SECRET = "correct-horse-7"


def with_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELEAD_FETCH_USER", "ada")
    monkeypatch.setenv("TRUELEAD_FETCH_PASSWORD", SECRET)


def test_credentials_of_the_environment_open_a_guarded_set(
    server: LoopbackServer,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.password = ("ada", SECRET)
    with_account(monkeypatch)
    result = fetch(server.publish("set", {"a.dat": b"abc"}))
    assert (result.fetched, result.failed) == (1, {})
    assert SECRET not in caplog.text
    assert Credentials("ada", SECRET).header().split()[1] not in caplog.text


@pytest.mark.parametrize("password", [None, "wrong-one"])
def test_without_the_right_account_one_line_tells_how_to_get_access(
    server: LoopbackServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    server.password = ("ada", SECRET)
    if password:
        with_account(monkeypatch)
        monkeypatch.setenv("TRUELEAD_FETCH_PASSWORD", password)
    with pytest.raises(FetchFailure) as caught:
        fetch(server.publish("set", {"a.dat": b"abc"}))
    message = str(caught.value)
    assert ("refused the account" if password else "wants an account") in message
    assert "TRUELEAD_FETCH_USER" in message
    assert "netrc" in message
    assert "\n" not in message
    assert "wrong-one" not in message


def test_a_credentialed_set_without_an_account_ends_before_any_request(tmp_path: Path) -> None:
    name = next(name for name, one in KNOWN_SETS.items() if one.access == "credentialed")
    with pytest.raises(FetchFailure) as caught:
        fetch_set(resolve_set(name), tmp_path / "out")
    assert KNOWN_SETS[name].page in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_redirect_to_another_port_carries_no_credentials(
    server: LoopbackServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.password = ("ada", SECRET)
    with_account(monkeypatch)
    url = server.publish("set", {"a.dat": b"abc", "b.dat": b"bcd"})
    with loopback_server() as other:
        other.files["/elsewhere/a.dat"] = b"abc"
        server.redirects["/set/a.dat"] = f"{other.url}/elsewhere/a.dat?signature=once"
        server.redirects["/set/b.dat"] = "/elsewhere/b.dat"
        server.files["/elsewhere/b.dat"] = b"bcd"
        other.files["/elsewhere/a.dat?signature=once"] = b"abc"
        assert fetch(url).failed == {}
        assert other.requests
        assert all("Authorization" not in headers for _, _, headers in other.requests)
    assert "Authorization" in server.gets("/elsewhere/b.dat")[0]


def test_a_redirected_failure_does_not_show_the_signed_address(
    server: LoopbackServer, fetch: Fetch
) -> None:
    url = server.publish("set", {"a.dat": b"abc"})
    server.redirects["/set/a.dat"] = "/gone?signature=secret-part"
    assert fetch(url).failed == {"a.dat": "server answered 404"}
    server.redirects["/set/a.dat"] = "/set/a.dat"
    assert fetch(url).failed == {"a.dat": "more than 5 redirects"}


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://host.example/a", "from https to http"),
        ("file:///etc/passwd", "not a plain http"),
        ("ftp://host.example/a", "not a plain http"),
        ("https://ada:pw@host.example/a", "not a plain http"),
        ("https://host.example:99999/a", "not a plain http"),
    ],
)
def test_redirects_that_are_refused(location: str, reason: str) -> None:
    with pytest.raises(FetchFailure, match=reason) as caught:
        _redirected("https://set.example/files/a", location)
    assert "pw" not in str(caught.value)


def test_credentials_never_travel_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with_account(monkeypatch)
    ecg_set = EcgSet(
        name="x",
        version="1",
        licence="",
        access="credentialed",
        page="",
        listing="sha256sums",
        listing_url="http://set.example/SHA256SUMS.txt",
        files_url="http://set.example/",
    )
    with pytest.raises(ConfigError, match="expected an https URL"):
        Session(ecg_set, QUICK, 1)


def test_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text(f"machine set.example login ada password {SECRET}\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    found = find_credentials("set.example")
    assert found == Credentials("ada", SECRET)
    assert SECRET not in repr(found)
    assert find_credentials("other.example") is None
    path.write_text(f"machine set.example password\n{SECRET} {SECRET} nonsense\n")
    with pytest.raises(ConfigError, match="expected a netrc file") as caught:
        find_credentials("set.example")
    assert SECRET not in str(caught.value)


def test_on_a_terminal_one_is_asked_and_the_password_is_not_echoed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    errors = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal("ada\n"))
    monkeypatch.setattr("sys.stderr", errors)
    monkeypatch.setattr("getpass.getpass", lambda prompt: SECRET)
    assert find_credentials("set.example") == Credentials("ada", SECRET)
    assert "set.example" in errors.getvalue()
    assert SECRET not in errors.getvalue() + capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("ada\n"))
    assert find_credentials("set.example") is None


def test_half_an_account_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELEAD_FETCH_USER", "ada")
    with pytest.raises(ConfigError, match="expected both"):
        find_credentials("set.example")


def zenodo_set(server: LoopbackServer, files: list[dict[str, object]]) -> EcgSet:
    record = f"{server.url}/api/records/1"
    server.files["/api/records/1"] = json.dumps({"id": 1, "files": files}).encode()
    return EcgSet(
        name="zenodo-set",
        version="1",
        licence="CC BY 4.0",
        access="open",
        page="https://zenodo.org/records/1",
        listing="zenodo",
        listing_url=record,
        files_url=record + "/files/",
        files_suffix="/content",
    )


def fetch_known(ecg_set: EcgSet, root: Path) -> FetchResult:
    return fetch_set(ecg_set, root, FetchOptions(patience=QUICK))


def test_a_zenodo_record_by_its_md5_and_sizes(server: LoopbackServer, tmp_path: Path) -> None:
    md5 = "md5:b1946ac92492d2347c6235b4d2611184"
    ecg_set = zenodo_set(
        server, [{"key": "exams part0.zip", "size": 6, "checksum": md5, "links": {}}]
    )
    server.files["/api/records/1/files/exams part0.zip/content"] = b"hello\n"
    result = fetch_known(ecg_set, tmp_path / "out")
    assert (result.fetched, result.failed, result.plan.bytes_total) == (1, {}, 6)
    assert (tmp_path / "out" / "exams part0.zip").read_bytes() == b"hello\n"
    # The announced size is held against the listed one before a byte is stored.
    (tmp_path / "out" / "exams part0.zip").unlink()
    server.files["/api/records/1/files/exams part0.zip/content"] = b"hello, and far more\n"
    result = fetch_known(ecg_set, tmp_path / "out")
    assert result.failed == {
        "exams part0.zip": "expected 6 bytes, announced 20 (attempt 4, given up)"
    }
    assert server.sent["/api/records/1/files/exams part0.zip/content"] < 200


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"key": "../evil", "size": 1, "checksum": "md5:" + "a" * 32}, "a way out"),
        ({"key": "a", "size": -1, "checksum": "md5:" + "a" * 32}, "expected key, size"),
        ({"key": "a", "size": True, "checksum": "md5:" + "a" * 32}, "expected key, size"),
        ({"key": "a", "size": 1, "checksum": "crc32:aaaa"}, "expected md5 or sha256"),
        ({"key": "a", "size": 1, "checksum": "md5:zz"}, "expected hexadecimal"),
    ],
)
def test_a_damaged_zenodo_record_is_refused(
    server: LoopbackServer, tmp_path: Path, entry: dict[str, object], expected: str
) -> None:
    with pytest.raises(Exception, match=expected) as caught:
        fetch_known(zenodo_set(server, [entry]), tmp_path / "out")
    assert caught.type.__module__.startswith("truelead")


def github_set(server: LoopbackServer, tree: dict[str, object]) -> EcgSet:
    server.files["/tree?recursive=1"] = json.dumps(tree).encode()
    return EcgSet(
        name="github-set",
        version="1",
        licence="CC BY 4.0",
        access="open",
        page="",
        listing="github",
        listing_url=f"{server.url}/tree?recursive=1",
        files_url=f"{server.url}/raw/",
    )


def test_a_git_tree_by_its_blob_names(server: LoopbackServer, tmp_path: Path) -> None:
    blob = {
        "path": "ecgqa/a.json",
        "mode": "100644",
        "type": "blob",
        "sha": "ce013625030ba8dba906f756967f9e9ca394464a",
        "size": 6,
    }
    folder = {"path": "ecgqa", "mode": "040000", "type": "tree", "sha": "0" * 40}
    server.files["/raw/ecgqa/a.json"] = b"hello\n"
    tree: dict[str, object] = {"tree": [folder, blob], "truncated": False}
    assert fetch_known(github_set(server, tree), tmp_path / "out").failed == {}
    assert (tmp_path / "out/ecgqa/a.json").read_bytes() == b"hello\n"
    with pytest.raises(Exception, match="truncated list"):
        fetch_known(github_set(server, {**tree, "truncated": True}), tmp_path / "out")
    with pytest.raises(Exception, match="found a link or submodule"):
        fetch_known(github_set(server, {"tree": [{**blob, "mode": "120000"}]}), tmp_path / "out")
