"""Where an Axis camera is, as a person types it."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from edge.errors import OperatorError

_HOST = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?"
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Device:
    """The web server of one camera."""

    scheme: Literal["http", "https"]
    host: str
    """A name, an IPv4 or an IPv6 address, the latter without brackets."""
    port: int

    @property
    def secure(self) -> bool:
        """Say whether what is sent can be read by the camera alone."""
        return self.scheme == "https"

    @property
    def netloc(self) -> str:
        """Return host and, where it is not the usual one, port, as an address has them."""
        return bracketed(self.host) + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def place(self) -> str:
        """Return the address of its first page: for messages and for browsers."""
        return f"{self.scheme}://{self.netloc}"


def bracketed(host: str) -> str:
    """Write a host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def read_device(text: str, *, secure: bool = False) -> Device:
    """Understand HOST, HOST:PORT, http://HOST[:PORT] and https://HOST[:PORT]; bare hosts are `secure` or not."""
    usual = "https" if secure else "http"
    whole = text if "://" in text else f"{usual}://{_bare(text)}"
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    else:
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            host = ""
    scheme: Literal["http", "https"] = "https" if whole.startswith("https://") else "http"
    if not whole.startswith(f"{scheme}://") or not _HOST.fullmatch(host) or port == 0:
        raise OperatorError("this is not a camera's host", hint="use HOST, HOST:PORT, or https://HOST[:PORT]")
    return Device(scheme, host, port or _PORTS[scheme])


def _bare(text: str) -> str:
    """Put brackets around an IPv6 address that was typed without."""
    return f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
