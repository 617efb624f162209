"""An error that nobody expected, in the log: its kind and where it arose, never its text.

Its text may hold what was sent: a question, a name. Servers log whole tracebacks of what reaches
them, so such an error ends in our own hands.
"""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

from truelead.errors import ServiceError

_LOGGER = logging.getLogger("truelead.service")


def as_service_error(error: Exception) -> ServiceError:
    """Log the error; what the caller is told instead (500)."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    _LOGGER.error("%s", json.dumps({"unexpected": type(error).__name__, "frames": frames}))
    return ServiceError("service: an unexpected error; it has been logged", status=500)
