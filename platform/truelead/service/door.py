"""The service's own door: HTTP straight into the ingress replica, past Serve's proxy.

Serve's proxy reads a request, pickles it for the ingress replica and streams the answer back; for a
body of 120 kB that costs several times what the rest of the service does. Behind the door the
replica's own server (uvicorn) reads the request. Several ingress replicas on one machine listen on
the same port (SO_REUSEPORT): the kernel spreads new connections over them, and over those that are
left when one ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from truelead.errors import ServiceError

OPEN_WITHIN_SECONDS = 30.0
DRAIN_SECONDS = 10


class Door:
    """A server of an application in a thread of this process.

    Args:
        app: what answers. host, port: to listen on.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = _listener(host, port)
        # The application's start and end are Serve's; it must not begin twice.
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)

    def open(self) -> None:
        """Listen, and return once requests are taken.

        Raises:
            ServiceError: the server did not start.
        """
        self._thread.start()
        deadline = time.monotonic() + OPEN_WITHIN_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ServiceError("door: expected a server that starts, found none", status=503)
            time.sleep(0.01)

    def close(self) -> None:
        """Take no more connections, answer what has been asked, and end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(DRAIN_SECONDS + 5)
        with contextlib.suppress(OSError):
            self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"door: expected an address that can be listened on: {error.strerror}", status=503
        ) from None
    listener.setblocking(False)
    return listener
