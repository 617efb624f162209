"""`truelead submit`, `attach` and `jobs` against a real head, and what they refuse beforehand."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from truelead.cluster.address import cluster_address, connect
from truelead.cluster.following import follow
from truelead.cluster.sending import (
    Work,
    entrypoint,
    job_names,
    parse_variables,
    travelling_path,
    vanishing_output,
)
from truelead.errors import ClusterError, ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = REPOSITORY / "jobs" / "recipes" / "tiny.yaml"

on_a_head = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(autouse=True)
def no_cluster_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small working tree with one job of its own, which a test can steer by a file."""
    root = tmp_path / "tree"
    for folder in ("jobs", "platform/truelead", "runs"):
        (root / folder).mkdir(parents=True)
    (root / ".rayignore").write_text("runs/\n", encoding="utf-8")
    (root / "runs" / "large.bin").write_bytes(b"0" * 100)
    (root / "mine.yaml").write_text(f"name: mine\noutput: {tmp_path}/out\n", encoding="utf-8")
    (root / "jobs" / "wait.py").write_text(WAITING_JOB, encoding="utf-8")
    return root


# Says what it sees, waits until the recipe's folder holds the file `go`, and ends with 7.
WAITING_JOB = """
import os, sys, time
from pathlib import Path
recipe = Path(sys.argv[1])
print('sees', sorted(os.listdir('.')), os.environ['PYTHONPATH'], os.environ['NOTE'], flush=True)
print('arguments', sys.argv[2:], flush=True)
out = Path(recipe.read_text().split('output: ')[1].strip())
while not (out / 'go').exists():
    time.sleep(0.05)
print('going', flush=True)
sys.exit(7)
"""


