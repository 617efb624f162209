"""A whole download: list, plan, room, then files in parallel until all are right or given up."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from truelead.data.durable import durable_file
from truelead.data.fetch.checksums import RemoteFile
from truelead.data.fetch.download import Transfer, download
from truelead.data.fetch.listing import CHECKSUMS_FILE, Listing, read_listing
from truelead.data.fetch.names import WORK_FOLDER, destination
from truelead.data.fetch.plan import Plan, make_plan
from truelead.data.fetch.problems import Stopped
from truelead.data.fetch.progress import DownloadProgress
from truelead.data.fetch.retry import Patience, Pause
from truelead.data.fetch.session import Session
from truelead.data.fetch.sets import EcgSet
from truelead.data.fetch.space import need_space
from truelead.errors import DataError, ResourceError

MAXIMUM_CONNECTIONS = 32
_FULL = {errno.ENOSPC, errno.EDQUOT}
# A stalled connection is not waited for at the end: its part on disk is good as it is.
_JOIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What to fetch and how.

    Attributes:
        only: glob patterns over names in the set (`*` also crosses `/`); empty for all.
        dry_run: list and plan, but fetch nothing.
    """

    only: tuple[str, ...] = ()
    connections: int = 4
    patience: Patience = field(default_factory=Patience)
    dry_run: bool = False


@dataclass(slots=True)
class FetchResult:
    """What a run did.

    Attributes:
        failed: name -> reason, one line each.
        received_bytes: bytes of files that came over the network in this run.
    """

    plan: Plan
    fetched: int = 0
    received_bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def fetch_set(
    ecg_set: EcgSet,
    root: Path,
    options: FetchOptions | None = None,
    *,
    console: Console | None = None,
    announce: Callable[[Plan], None] = lambda plan: None,
) -> FetchResult:
    """Bring the files of a set below `root`; run again, it goes on where it was.

    Args:
        root: folder that receives the files under their listed names.
        announce: told the plan before the first file is fetched.

    Raises:
        FetchFailure: the list of files cannot be had, or credentials are missing.
        DataError: the list is damaged or names a place outside `root`; another run holds `root`.
        ConfigError: `options.only` fits no file, or credentials are incomplete.
        ResourceError: the disk has no room.
    """
    try:
        return _fetch(ecg_set, root, options or FetchOptions(), console, announce)
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceError(f"{root}: the disk is full") from error
        raise DataError(f"{error.filename or root}: cannot be written: {error.strerror}") from error


def _fetch(
    ecg_set: EcgSet,
    root: Path,
    options: FetchOptions,
    console: Console | None,
    announce: Callable[[Plan], None],
) -> FetchResult:
    pause = Pause()
    session = Session(ecg_set, options.patience, options.connections)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _work_folder(root) as work_folder:
            listing = read_listing(
                ecg_set, session, work_folder, options.only, options.patience, pause
            )
            plan = make_plan(listing, root, work_folder, session, pause, options.connections)
            announce(plan)
            result = FetchResult(plan)
            if options.dry_run:
                return result
            if plan.bytes_total is not None:
                need_space(root, plan.bytes_total - plan.bytes_present, ecg_set.name)
            _keep_checksums(listing, root)
            with DownloadProgress(console or Console(quiet=True), plan) as progress:
                _Run(listing, root, work_folder, session, options, pause, progress, result).go()
            return result
    finally:
        session.close()


class _Run:
    """Threads that take files from one list until it is empty or the run stops."""

    def __init__(
        self,
        listing: Listing,
        root: Path,
        work_folder: Path,
        session: Session,
        options: FetchOptions,
        pause: Pause,
        progress: DownloadProgress,
        result: FetchResult,
    ) -> None:
        self._listing = listing
        self._connections = options.connections
        self._pause = pause
        self._progress = progress
        self._result = result
        self._files: Iterator[RemoteFile] = iter(result.plan.missing)
        self._lock = threading.Lock()
        self._fatal: BaseException | None = None
        self._transfer = Transfer(
            root, work_folder, session, options.patience, pause, progress.bytes, self._received
        )

    def go(self) -> None:
        """Fetch all; an error that concerns every file, or Ctrl-C, ends the run."""
        threads = [
            threading.Thread(target=self._work, name=f"fetch-{i}", daemon=True)
            for i in range(min(self._connections, len(self._result.plan.missing)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self._pause.stop()
            for thread in threads:
                thread.join(_JOIN_SECONDS)
            raise
        if self._fatal is not None:
            raise self._fatal

    def _work(self) -> None:
        try:
            while (file := self._next()) is not None:
                self._one(file)
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            with self._lock:
                self._fatal = self._fatal or error
            self._pause.stop()

    def _next(self) -> RemoteFile | None:
        self._pause.check()
        with self._lock:
            return next(self._files, None)

    def _one(self, file: RemoteFile) -> None:
        try:
            download(file, self._listing.url(file), self._transfer)
        except DataError as error:
            self._failed(file, str(error))
        except OSError as error:
            if error.errno in _FULL:
                raise ResourceError(f"{file.name}: the disk is full") from error
            self._failed(file, f"cannot be written: {error.strerror}")
        else:
            with self._lock:
                self._result.fetched += 1
        self._progress.file()

    def _failed(self, file: RemoteFile, reason: str) -> None:
        with self._lock:
            self._result.failed[file.name] = reason

    def _received(self, count: int) -> None:
        with self._lock:
            self._result.received_bytes += count


@contextmanager
def _work_folder(root: Path) -> Iterator[Path]:
    """The folder of unfinished downloads, held for this run; removed once nothing is unfinished.

    Raises:
        DataError: another run holds it, or something else has its name.
    """
    folder = root / WORK_FOLDER
    if folder.is_symlink():
        raise DataError(f"{folder}: expected a folder, found a link")
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{root}: expected no other download into it, found one") from None
        if not _is_at(folder / "lock", descriptor):
            raise DataError(f"{root}: another download just ended there; try again")
        try:
            yield folder
        finally:
            (folder / "listing").unlink(missing_ok=True)
            if {entry.name for entry in folder.iterdir()} <= {"lock"}:
                shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one at `path`, and not one that was removed since."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _keep_checksums(listing: Listing, root: Path) -> None:
    """Store SHA256SUMS.txt beside the files, so that `sha256sum -c` can verify them later."""
    if listing.ecg_set.listing == "sha256sums":
        with durable_file(destination(root, CHECKSUMS_FILE)) as temporary:
            shutil.copyfile(listing.path, temporary)
