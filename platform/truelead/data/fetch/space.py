"""Room on the disk: asked before a download starts, and again before each file."""

from __future__ import annotations

import shutil
from pathlib import Path

from truelead.errors import ResourceError

# Left to the system: a full disk breaks more than the download.
RESERVE_BYTES = 64 << 20


def need_space(folder: Path, needed: int, what: str) -> None:
    """Check that `needed` bytes fit into the file system of `folder`.

    Raises:
        ResourceError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if needed + RESERVE_BYTES > free:
        raise ResourceError(
            f"{folder}: {what}: expected {show_bytes(needed)} free and "
            f"{show_bytes(RESERVE_BYTES)} to spare, found {show_bytes(free)}"
        )


def show_bytes(count: int) -> str:
    """A size in decimal units, as publishers and disks state it."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
