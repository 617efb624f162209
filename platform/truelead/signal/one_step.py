"""Write a file in one step: whoever reads it sees the old content or the new, never a half."""

from __future__ import annotations

import os
from pathlib import Path


def write_in_one_step(path: Path, content: bytes) -> Path:
    """Write beside `path`, then rename; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two writers of one set from sharing the unfinished file.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
