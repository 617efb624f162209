"""Download ECG sets: every file verified against its published checksum, resumable, in parallel.

A known set is one line in `KNOWN_SETS`; any folder with a `SHA256SUMS.txt` can be named by URL.
"""

from __future__ import annotations

from truelead.data.fetch.run import FetchOptions, FetchResult, fetch_set
from truelead.data.fetch.sets import KNOWN_SETS, EcgSet, resolve_set

__all__ = ["KNOWN_SETS", "EcgSet", "FetchOptions", "FetchResult", "fetch_set", "resolve_set"]
