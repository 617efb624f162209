"""Whatever the server does, only listed bytes take a file's name, and nothing is fetched twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.fetch.conftest import QUICK
from tests.data.fetch.loopback_server import LoopbackServer
from truelead.data.fetch import FetchResult
from truelead.data.fetch import download as download_module
from truelead.data.fetch.retry import Patience

Fetch = Callable[..., FetchResult]
Stored = Callable[[], dict[str, bytes]]
ONE = "ptbxl_database.csv"


def without_listing(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name != "SHA256SUMS.txt"}


def test_a_set_arrives_whole_and_leaves_nothing_behind(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, stored: Stored
) -> None:
    result = fetch(server.publish("set", content))
    assert (result.fetched, result.failed) == (len(content), {})
    assert without_listing(stored()) == content
    assert stored()["SHA256SUMS.txt"] == server.files["/set/SHA256SUMS.txt"]
    assert result.received_bytes == sum(map(len, content.values()))
    assert result.plan.bytes_total == result.received_bytes
    assert result.plan.exact


def test_files_that_are_right_are_not_fetched_again_and_wrong_ones_are(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, stored: Stored, tmp_path: Path
) -> None:
    url = server.publish("set", content)
    fetch(url)
    server.sent.clear()
    (tmp_path / "out" / ONE).write_bytes(b"damaged")
    (tmp_path / "out" / "RECORDS").unlink()
    result = fetch(url)
    assert (result.fetched, result.plan.kept) == (2, len(content) - 2)
    assert set(server.sent) == {"/set/SHA256SUMS.txt", f"/set/{ONE}", "/set/RECORDS"}
    assert without_listing(stored()) == content


@pytest.mark.parametrize(
    "misdeeds",
    [
        ["break"],
        ["break", "503", "break"],
        ["429", "503"],
        ["500"],
        ["wrong bytes"],
        ["wrong bytes", "break", "wrong bytes"],
        ["announce more"],
        ["announce less"],
        ["no length"],
        ["chunked"],
        ["break", "ignore range"],
        ["break", "other range"],
        ["break", 'etag "new"'],
        ["break", 'careless etag "new"'],
        ["break", "wrong bytes"],
        ["stall"],
    ],
    ids="+".join,
)
def test_a_server_that_fails_for_a_while_costs_attempts_not_bytes(
    server: LoopbackServer,
    content: dict[str, bytes],
    fetch: Fetch,
    stored: Stored,
    misdeeds: list[str],
) -> None:
    url = server.publish("set", content)
    server.queue[f"/set/{ONE}"].extend(misdeeds)
    patience = replace(QUICK, stall_seconds=0.3) if "stall" in misdeeds else QUICK
    result = fetch(url, patience=patience)
    assert result.failed == {}
    assert not server.queue[f"/set/{ONE}"]
    assert without_listing(stored()) == content


def test_a_broken_connection_goes_on_at_the_byte_where_it_broke(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch
) -> None:
    url = server.publish("set", content)
    server.queue[f"/set/{ONE}"].append("break")
    fetch(url)
    first, second = server.gets(f"/set/{ONE}")
    assert "Range" not in first
    assert second["Range"] == f"bytes={len(content[ONE]) // 2}-"
    assert second["If-Range"].startswith('"')
    assert server.sent[f"/set/{ONE}"] == len(content[ONE])


def test_a_file_that_changed_between_two_requests_is_fetched_anew(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, stored: Stored
) -> None:
    url = server.publish("set", content)
    path = f"/set/{ONE}"
    # The rest comes under another ETag although If-Range asked for the same: never spliced.
    server.queue[path].extend(["break", 'careless etag "new"'])
    assert fetch(url).failed == {}
    ranges = [headers.get("Range") for headers in server.gets(path)]
    assert ranges == [None, f"bytes={len(content[ONE]) // 2}-", None]
    assert stored()[ONE] == content[ONE]


@pytest.mark.parametrize(
    ("misdeed", "reason", "requests"),
    [
        ("wrong bytes", "SHA-256 is not the listed one (3 downloads)", 3),
        ("503", "server answered 503 (attempt 4, given up)", 4),
        ("404", "server answered 404", 1),
        ("announce less", "SHA-256 is not the listed one (3 downloads)", 3),
    ],
)
def test_a_file_that_stays_bad_is_one_line_and_the_others_are_kept(
    server: LoopbackServer,
    content: dict[str, bytes],
    fetch: Fetch,
    stored: Stored,
    misdeed: str,
    reason: str,
    requests: int,
) -> None:
    url = server.publish("set", content)
    server.always[f"/set/{ONE}"] = misdeed
    result = fetch(url)
    assert list(result.failed) == [ONE]
    assert result.failed[ONE].startswith(reason)
    assert "\n" not in result.failed[ONE]
    assert len(server.gets(f"/set/{ONE}")) == requests
    kept = {name: data for name, data in without_listing(stored()).items() if ".fetch" not in name}
    assert kept == {name: data for name, data in content.items() if name != ONE}
    server.always.clear()
    assert fetch(url).failed == {}
    assert without_listing(stored()) == content


def test_a_length_that_is_always_a_lie_does_not_matter_where_the_bytes_are_right(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, stored: Stored
) -> None:
    url = server.publish("set", content)
    server.always[f"/set/{ONE}"] = "announce more"
    assert fetch(url).failed == {}
    assert stored()[ONE] == content[ONE]


def test_an_endless_body_is_cut_off(
    server: LoopbackServer,
    content: dict[str, bytes],
    fetch: Fetch,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = server.publish("set", content)
    server.always[f"/set/{ONE}"] = "chunked"
    monkeypatch.setattr(download_module, "UNANNOUNCED_LIMIT_BYTES", 10_000)
    result = fetch(url)
    assert result.failed == {ONE: "expected at most 10000 bytes, found more"}
    assert ONE not in stored()


def test_a_server_that_makes_one_start_over_and_over_is_given_up(
    server: LoopbackServer, fetch: Fetch
) -> None:
    url = server.publish("set", {"big.dat": bytes(300_000)})
    path = "/set/big.dat"
    patience = Patience(
        attempts=4, first_delay_seconds=0.001, longest_delay_seconds=0.001, progress_bytes=50_000
    )
    # Each attempt brings half of it, under another ETag: the half is dropped every time.
    for i in range(50):
        server.queue[path].append("break")
        server.queue[path].append(f'careless etag "{i}"')
    result = fetch(url, patience=patience)
    assert result.failed["big.dat"].endswith("given up)")
    assert len(server.gets(path)) <= 8


def test_the_server_is_left_alone_for_as_long_as_it_asks(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch
) -> None:
    url = server.publish("set", content)
    server.queue[f"/set/{ONE}"].append("retry-after 1")
    begin = time.monotonic()
    assert fetch(url).failed == {}
    assert time.monotonic() - begin >= 1.0


def test_a_server_that_asks_for_hours_is_not_waited_for(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch
) -> None:
    url = server.publish("set", content)
    server.always[f"/set/{ONE}"] = "retry-after 86400"
    result = fetch(url)
    assert result.failed == {ONE: "server answered 429: asks to come back in 86400 s"}


def test_downloads_run_in_parallel_and_no_more_than_asked(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch
) -> None:
    url = server.publish("set", content)
    server.seconds_a_piece = 0.005
    fetch(url, connections=3)
    assert 2 <= server.most_at_once <= 3


def test_nothing_is_decompressed(server: LoopbackServer, fetch: Fetch) -> None:
    fetch(server.publish("set", {"a.dat": b"abc"}))
    assert server.gets("/set/a.dat")[0]["Accept-Encoding"] == "identity"


def test_a_stall_ends_after_the_timeout(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch
) -> None:
    url = server.publish("set", content)
    server.always[f"/set/{ONE}"] = "stall"
    patience = Patience(attempts=2, first_delay_seconds=0.01, stall_seconds=0.2)
    begin = time.monotonic()
    result = fetch(url, patience=patience)
    assert result.failed == {ONE: "no bytes for 0.2 s (attempt 2, given up)"}
    assert time.monotonic() - begin >= 0.4
