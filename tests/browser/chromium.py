"""A headless Chromium, driven over the Chrome DevTools Protocol (version 1.3).

Only what the page's test needs: one page, its script's values, real key and pointer events, files,
the window's size, pictures, and everything that the browser complains about.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_START_SECONDS = 20.0


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One browser with one page; a context manager.

    Attributes:
        complaints: what the browser wrote to its console: errors, warnings, violations of the
            Content-Security-Policy, exceptions that nobody caught, and requests that failed.
    """

    def __init__(self, program: str) -> None:
        self.complaints: list[str] = []
        self._program = program
        self._numbers = itertools.count(1)
        self._session = ""
        self._open = ExitStack()

    def __enter__(self) -> Chromium:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium_", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                self._program,
                "--headless",
                # Containers lack the rights that its sandbox needs; the page is our own.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--no-first-run",
                "--no-proxy-server",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._profile.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._socket = self._open.enter_context(self._connect())
            target = self._send("Target.createTarget", url="about:blank")["targetId"]
            attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "DOM"):
                self._send(f"{domain}.enable")
            self.prefer_dark(False)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    def _connect(self) -> connect:
        """The browser writes its port and path into its profile once it listens."""
        note = Path(self._profile.name, "DevToolsActivePort")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            lines = note.read_text(encoding="ascii").split() if note.is_file() else []
            if len(lines) == 2:
                url = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
                return connect(url, max_size=2**26, compression=None, proxy=None)
            if self._process.poll() is not None:
                raise RuntimeError(f"Chromium ended with {self._process.returncode}")
            time.sleep(0.05)
        raise RuntimeError(f"Chromium did not listen within {_START_SECONDS:g} s")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            found = json.loads(self._socket.recv(timeout=30))
            if found.get("id") == number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                result: dict[str, Any] = found["result"]
                return result
            self._note(found)

    def _note(self, event: dict[str, Any]) -> None:
        content = event.get("params", {})
        match event.get("method"):
            case "Log.entryAdded":
                entry = content["entry"]
                if entry["level"] in {"warning", "error"}:
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
            case "Runtime.exceptionThrown":
                details = content["exceptionDetails"]
                thrown = details.get("exception", {}).get("description", "")
                self.complaints.append(f"{details['text']} {thrown}")
            case "Runtime.consoleAPICalled" if content["type"] in {"warning", "error", "assert"}:
                self.complaints.append(str([one.get("value") for one in content["args"]]))

    def open(self, url: str, ready: str) -> None:
        """Load a page and wait until the expression `ready` holds in it."""
        self._send("Page.navigate", url=url)
        self.wait(ready)

    def value(self, expression: str) -> Any:
        """The JSON value of an expression in the page, awaited where it is a promise."""
        found = self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"]["exception"].get("description"))
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 15.0) -> None:
        """Until the expression holds in the page.

        Raises:
            AssertionError: it did not become so in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.value(f"Boolean({expression})"):
                    return
            except AssertionError:
                pass  # such as of an element that is not there yet
            time.sleep(0.03)
        raise AssertionError(f"not within {seconds:g} s: {expression}; {self.complaints}")

    def text(self, selector: str) -> str:
        """Text of an element as it is rendered."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Click an element as a pointer does: in its middle, with nothing in front of it."""
        x, y = self.value(
            f"""(() => {{
                const found = document.querySelector({json.dumps(selector)});
                found.scrollIntoView({{block: "center", behavior: "instant"}});
                const box = found.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        self.drag((x, y), (x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one place of the window and let go at another, in CSS pixels."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self._send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                buttons=int(kind != "mouseReleased"),
                clickCount=1,
            )

    def press(self, key: str, times: int = 1, *, shift: bool = False) -> None:
        """Press a key: one character, or a name such as "Tab", "Enter", "ArrowRight"."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self._send(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    windowsVirtualKeyCode=codes.get(key, ord(key[0].upper())),
                    modifiers=8 if shift else 0,
                    **({"text": text} if text and kind == "keyDown" else {}),
                )

    def type(self, text: str) -> None:
        """Put text in where the focus is, as an input method does."""
        self._send("Input.insertText", text=text)

    def choose_files(self, selector: str, paths: Sequence[Path]) -> None:
        """What a reader picks in the dialogue of a file field."""
        root = self._send("DOM.getDocument")["root"]["nodeId"]
        found = self._send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._send("DOM.setFileInputFiles", nodeId=found, files=[str(path) for path in paths])

    def resize(self, width: int, height: int, *, density: float = 1.0, phone: bool = False) -> None:
        """Give the window another size, in CSS pixels."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=density,
            mobile=phone,
        )

    def prefer_dark(self, dark: bool) -> None:
        """What `prefers-color-scheme` says."""
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            # What moves by itself would have to be waited for.
            "prefers-reduced-motion": "reduce",
        }
        self._send(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def picture(self, **options: Any) -> bytes:
        """A PNG of the window."""
        return base64.b64decode(
            self._send("Page.captureScreenshot", format="png", **options)["data"]
        )
