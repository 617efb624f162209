"""What one request may hold; all of it is checked before the model sees anything."""

from __future__ import annotations

MAXIMUM_BODY_BYTES = 16 * 2**20
"""Default of the service's `maximum_body_bytes`; two 2-minute ECGs at 1,000 Hz fit."""

MAXIMUM_ECGS = 2
MAXIMUM_QUESTION_CHARACTERS = 1_000
MAXIMUM_OPTIONS = 32
MAXIMUM_OPTION_CHARACTERS = 200
MAXIMUM_HEADER_BYTES = 65_536

MINIMUM_SAMPLING_RATE = 50.0
MAXIMUM_SAMPLING_RATE = 10_000.0
MINIMUM_SECONDS = 1.0
MAXIMUM_SECONDS = 120.0
MAXIMUM_SAMPLES = 120_000
"""Of one lead."""

MAXIMUM_MILLIVOLTS = 1_000.0
"""Far above any ECG; a larger value is a wrong unit or a wrong gain."""
