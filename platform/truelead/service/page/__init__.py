"""The web page: static files beside this module, served by the application itself.

The page's own script asks the same routes as any other caller. Nothing is loaded from elsewhere,
and the Content-Security-Policy (W3C, CSP Level 3) lets nothing be: no inline script or style, no
frame around the page, no form that leaves it, and no markup made of text (Trusted Types).
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parent
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # The browser asks each time whether a file changed: after an update, all fit together.
    "Cache-Control": "no-cache",
}


def page_routes(api: FastAPI) -> None:
    """Serve `index.html` under "/" and the other files of this folder under "/page/".

    The files are listed once: a name in a request picks one of them and never becomes a path.
    """
    files = {path.name: path for path in sorted(FOLDER.iterdir()) if path.suffix in MEDIA_TYPES}

    def send(name: str) -> FileResponse:
        path = files.get(name)
        if path is None:
            raise HTTPException(404, "no such file")
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)

    @api.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return send("index.html")

    @api.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> FileResponse:
        return send(name)
