"""One line a request: its route, status, time and id, to the log and to the metrics.

Nothing that was sent is recorded: not the path (only the route's pattern), not the address of the
caller, not an id of the caller's own.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from collections.abc import Set

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from truelead.service.gate import error_response
from truelead.service.metrics import ServiceMetrics
from truelead.service.unexpected import as_service_error

LOGGER_NAME = "truelead.service.requests"
UNMATCHED = "unmatched"
_GONE = 499
"""Status, by the custom of web servers, of a request whose caller left before the answer."""
_LOGGER = logging.getLogger(LOGGER_NAME)


class RequestRecord:
    """ASGI middleware around everything else; gives each request an id and measures it.

    Args:
        app: what is measured.
        metrics: take the counts.
        routes: patterns of all routes without parameters, which a refused request is named by.
    """

    def __init__(self, app: ASGIApp, *, metrics: ServiceMetrics, routes: Set[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with an `X-Request-ID`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, started, status = uuid.uuid4().hex, time.monotonic(), 0
        # A new mapping: the server may hand the same one to every request.
        state = scope.get("state", {})
        scope["state"] = {**state, "request_id": request_id, "started": started}

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        self.metrics.begin()
        try:
            await self.app(scope, receive, named)
        except Exception as error:  # noqa: BLE001  # the last one who can keep its text to himself
            found = as_service_error(error)
            if status:
                raise ConnectionAbortedError("an answer was broken off") from None
            await error_response(found.status, str(found))(scope, receive, named)
        finally:
            seconds = time.monotonic() - started
            route = self._route(scope)
            self.metrics.end(route, status or _GONE, seconds)
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "route": route,
                "status": status or _GONE,
                "milliseconds": round(1000 * seconds, 1),
                "request_id": request_id,
            }
            _LOGGER.info("%s", json.dumps(line))

    def _route(self, scope: Scope) -> str:
        if scope["path"] in self.routes:
            return str(scope["path"])
        return str(getattr(scope.get("route"), "path", UNMATCHED))


def log_requests() -> None:
    """Let the lines go to standard error, one JSON object each; called once a process."""
    if not _LOGGER.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
