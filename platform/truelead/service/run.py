"""Start and stop the service on this machine."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from truelead.errors import ConfigError, ServiceError
from truelead.service.access import is_loopback, token_sha256

APPLICATION = "truelead"
READY_WITHIN_SECONDS = 180.0


def serve_model(
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    block: bool = True,
    arguments: Mapping[str, Any] | None = None,
) -> str:
    """Serve the model of a folder over HTTP.

    Args:
        folder: of the model.
        host: address to listen on; beyond loopback a token is needed.
        port: to listen on.
        token: that callers must bear; None: only this machine may ask.
        block: serve until interrupted (Ctrl-C), then stop; otherwise return once ready.
        arguments: further arguments of `truelead.service.application.build`.

    Returns:
        The service's address, such as "http://127.0.0.1:8000".

    Raises:
        ConfigError: another host than loopback without a token; the port is taken; the cluster
            already serves; an argument is not accepted.
        ModelError: the folder holds no model.
        ServiceError: the service does not come up.
    """
    if not is_loopback(host) and not token:
        raise ConfigError(
            f"host: expected 127.0.0.1, or a token (TRUELEAD_TOKEN) to serve on {host}"
        )
    _check_port(host, port)
    tree: dict[str, Any] = {**(arguments or {}), "model": str(folder)}
    if token:
        tree["token_sha256"] = token_sha256(token)
    tree.setdefault("door", {"host": host, "port": port})

    from truelead.data.ray_session import ensure_ray

    ensure_ray()
    from ray import serve
    from ray.exceptions import RayError

    from truelead.service.application import build

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    application = build(tree)
    found = serve.status()
    if found.proxies or found.applications:
        raise ConfigError("service: expected a cluster that serves nothing yet, found Serve on it")
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    url = address(host, port)
    try:
        serve.start(
            # The ingress replicas listen themselves.
            proxy_location="Disabled",
            logging_config=quiet,
        )
        serve.run(application, name=APPLICATION, route_prefix="/", logging_config=quiet)
        _wait_until_ready(url)
    except (RuntimeError, RayError, TimeoutError) as error:
        stop()
        reason = " ".join(str(error).split())[:300]
        raise ServiceError(
            f"service: expected to start, found {type(error).__name__}: {reason}", status=503
        ) from error
    except BaseException:
        stop()
        raise
    if block:
        _until_interrupted(url)
    return url


def stop() -> None:
    """Stop serving; requests in flight are let go. Nothing is left of Serve in the cluster."""
    from ray import serve

    serve.shutdown()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def address(host: str, port: int) -> str:
    """The address under which this machine reaches a service that listens on `host`."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _check_port(host: str, port: int) -> None:
    if not 1 <= port <= 65_535:
        raise ConfigError(f"port: expected 1 to 65535, found {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        # As servers do: a port whose last connections are still closing is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port: expected one that can be listened on, {host}:{port} cannot: "
                f"{error.strerror or error}"
            ) from None


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    with httpx.Client(timeout=10, trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(f"{url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                # The proxy is not listening yet.
                time.sleep(0.1)
            else:
                time.sleep(0.1)
    raise ServiceError(
        f"{url}: expected a ready service within {READY_WITHIN_SECONDS:g} s", status=503
    )


def _until_interrupted(url: str) -> None:
    from rich.console import Console

    from truelead.service.wire_base import NOTICE

    Console().print(f"serving on {url} (POST /v1/ask; Ctrl-C ends it). {NOTICE}")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        Console().print("stopping")
    finally:
        stop()
