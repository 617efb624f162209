"""HTTP requests to a set's server: redirects, credentials and failures under one policy.

HTTP semantics: RFC 9110. A redirect never carries credentials to another origin (scheme, host and
port) and never leads from https to http. Bodies are taken as they come over the wire: nothing is
decompressed, so a small answer cannot grow. Messages never hold an address, which may be signed.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import httpx

from truelead import __version__
from truelead.data.fetch.credentials import (
    PASSWORD_VARIABLE,
    USER_VARIABLE,
    Credentials,
    find_credentials,
)
from truelead.data.fetch.problems import FetchFailure, Interruption
from truelead.data.fetch.retry import Patience, parse_retry_after
from truelead.data.fetch.sets import EcgSet
from truelead.errors import ConfigError

MAXIMUM_REDIRECTS = 5
Origin = tuple[str, str, int]
_PORTS = {"http": 80, "https": 443}
_BUSY = {408, 425, 429}
_REFUSED = {401, 403}


class Session:
    """Connections to one set's server, shared by the threads that download from it."""

    def __init__(self, ecg_set: EcgSet, patience: Patience, connections: int) -> None:
        """Credentials are looked up at once for a credentialed set, else when the server asks.

        Raises:
            FetchFailure: the set needs credentials and there are none.
            ConfigError: credentials are incomplete, or would travel unencrypted.
        """
        self._set = ecg_set
        self._patience = patience
        self._home = origin_of(ecg_set.files_url)
        self._lock = threading.Lock()
        self._asked = False
        self._credentials: Credentials | None = None
        if ecg_set.access == "credentialed" and self._find_credentials() is None:
            raise FetchFailure(self._access_hint("needs an approved account"))
        self._client = httpx.Client(
            verify=_tls(),
            follow_redirects=False,
            timeout=httpx.Timeout(patience.stall_seconds, pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            headers={
                "User-Agent": f"truelead/{__version__}",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def open(
        self, url: str, *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer to a request, its body unread; status 200, 206 or 416.

        Raises:
            Interruption: broken or stalled connection, 5xx, 408, 425, 429; also while the body
                is read inside the block.
            FetchFailure: another status, or a redirect that must not be followed.
        """
        try:
            response = self._send(method, url, headers or {})
            try:
                yield response
            finally:
                response.close()
        except httpx.InvalidURL as error:
            raise FetchFailure("the address is not valid") from error
        except httpx.TimeoutException as error:
            raise Interruption(f"no bytes for {self._patience.stall_seconds:g} s") from error
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise FetchFailure("the server's TLS certificate is not valid") from error
            raise Interruption("cannot connect") from error
        except httpx.TransportError as error:
            raise Interruption("connection broken") from error

    def _send(self, method: str, url: str, headers: dict[str, str]) -> httpx.Response:
        for _ in range(MAXIMUM_REDIRECTS + 1):
            response = self._send_once(method, url, headers)
            if not (300 <= response.status_code < 400 and "location" in response.headers):
                return self._checked(response)
            response.close()
            url = _redirected(url, response.headers["location"])
        raise FetchFailure(f"more than {MAXIMUM_REDIRECTS} redirects")

    def _send_once(self, method: str, url: str, headers: dict[str, str]) -> httpx.Response:
        at_home = origin_of(url) == self._home
        credentials = self._credentials if at_home else None
        response = self._client.send(self._request(method, url, headers, credentials), stream=True)
        if response.status_code in _REFUSED and at_home and credentials is None:
            credentials = self._find_credentials()
            if credentials is not None:
                response.close()
                request = self._request(method, url, headers, credentials)
                response = self._client.send(request, stream=True)
        return response

    def _request(
        self, method: str, url: str, headers: dict[str, str], credentials: Credentials | None
    ) -> httpx.Request:
        if credentials is not None:
            headers = {**headers, "Authorization": credentials.header()}
        return self._client.build_request(method, url, headers=headers)

    def _checked(self, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status in {200, 206, 416}:
            return response
        response.close()
        if status in _BUSY or status >= 500:
            raise Interruption(
                f"server answered {status}",
                retry_after_seconds=parse_retry_after(response.headers.get("retry-after")),
            )
        if status in _REFUSED:
            refused = "refused the account" if self._credentials else "wants an account"
            raise FetchFailure(self._access_hint(f"{refused} (status {status})"))
        raise FetchFailure(f"server answered {status}")

    def _find_credentials(self) -> Credentials | None:
        with self._lock:
            if not self._asked:
                self._asked = True
                found = find_credentials(self._home[1])
                if found is not None and self._home[0] != "https" and not _is_loopback(self._home):
                    raise ConfigError("credentials: expected an https URL, they would be readable")
                self._credentials = found
            return self._credentials

    def _access_hint(self, why: str) -> str:
        return (
            f"{self._set.name}: {why}: get access at {self._set.page}, then set {USER_VARIABLE} "
            f"and {PASSWORD_VARIABLE}, or add {self._home[1]} to ~/.netrc"
        )


@cache
def _tls() -> ssl.SSLContext:
    """Certificates are read once a process, which takes longer than many a small download."""
    return httpx.create_ssl_context()


def origin_of(url: str) -> Origin:
    """Scheme, host and port of an http(s) URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads.

    Raises:
        FetchFailure: to no web address, to one with a password in it, or from https to http.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and "@" not in parts.netloc
        httpx.URL(target)
        _ = parts.port
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise FetchFailure("redirect refused: not a plain http(s) address")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise FetchFailure("redirect refused: from https to http")
    return target


def _is_loopback(origin: Origin) -> bool:
    try:
        return origin[1] == "localhost" or ip_address(origin[1]).is_loopback
    except ValueError:
        return False
