"""File names that a server sent: where they may be written, and where not.

A list of checksums is data from outside. A name in it that leaves the folder ("../x", "/x", "C:x",
a symbolic link on the way) is refused before anything is written (CWE-22, CWE-59).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from truelead.data.durable import flush_folder
from truelead.errors import DataError

WORK_FOLDER = ".fetch"
MAXIMUM_COMPONENT_BYTES = 255
MAXIMUM_NAME_BYTES = 1024
_SHOWN_CHARACTERS = 80
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:")


def safe_name(name: str, where: object) -> str:
    """`name` as a relative path with `/`, without a leading `./`.

    Raises:
        DataError: it could lead outside the folder, or holds what no file name should.
    """
    name = name.removeprefix("./")
    fault = _fault(name)
    if fault:
        shown = ascii(name[:_SHOWN_CHARACTERS])
        raise DataError(f"{where}: expected file names inside the set, found {fault}: {shown}")
    return name


def _fault(name: str) -> str:
    components = name.split("/")
    if not name:
        return "an empty name"
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
        return "a control character"
    if "\\" in name or _WINDOWS_DRIVE.match(name):
        return "a Windows path"
    if name.startswith("/"):
        return "an absolute path"
    if ".." in components:
        return "a way out of the folder"
    if "" in components or "." in components:
        return "an empty or dot component"
    if components[0].casefold() == WORK_FOLDER:
        return "the folder of unfinished downloads"
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "a name that is not text"
    if len(encoded) > MAXIMUM_NAME_BYTES or any(
        len(component.encode("utf-8")) > MAXIMUM_COMPONENT_BYTES for component in components
    ):
        return "a name that is too long"
    return ""


def destination(root: Path, name: str) -> Path:
    """Where a safe name lies below `root`.

    Raises:
        DataError: the file, or a folder on the way, is a symbolic link or something special.
    """
    path = root
    components = name.split("/")
    for i, component in enumerate(components):
        path = path / component
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            break
        wanted = stat.S_ISREG if i == len(components) - 1 else stat.S_ISDIR
        if not wanted(mode):
            kind = "file" if wanted is stat.S_ISREG else "folder"
            raise DataError(f"{name}: expected {path.name} to be a {kind}, found a link or other")
    return root / name


def make_folders(root: Path, path: Path) -> None:
    """Make the folders from `root` to the parent of `path`, each flushed to disk.

    Raises:
        DataError: one of them is a symbolic link.
    """
    folder = root
    for component in path.relative_to(root).parts[:-1]:
        parent, folder = folder, folder / component
        try:
            os.mkdir(folder)
        except FileExistsError:
            if folder.is_symlink() or not folder.is_dir():
                raise DataError(f"{folder.name}: expected a folder, found a link or file") from None
        else:
            flush_folder(parent)
