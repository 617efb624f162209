"""User name and password for sets that need an account: environment, netrc, or a prompt.

Never a command-line option (the process list shows those) and never part of a URL.
"""

from __future__ import annotations

import base64
import getpass
import netrc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from truelead.errors import ConfigError

USER_VARIABLE = "TRUELEAD_FETCH_USER"
PASSWORD_VARIABLE = "TRUELEAD_FETCH_PASSWORD"  # noqa: S105


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What HTTP Basic authentication (RFC 7617) sends; never shown by repr."""

    user: str
    password: str

    def header(self) -> str:
        """Value of the Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")

    def __repr__(self) -> str:
        return "Credentials(hidden)"


def find_credentials(host: str) -> Credentials | None:
    """Credentials for a host: environment, then netrc, then a prompt on a terminal.

    Raises:
        ConfigError: only one of the two variables is set, or netrc cannot be read.
    """
    user, password = os.environ.get(USER_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
    if user and password:
        return _checked(user, password)
    if user or password:
        raise ConfigError(f"environment: expected both {USER_VARIABLE} and {PASSWORD_VARIABLE}")
    return _from_netrc(host) or _from_prompt(host)


def _from_netrc(host: str) -> Credentials | None:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    if not path.is_file():
        return None
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        # The parser's own message may repeat a token of the file.
        raise ConfigError(
            f"{path}: expected a netrc file that only its owner can read (chmod 600)"
        ) from None
    if entry is None or not entry[0] or not entry[2]:
        return None
    return _checked(entry[0], entry[2])


def _from_prompt(host: str) -> Credentials | None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    sys.stderr.write(f"user name at {host}: ")
    sys.stderr.flush()
    user = sys.stdin.readline().strip()
    password = getpass.getpass(f"password at {host}: ") if user else ""
    return _checked(user, password) if user and password else None


def _checked(user: str, password: str) -> Credentials:
    if ":" in user:
        raise ConfigError("user name: expected one without a colon")
    return Credentials(user, password)
