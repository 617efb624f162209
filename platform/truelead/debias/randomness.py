"""Random numbers that depend on a key alone, so that any worker repeats any draw."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*key: str | int) -> np.random.Generator:
    """A generator seeded by the key, the same on every machine and Python process.

    Args:
        key: words and whole numbers; ("a", "b") and ("ab",) are different keys.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in key:
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest.digest(), "little")))
