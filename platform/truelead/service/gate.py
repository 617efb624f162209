"""The gate before the application: who may ask, and how much may be sent.

Both are checked before a request is parsed, and before its whole body is in memory.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from truelead.errors import ServiceError
from truelead.service.access import Access
from truelead.service.wire import ErrorDetail, ErrorResponse

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Asked by machines that watch the service; they tell nothing but that it is there."""

KINDS: dict[int, str] = {
    400: "invalid-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    422: "invalid-request",
    503: "unavailable",
    504: "timeout",
}


def error_response(status: int, message: str, kind: str = "") -> JSONResponse:
    """The body of every refusal, in its one form."""
    kind = kind or KINDS.get(status, "error" if status >= 500 else "invalid-request")
    body = ErrorResponse(error=ErrorDetail(status=status, kind=kind, message=message))
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=headers)


class Gate:
    """ASGI middleware that lets a permitted request of permitted size through, or refuses it.

    Args:
        app: behind the gate.
        access: the rule of who may ask.
        maximum_body_bytes: of one request.
    """

    def __init__(self, app: ASGIApp, *, access: Access, maximum_body_bytes: int) -> None:
        self.app = app
        self.access = access
        self.maximum_body_bytes = maximum_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body already read, or answer 401, 403, 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            if scope["path"] not in OPEN_PATHS:
                client = scope.get("client")
                self.access.check(headers, client[0] if client else None)
            body = await self._body(headers, receive)
        except ServiceError as error:
            await error_response(error.status, str(error))(scope, receive, send)
            return
        if body is None:
            return  # the caller has gone
        await self.app(scope, _replay(body, receive), send)

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


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
