"""Who may ask: the bearer of the token, or without one only programs on this machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from truelead.errors import ConfigError, ServiceError

MINIMUM_TOKEN_CHARACTERS = 16


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    host = host.strip().lower().strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_sha256(token: str) -> str:
    """What is kept of a token: its SHA-256, hexadecimal.

    Raises:
        ConfigError: the token is too short to be a secret, or no visible ASCII text.
    """
    token = token.strip()
    if len(token) < MINIMUM_TOKEN_CHARACTERS or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"token: expected at least {MINIMUM_TOKEN_CHARACTERS} ASCII characters "
            "(make one with `openssl rand -hex 32`)"
        )
    return hashlib.sha256(token.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Access:
    """The rule of one service.

    Attributes:
        token_sha256: of the token that a caller must bear; empty where none is asked for.
    """

    token_sha256: str = ""

    def check(self, headers: Mapping[str, str], client: str | None) -> None:
        """Let a caller pass, or not.

        Without a token, only this machine may ask: the connection must come from a loopback
        address, and the name asked for must be a loopback name, so that a web page elsewhere
        cannot ask through a visitor's browser by pointing its own name here.

        Args:
            headers: of the request, names in lower case.
            client: address that the connection comes from.

        Raises:
            ServiceError: 401 without a token, 403 with a wrong one or from elsewhere.
        """
        if not self.token_sha256:
            host = _without_port(headers.get("host", "localhost"))
            if client is None or not is_loopback(client) or not is_loopback(host):
                raise ServiceError(
                    "access: expected a caller on this machine, as the service has no token",
                    status=403,
                )
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise ServiceError("authorization: expected 'Bearer <token>'", status=401)
        found = hashlib.sha256(token.strip().encode("utf-8", errors="replace")).hexdigest()
        if not hmac.compare_digest(found, self.token_sha256):
            raise ServiceError("authorization: expected the service's token", status=403)


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdecimal() else host
