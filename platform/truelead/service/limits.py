"""What one request may hold; all of it is checked before the model sees anything."""

from __future__ import annotations

MAXIMUM_BODY_BYTES = 16 * 2**20
"""Default of the service's `maximum_body_bytes`; two 2-minute ECGs at 1,000 Hz fit."""

MAXIMUM_IN_FLIGHT = 192
"""Default of the requests that wait or are answered at once."""

MAXIMUM_ECGS = 2
MAXIMUM_QUESTION_CHARACTERS = 1_000
MAXIMUM_OPTIONS = 32
MAXIMUM_OPTION_CHARACTERS = 200
MAXIMUM_HEADER_BYTES = 65_536
MAXIMUM_FILES = 8
"""Of a form: two WFDB records may have several signal files."""
MAXIMUM_FORM_FIELDS = 64
MAXIMUM_FILE_NAME_CHARACTERS = 1_024
MAXIMUM_STATED_LEADS = 64
MAXIMUM_LEAD_NAME_CHARACTERS = 64
MAXIMUM_MESSAGES = 64
MAXIMUM_EMBEDDED_ECGS = 16
MAXIMUM_DEADLINE_SECONDS = 3_600.0

MINIMUM_SAMPLING_RATE = 50.0
MAXIMUM_SAMPLING_RATE = 10_000.0
MINIMUM_SECONDS = 1.0
MAXIMUM_SECONDS = 120.0
MAXIMUM_SAMPLES = 120_000
"""Of one lead."""

MAXIMUM_MILLIVOLTS = 1_000.0
"""Far above any ECG; a larger value is a wrong unit or a wrong gain."""
