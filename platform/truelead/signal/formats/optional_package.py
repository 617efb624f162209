"""Packages of the extra `formats`, imported when a file needs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from truelead.errors import UnsupportedFormat


def optional_package(name: str, *, where: object) -> ModuleType:
    """The package, which `pip install 'truelead[formats]'` brings.

    Args:
        name: as it is imported.
        where: the file that needs it.

    Raises:
        UnsupportedFormat: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnsupportedFormat(
            where,
            field="reader",
            expected=f"the package {name} (pip install 'truelead[formats]')",
            found="none installed",
        ) from error
