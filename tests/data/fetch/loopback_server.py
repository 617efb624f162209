"""A web server on loopback that misbehaves on demand: each misdeed is one queued answer."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

PIECE_BYTES = 8192


class LoopbackServer:
    """Files by path, and what to do wrong.

    Attributes:
        files: path ("/set/a.dat") -> content.
        queue: path -> misdeeds, one a GET; an empty queue serves well.
        always: path -> misdeed of every GET.
        etags: path -> ETag; default: from the content.
        requests: every (method, path, headers) in order.
        sent: path -> body bytes written.
        seconds_a_piece: slows every body down.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.queue: dict[str, deque[str]] = defaultdict(deque)
        self.always: dict[str, str] = {}
        self.etags: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.password: tuple[str, str] | None = None
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.sent: Counter[str] = Counter()
        self.seconds_a_piece = 0.0
        self.most_at_once = 0
        self.stopping = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self, body=True)

            def do_HEAD(self) -> None:
                server.answer(self, body=False)

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.stopping.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def publish(self, folder: str, files: dict[str, bytes]) -> str:
        """A set in PhysioNet's layout below `/folder/`; returns its URL."""
        lines = []
        for name, content in files.items():
            self.files[f"/{folder}/{name}"] = content
            lines.append(f"{hashlib.sha256(content).hexdigest()} {name}\n")
        self.files[f"/{folder}/SHA256SUMS.txt"] = "".join(lines).encode()
        return f"{self.url}/{folder}/"

    def gets(self, path: str) -> list[dict[str, str]]:
        """Headers of the GET requests for a path."""
        return [
            headers for method, asked, headers in self.requests if (method, asked) == ("GET", path)
        ]

    def answer(self, handler: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = unquote(handler.path)
        with self._lock:
            self.requests.append((handler.command, path, dict(handler.headers.items())))
            misdeed = ""
            if body:
                misdeed = (
                    self.queue[path].popleft() if self.queue[path] else self.always.get(path, "")
                )
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self._answer(handler, path, misdeed, body)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, misdeed: str, body: bool) -> None:
        if path in self.redirects:
            return self._plain(handler, 302, {"Location": self.redirects[path]})
        if self.password is not None:
            wanted = "Basic " + base64.b64encode(":".join(self.password).encode()).decode()
            if handler.headers.get("Authorization") != wanted:
                return self._plain(handler, 401, {"WWW-Authenticate": 'Basic realm="set"'})
        if misdeed.isdigit():
            return self._plain(handler, int(misdeed), {"Retry-After": "0"})
        if misdeed.startswith("retry-after "):
            return self._plain(handler, 429, {"Retry-After": misdeed.split()[1]})
        if path not in self.files:
            return self._plain(handler, 404, {})
        content = self.files[path]
        if misdeed == "wrong bytes":
            content = bytes(byte ^ 255 for byte in content)
        etag = self.etags.get(path, f'"{hashlib.md5(content).hexdigest()}"')  # noqa: S324
        if misdeed.startswith(("etag ", "careless etag ")):
            etag = misdeed.rpartition(" ")[2]
        start = self._start(handler, "" if misdeed.startswith("careless") else etag)
        if misdeed == "ignore range":
            start = 0
        if start >= len(content) and start:
            return self._plain(handler, 416, {"Content-Range": f"bytes */{len(content)}"})
        announced = len(content) - start
        if misdeed == "announce more":
            announced += 1000
        elif misdeed == "announce less":
            announced -= 1000
        handler.send_response(206 if start else 200)
        if start:
            shown = start + 1 if misdeed == "other range" else start
            handler.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        handler.send_header("ETag", etag)
        if misdeed == "chunked":
            handler.send_header("Transfer-Encoding", "chunked")
        elif misdeed != "no length":
            handler.send_header("Content-Length", str(announced))
        if misdeed in {"no length", "announce more", "announce less", "break", "stall"}:
            handler.send_header("Connection", "close")
        handler.end_headers()
        if body:
            self._body(handler, path, content[start:], misdeed)
        return None

    def _body(
        self, handler: BaseHTTPRequestHandler, path: str, content: bytes, misdeed: str
    ) -> None:
        half = len(content) // 2
        for i in range(0, len(content), PIECE_BYTES):
            piece = content[i : i + PIECE_BYTES]
            if misdeed in {"break", "stall"} and i + len(piece) > half:
                piece = piece[: max(0, half - i)]
            if misdeed == "chunked":
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            else:
                handler.wfile.write(piece)
            with self._lock:
                self.sent[path] += len(piece)
            if misdeed in {"break", "stall"} and i + PIECE_BYTES > half:
                handler.wfile.flush()
                if misdeed == "stall":
                    self.stopping.wait(5)
                break
            if self.seconds_a_piece:
                time.sleep(self.seconds_a_piece)
        if misdeed == "chunked":
            handler.wfile.write(b"0\r\n\r\n")
        if misdeed in {"no length", "announce more", "announce less", "break", "stall"}:
            handler.close_connection = True

    def _start(self, handler: BaseHTTPRequestHandler, etag: str) -> int:
        """First byte that is asked for; 0 where If-Range names another version."""
        asked = handler.headers.get("Range", "")
        condition = handler.headers.get("If-Range")
        if not asked or (etag and condition is not None and condition != etag):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _plain(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@contextmanager
def loopback_server() -> Iterator[LoopbackServer]:
    """A running server; closed at the end."""
    server = LoopbackServer()
    try:
        yield server
    finally:
        server.close()
