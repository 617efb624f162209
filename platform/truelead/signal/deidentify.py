"""Pseudonyms for what identifies a patient.

A pseudonym is HMAC-SHA256 of the identifier under a secret key (RFC 2104; keyed hashing as ISO
25237 asks for): whoever lacks the key can neither turn it back nor try out likely identifiers. Set
`TRUELEAD_PSEUDONYM_KEY` to the same secret wherever pseudonyms must agree; without it each process
draws a key of its own, and its pseudonyms agree only with each other.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets

from truelead.errors import ConfigError

KEY_VARIABLE = "TRUELEAD_PSEUDONYM_KEY"
"""Environment variable that holds the secret, as text of at least 16 characters."""

SHORTEST_KEY = 16

_KEY_OF_THIS_PROCESS = secrets.token_bytes(32)


def pseudonym_key() -> bytes:
    """The secret of the environment, or else a random one that lasts as long as the process.

    Raises:
        ConfigError: the environment's secret is shorter than 16 characters.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    if not text:
        return _KEY_OF_THIS_PROCESS
    if len(text) < SHORTEST_KEY:
        raise ConfigError(f"{KEY_VARIABLE}: expected at least {SHORTEST_KEY} characters")
    return text.encode("utf-8")


def pseudonym(identifier: str, key: bytes | None = None) -> str:
    """32 hexadecimal digits that stand for an identifier.

    Args:
        identifier: what names the patient in the source; "" stays "", for "unknown".
        key: the secret; `pseudonym_key()` where None.
    """
    if not identifier:
        return ""
    secret = pseudonym_key() if key is None else key
    return hmac.new(secret, identifier.encode("utf-8"), hashlib.sha256).hexdigest()[:32]
