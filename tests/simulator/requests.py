"""What RTSP and HTTP have in common: a request, an answer, and digest authentication."""

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass

_REALM = "AXIS_SIMULATED"
_MAX_BODY = 64 * 1024


@dataclass(frozen=True)
class Request:
    """A request line and its headers, their names in lower case."""

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the address without scheme, host and query."""
        return re.sub(r"^[a-z]+://[^/]*", "", self.uri).partition("?")[0]


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request, skipping interleaved packets of the client; None at the end."""
    while (first := await reader.read(1)) == b"$":
        header = await reader.readexactly(3)
        await reader.readexactly(int.from_bytes(header[1:], "big"))
    if not first:
        return None
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.rstrip("\r\n").split("\r\n")
    pairs = (each.partition(":") for each in rest)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(min(int(headers.get("content-length", "0")), _MAX_BODY))
    method, uri, _ = line.split(" ", 2)
    return Request(method, uri, headers, body)


def answer(protocol: str, status: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Write an answer."""
    lines = [f"{protocol} {status}", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Gate:
    """Digest authentication (RFC 2069, as cameras still offer it)."""

    def __init__(self, username: str | None, password: str = "") -> None:
        self.username, self.password = username, password
        self._nonce = secrets.token_hex(16)
        self.refused = 0
        """How often somebody came with wrong credentials."""

    def challenge(self) -> dict[str, str]:
        """Return the header that asks for credentials."""
        return {"WWW-Authenticate": f'Digest realm="{_REALM}", nonce="{self._nonce}"'}

    def admits(self, request: Request) -> bool:
        """Check what the client says; without a user name everybody is let in."""
        if self.username is None:
            return True
        said = dict(re.findall(r'(\w+)="([^"]*)"', request.headers.get("authorization", "")))
        who = _md5(f"{self.username}:{_REALM}:{self.password}")
        what = _md5(f"{request.method}:{said.get('uri', '')}")
        right = said.get("response") == _md5(f"{who}:{self._nonce}:{what}")
        self.refused += bool(said) and not right
        return right


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
