"""The gate before the application: who may ask, how many at once, and how much may be sent.

All are checked before a request is parsed, and before its whole body is in memory.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from truelead.errors import ServiceError
from truelead.service.access import Access
from truelead.service.arriving import Arriving
from truelead.service.wire import ErrorDetail, ErrorResponse

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Asked by machines that watch the service; they tell nothing but that it is there."""

PAGE_PATH, PAGE_PREFIX = "/", "/page/"
"""Files of the web page, which tell nothing either; what its script asks passes the gate."""

KINDS: dict[int, str] = {
    400: "invalid-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "overloaded",
    503: "unavailable",
    504: "timeout",
}


def error_response(status: int, message: str, kind: str = "") -> JSONResponse:
    """The body of every refusal, in its one form."""
    kind = kind or KINDS.get(status, "error" if status >= 500 else "invalid-request")
    detail = ErrorDetail(status=status, kind=kind, type=kind, code=kind, message=message)
    body = ErrorResponse(error=detail)
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=headers)


class Gate:
    """ASGI middleware that lets a permitted request of permitted size through, or refuses it.

    Args:
        app: behind the gate.
        access: the rule of who may ask.
        maximum_body_bytes: of one request.
        maximum_in_flight: requests that wait or are answered; more are refused, unread.
        allowed_origins: web origins, beside the service's own, whose pages may ask.
        arriving: counts the requests that have not reached the model yet.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        maximum_body_bytes: int,
        maximum_in_flight: int,
        allowed_origins: Collection[str] = (),
        arriving: Arriving | None = None,
    ) -> None:
        self.app = app
        self.access = access
        self.maximum_body_bytes = maximum_body_bytes
        self.maximum_in_flight = maximum_in_flight
        self.allowed_origins = frozenset(allowed_origins)
        self.arriving = Arriving() if arriving is None else arriving
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body already read, or answer 401, 403, 413, 429."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in OPEN_PATHS:
            await self._pass(scope, receive, send)
            return
        if self._in_flight >= self.maximum_in_flight:
            busy = f"service: {self.maximum_in_flight} requests are in flight, ask again later"
            await error_response(429, busy)(scope, receive, send)
            return
        self._in_flight += 1
        try:
            with self.arriving.request():
                await self._pass(scope, receive, send)
        finally:
            self._in_flight -= 1

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = Headers(scope=scope)
            if not _is_open(scope["path"]):
                client = scope.get("client")
                self.access.check(headers, client[0] if client else None)
                self._check_origin(headers)
            body = await self._body(headers, receive)
        except ServiceError as error:
            await error_response(error.status, str(error))(scope, receive, send)
            return
        if body is None:
            return  # the caller has gone
        async with self.arriving.turn(len(body)):
            await self.app(scope, _replay(body, receive), send)

    def _check_origin(self, headers: Headers) -> None:
        """A page of another origin may not ask through its visitor's browser.

        CORS keeps such a page from reading an answer, not from sending a question.

        Raises:
            ServiceError: 403 for another origin.
        """
        origin = headers.get("origin")
        if origin is None or origin in self.allowed_origins:
            return
        # Of the same host behind a proxy that ends TLS, the scheme may differ.
        if urlsplit(origin).netloc != headers.get("host", ""):
            raise ServiceError("origin: expected a page of this service", status=403)

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        claimed = headers.get("content-length", "0")
        if not claimed.isdecimal():
            raise ServiceError("content-length: expected a number", status=400)
        # Digits are counted first: a number of thousands of digits is not worth converting.
        if len(claimed) > 18 or int(claimed) > self.maximum_body_bytes:
            raise self._too_large()
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self.maximum_body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> ServiceError:
        return ServiceError(
            f"body: expected at most {self.maximum_body_bytes} bytes, found more", status=413
        )


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path == PAGE_PATH or path.startswith(PAGE_PREFIX)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