@pytest.fixture(autouse=True)
def _interrupts_arrive() -> None:
    """Also where the tests run in the background of a shell, which lets interrupts be ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def command(environment: dict[str, str], *arguments: object, **options: Any) -> Any:
    """The command line as an operator starts it, from the repository's root."""
    return subprocess.Popen(
        [sys.executable, "-m", "truelead.cli", *map(str, arguments)],
        cwd=options.pop("cwd", REPOSITORY),
        env={**environment, "PYTHONPATH": str(REPOSITORY / "platform"), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: Any) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


class TestOnAHead:
    pytestmark = on_a_head

    def test_a_stage_is_followed_to_its_end(
        self,
        address: str,
        client: JobSubmissionClient,
        operator_environment: dict[str, str],
        recipe: Path,
        tmp_path: Path,
    ) -> None:
        named = {**operator_environment, "RAY_ADDRESS": address}
        few = ("--set", "generate.patients=5")
        code, out, err = ended(command(named, "submit", "generate", recipe, *few))
        assert code == 0, out + err
        records = tmp_path / "run" / "records"
        assert f"generated ECGs: {records}" in out
        assert len(list(records.rglob("*.hea"))) == 5
        assert re.search(r"^job generate-\d{8}-\d{6}-\w{6}: SUCCEEDED, status 0$", err, re.M)

    def test_detached_then_attached_then_interrupted(
        self,
        address: str,
        client: JobSubmissionClient,
        operator_environment: dict[str, str],
        tree: Path,
        tmp_path: Path,
    ) -> None:
        # What --cluster names wins over the environment.
        elsewhere = {**operator_environment, "RAY_ADDRESS": "http://127.0.0.1:1"}
        sent = command(
            elsewhere, "submit", "wait", "mine.yaml", "--detach", "--cluster", address,
            "--set", "output=/two words", "--env", "NOTE=noted", cwd=tree,
        )  # fmt: skip
        code, out, err = ended(sent)
        assert code == 0, err
        last = out.splitlines()[-1]
        attach = last.removeprefix("truelead ").split()
        assert attach[0] == "attach"
        assert attach[2:] == ["--cluster", address]
        identity = attach[1]

        attached = command(operator_environment, *attach)
        seen = [attached.stdout.readline()]
        while not seen[-1].startswith("arguments"):  # before the job's own lines come Ray's
            seen.append(attached.stdout.readline())
            assert seen[-1], attached.communicate()
        # The folder that .rayignore names stayed at home.
        assert seen[-2].startswith("sees ['.rayignore', 'jobs', 'mine.yaml', 'platform'] "), seen
        assert seen[-2].endswith("platform noted\n")
        assert seen[-1] == "arguments ['--set', 'output=/two words']\n"
        attached.send_signal(signal.SIGINT)
        code, out, err = ended(attached)
        assert code == 130
        assert "the job goes on: " + last in err
        assert "Traceback" not in err
        assert client.get_job_status(identity) == JobStatus.RUNNING

        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "go").touch()
        written: list[str] = []
        end = follow(connect(address), identity, written.append)
        assert (end.status, end.code) == ("FAILED", 7)
        assert "".join(written) == "".join(seen) + "going\n"

        code, out, err = ended(command(operator_environment, "jobs", "--cluster", address))
        assert code == 0, err
        (row,) = [line for line in out.splitlines() if line.split()[:1] == [identity]]
        assert "FAILED" in row
        assert "python jobs/wait.py mine.yaml --set 'output=/two words'" in row

    def test_a_broken_connection_is_made_again_and_nothing_is_lost_or_doubled(
        self,
        address: str,
        client: JobSubmissionClient,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("truelead.cluster.following.RETRY_SECONDS", 0.05)
        go = tmp_path / "go"
        program = tmp_path / "counts.py"
        program.write_text(
            "import pathlib, time\nfor n in range(60): print(n, flush=True)\n"
            f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\nprint('end')\n",
            encoding="utf-8",
        )
        identity = client.submit_job(entrypoint=f"{sys.executable} {program}")
        connected = connect(address)
        whole = connected.tail_job_logs
        breaks = iter([1, 2])

        async def breaking(job: str) -> Any:
            """Breaks off after one part (of at most ten lines), then after two, then not."""
            left = next(breaks, None)
            if left is None:
                go.touch()
            elif left == 0:
                raise TimeoutError
            async for part in whole(job):
                yield part
                left = None if left is None else left - 1
                if left == 0:
                    raise RuntimeError("WebSocket connection closed unexpectedly")

        monkeypatch.setattr(connected, "tail_job_logs", breaking)
        written: list[str] = []
        assert follow(connected, identity, written.append).code == 0
        assert go.exists(), "the connection was not broken twice"
        assert "".join(written) == client.get_job_logs(identity)
        assert "".join(written).endswith("".join(f"{n}\n" for n in range(60)) + "end\n")

        # Where nothing can be followed, the log is there once the job has ended.
        breaks = iter([0])
        written = []
        assert follow(connected, identity, written.append).code == 0
        assert "".join(written) == client.get_job_logs(identity)

    def test_a_job_that_does_not_exist(self, address: str, client: JobSubmissionClient) -> None:
        with pytest.raises(ClusterError, match=r"nobody-sent-this: expected a job .* found none"):
            follow(connect(address), "nobody-sent-this", print)

    def test_the_token_is_asked_for(
        self,
        address: str,
        client: JobSubmissionClient,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        other = tmp_path / "other"
        other.write_text("0" * 64, encoding="ascii")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(other))
        with pytest.raises(ClusterError, match=r"another one was sent \(403\)"):
            connect(address)
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        with pytest.raises(ClusterError, match=r"none was sent \(401\): set RAY_AUTH_MODE"):
            connect(address)


class TestWithoutACluster:
    def test_nobody_answers(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ClusterError, match="expected the dashboard of a Ray cluster to"):
                connect(closed)

    def test_somebody_answers_too_late(
        self, silent_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("truelead.cluster.address.ANSWER_WITHIN_SECONDS", 0.2)
        before = time.monotonic()
        with pytest.raises(ClusterError, match=r"within 0.2 s, found ReadTimeout"):
            connect(silent_server)
        assert time.monotonic() - before < 5

    def test_another_service_answers(self, other_service: str) -> None:
        with pytest.raises(ClusterError, match=r"found another service \(200\)"):
            connect(other_service)

    @pytest.mark.parametrize("content", [None, "", "two\nlines", "tokené"])
    def test_an_unusable_token_file_is_named_and_never_shown(
        self, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "token"
        if content is not None:
            path.write_text(content, encoding="utf-8")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
        with pytest.raises(ConfigError, match=r"^token: expected") as caught:
            connect("http://127.0.0.1:1")
        assert content is None or not content or content not in str(caught.value)

    def test_where_the_address_comes_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match="RAY_API_SERVER_ADDRESS or RAY_ADDRESS"):
            cluster_address(None)
        monkeypatch.setenv("RAY_ADDRESS", "http://one:8265/")
        assert cluster_address(None) == "http://one:8265"
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://two:8265")
        assert cluster_address(None) == "http://two:8265"
        assert cluster_address("https://three") == "https://three"

    @pytest.mark.parametrize(
        "address", ["auto", "10.0.0.1:6379", "ray://head:10001", "http://", "http://head:port"]
    )
    def test_an_address_of_something_else(self, address: str) -> None:
        with pytest.raises(ConfigError, match="expected the dashboard's address"):
            cluster_address(address)

    def test_an_address_with_a_password_is_refused_and_not_repeated(self) -> None:
        with pytest.raises(ConfigError) as caught:
            cluster_address("http://me:secret@head:8265")
        assert "secret" not in str(caught.value)


class TestWhatIsSent:
    def test_every_program_of_jobs_can_be_named(self) -> None:
        names = job_names(REPOSITORY)
        assert names == [*sorted(p.stem for p in (REPOSITORY / "jobs").glob("*.py")), "sweep"]
        for name in set(names) - {"sweep", "study"}:
            assert entrypoint(Work(name, TINY), REPOSITORY) == (
                f"python jobs/{name}.py jobs/recipes/tiny.yaml"
            )

    def test_arguments_are_quoted_for_the_shell(self) -> None:
        work = Work("pretrain", TINY, ("output=a; rm -rf $HOME",), arm="debiased")
        assert entrypoint(work, REPOSITORY) == (
            "python jobs/pretrain.py jobs/recipes/tiny.yaml --arm debiased "
            "--set 'output=a; rm -rf $HOME'"
        )

    def test_a_sweep_has_its_space(self) -> None:
        space = REPOSITORY / "tune" / "spaces" / "projection-clip.yaml"
        assert entrypoint(Work("sweep", TINY, space=space), REPOSITORY) == (
            "python tune/sweep.py --recipe jobs/recipes/tiny.yaml "
            "--space tune/spaces/projection-clip.yaml"
        )
        with pytest.raises(ConfigError, match="--space: expected with the job sweep"):
            entrypoint(Work("sweep", TINY), REPOSITORY)

    @pytest.mark.parametrize(
        ("work", "expected"),
        [
            (Work("pretrian", TINY), r"job: expected one of evaluate, .*, found 'pretrian'"),
            (Work("../evil", TINY), "job: expected one of"),
            (Work("evaluate", TINY, arm="debiased"), "--arm: expected the job pretrain or"),
            (Work("pretrain", TINY, arm="nobody"), "nobody"),
            (Work("pretrain", TINY, ("pretrain.stepz=3",)), "did you mean 'steps'"),
            (Work("pretrain", TINY.with_name("none.yaml")), "expected a file, found none"),
        ],
        ids=["no job", "no file name", "no arm", "another arm", "a wrong key", "no recipe"],
    )
    def test_what_is_wrong_is_said_before_anything_is_sent(self, work: Work, expected: str) -> None:
        with pytest.raises(ConfigError, match=expected):
            entrypoint(work, REPOSITORY)

    def test_paths(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert travelling_path(tree / "mine.yaml", tree) == "mine.yaml"
        # Only the cluster sees it.
        assert travelling_path(Path("/shared/mine.yaml"), tree) == "/shared/mine.yaml"
        (tree / "runs" / "best.yaml").touch()
        with pytest.raises(ConfigError, match="keeps runs/ out"):
            travelling_path(tree / "runs" / "best.yaml", tree)
        monkeypatch.chdir(tree.parent)
        with pytest.raises(ConfigError, match="expected a file of the working tree"):
            travelling_path(Path("elsewhere.yaml"), tree)

    def test_an_output_that_goes_with_the_job_is_told(self, recipe: Path) -> None:
        assert vanishing_output(Work("ingest", TINY)) == Path("runs/tiny")
        assert vanishing_output(Work("ingest", recipe)) is None

    def test_another_folder_is_no_working_tree(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="expected a checkout of TrueLead"):
            job_names(tmp_path)

    def test_variables(self) -> None:
        assert parse_variables(["A=1", "B_2=x=y", "C="]) == {"A": "1", "B_2": "x=y", "C": ""}
        for wrong in ("A", "=1", "A B=1", "1A=2"):
            with pytest.raises(ConfigError, match="--env: expected NAME=VALUE"):
                parse_variables([wrong])


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def other_service() -> Iterator[str]:
    """An HTTP service that is no dashboard of Ray."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=5)


def test_the_commands_are_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "truelead.cli", "submit", "ingest"],
        cwd=REPOSITORY,
        env={**os.environ, "RAY_ADDRESS": "auto"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cluster: expected the dashboard's address")
