"""Whole runs: plan, room on the disk, hostile lists, a killed process, one run a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.fetch.loopback_server import LoopbackServer
from truelead.data.fetch import FetchResult
from truelead.data.fetch import plan as plan_module
from truelead.data.fetch import run as run_module
from truelead.data.fetch import space as space_module
from truelead.errors import ConfigError, DataError, ResourceError

Fetch = Callable[..., FetchResult]
Stored = Callable[[], dict[str, bytes]]
PROGRAM = """
import sys
from pathlib import Path
from truelead.data.fetch import fetch_set, resolve_set
result = fetch_set(resolve_set(sys.argv[1]), Path(sys.argv[2]))
print(result.fetched, len(result.failed))
"""


def start(url: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(root)], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_run_goes_on_where_it_was(
    server: LoopbackServer, content: dict[str, bytes], stored: Stored, tmp_path: Path
) -> None:
    content = {**content, "big.dat": bytes(range(256)) * 4000}
    url = server.publish("set", content)
    server.seconds_a_piece = 0.01
    first = start(url, tmp_path / "out")
    deadline = time.monotonic() + 90
    while server.sent["/set/big.dat"] < 400_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert server.sent["/set/big.dat"] >= 400_000
    assert "big.dat" not in stored()
    time.sleep(0.1)
    before = sum(server.sent.values())
    server.seconds_a_piece = 0.0
    second = start(url, tmp_path / "out")
    answer, _ = second.communicate(timeout=90)
    assert answer.split()[1] == "0"
    after = {name: data for name, data in stored().items() if name != "SHA256SUMS.txt"}
    assert after == content
    served = sum(server.sent.values()) - before
    assert served < sum(map(len, content.values())) - 250_000
    resumed = server.gets("/set/big.dat")[-1]["Range"]
    assert int(resumed.removeprefix("bytes=").removesuffix("-")) >= 250_000


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:evil", "..\\evil"])
def test_a_hostile_list_is_refused_before_anything_is_fetched(
    server: LoopbackServer, fetch: Fetch, tmp_path: Path, name: str
) -> None:
    url = server.publish("set", {"good.dat": b"abc", name: b"evil"})
    with pytest.raises(DataError, match="line 2: expected file names inside the set"):
        fetch(url)
    assert server.gets("/set/good.dat") == []
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out"]


def test_a_link_on_the_way_is_refused(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records100").symlink_to(outside)
    with pytest.raises(DataError, match="found a link"):
        fetch(server.publish("set", content))
    assert list(outside.iterdir()) == []


def test_only_what_is_asked_for(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, stored: Stored
) -> None:
    url = server.publish("set", content)
    result = fetch(url, only=("records100/*.hea", "*.csv"))
    wanted = {name for name in content if name.endswith((".hea", ".csv"))}
    assert set(stored()) == wanted | {"SHA256SUMS.txt"}
    assert result.fetched == len(wanted)
    with pytest.raises(ConfigError, match=r"--only: no file of set fits records500/\*"):
        fetch(url, only=("records500/*",))


def test_a_dry_run_fetches_nothing(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, stored: Stored
) -> None:
    result = fetch(server.publish("set", content), dry_run=True)
    assert len(result.plan.missing) == len(content)
    assert result.plan.bytes_total == sum(map(len, content.values()))
    assert stored() == {}


def test_sizes_are_projected_from_some_files_where_there_are_many(
    server: LoopbackServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "ASKED_FILES", 4)
    files = {f"{i:03d}": bytes(1000) for i in range(40)}
    plan = fetch(server.publish("set", files), dry_run=True).plan
    assert (plan.bytes_total, plan.exact) == (40_000, False)
    assert sum(method == "HEAD" for method, _, _ in server.requests) == 4


def test_a_disk_without_room_ends_before_the_first_file(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    free = space_module.RESERVE_BYTES + 1000
    monkeypatch.setattr(space_module.shutil, "disk_usage", lambda path: usage(10**9, 0, free))
    with pytest.raises(ResourceError, match=r"expected .* free .* found 67.1 MB"):
        fetch(server.publish("set", content))
    assert set(server.sent) == {"/set/SHA256SUMS.txt"}


def test_a_disk_that_fills_up_ends_the_run(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "download", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        fetch(server.publish("set", content))


def test_a_folder_where_a_file_belongs_is_one_failure(
    server: LoopbackServer, fetch: Fetch, stored: Stored
) -> None:
    # "a" is listed as a file and as a folder: only one of the two can be.
    result = fetch(server.publish("set", {"a": b"file", "a/b": b"below", "c": b"c"}), connections=1)
    assert list(result.failed) == ["a/b"]
    assert stored()["c"] == b"c"


def test_two_runs_into_one_folder_do_not_mix(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, tmp_path: Path
) -> None:
    url = server.publish("set", content)
    (tmp_path / "out").mkdir()
    with (
        run_module._work_folder(tmp_path / "out"),
        pytest.raises(DataError, match="expected no other download"),
    ):
        fetch(url)
    assert fetch(url).failed == {}


def test_a_part_of_another_version_is_not_continued(
    server: LoopbackServer, fetch: Fetch, stored: Stored
) -> None:
    url = server.publish("set", {"a.dat": b"1" * 50_000})
    server.queue["/set/a.dat"].extend(["break", "404"])
    assert fetch(url).failed == {"a.dat": "server answered 404"}
    server.publish("set", {"a.dat": b"2" * 60_000})
    assert fetch(url).failed == {}
    assert "Range" not in server.gets("/set/a.dat")[-1]
    assert stored()["a.dat"] == b"2" * 60_000


def test_an_output_that_cannot_be_a_folder_is_one_line(
    server: LoopbackServer, content: dict[str, bytes], fetch: Fetch, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server.publish("set", content))
