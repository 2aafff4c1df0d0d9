"""Who may come in, and what every answer carries.

The console has one key, the token of the state directory, as a link that `sightline serve` prints. A browser
turns it into a cookie once; programs send it as a bearer token. Names other than the console's own are
refused, so that a web page elsewhere cannot reach it by pointing its own name at this machine.
"""

import base64
import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.wire.sealing import read_secret, write_secret

TOKEN_CHARACTERS = 43
OPEN_PATHS = frozenset({"/healthz", "/login"})

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def make_or_load_token(path: Path) -> str:
    """Load the console's token, or make one, readable by its owner alone."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32).encode())
    return read_secret(path, TOKEN_CHARACTERS).decode("ascii", "replace")


class Pass:
    """Recognises the token, and the cookie that stands for it."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token.encode()
        # Cookies know no ports: without this, two centres on one machine would sign each other out.
        self.cookie_name = f"sightline-{port}"
        self.cookie_value = hmac.new(self._token, b"sightline console cookie", hashlib.sha256).hexdigest()

    def opens(self, token: str) -> bool:
        """Return whether this is the token."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

    def admits(self, headers: Headers) -> bool:
        """Return whether a request carries the token or its cookie."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.opens(token.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self.cookie_value.encode())


class Gate:
    """Stands before every route: host, token, headers."""

    def __init__(self, app: ASGIApp, *, admission: Pass, hosts: frozenset[str], locked_page: str) -> None:
        self._app = app
        self._pass = admission
        self._hosts = hosts
        self._locked_page = locked_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through with its answer's headers set."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("this console answers to its own name only\n", status_code=421)
        if scope["path"] in OPEN_PATHS or self._pass.admits(headers):
            return None
        return locked(self._locked_page, page="text/html" in headers.get("accept", ""))


def locked(page_text: str, *, page: bool) -> Response:
    """Answer somebody who has not shown the token."""
    challenge = {"WWW-Authenticate": 'Bearer realm="sightline"'}
    if page:
        challenge["Content-Security-Policy"] = _locked_csp(page_text)
        return HTMLResponse(page_text, status_code=401, headers=challenge)
    return JSONResponse({"error": "unauthorized"}, status_code=401, headers=challenge)


def _locked_csp(page_text: str) -> str:
    """Allow this one page its own style, by digest: nothing else is served to strangers."""
    style = page_text.partition("<style>")[2].partition("</style>")[0]
    digest = hashlib.sha256(style.encode()).digest()
    return (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(digest).decode()}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
