"""One answer to a camera's question who is asking: HTTP Digest (RFC 7616, RFC 2069) and Basic (RFC 7617).

Our own rather than httpx's, since it must choose: the strongest digest that is offered (in FIPS mode MD5 is not),
Basic only where the connection is encrypted, and never a second try.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edge.camera.credentials import Credentials

_TOKEN = re.compile(
    r'(?P<name>[\w-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))|(?P<scheme>[A-Za-z][\w-]*)'
)
_DIGESTS: dict[str, Callable[[bytes], str]] = {
    # MD5 is what most cameras offer; it is no worse than what they would do without.
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}
_STRENGTH = tuple(_DIGESTS)


@dataclass(frozen=True)
class Challenge:
    """One way in which a server lets itself be convinced."""

    scheme: str
    """In lower case: digest, basic."""
    parameters: dict[str, str]
    """Their names in lower case."""

    @property
    def algorithm(self) -> str:
        """Return the digest's algorithm, without the mark of a session."""
        return self.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")

    @property
    def session(self) -> bool:
        """Say whether the secret is hashed once more, for this session."""
        return self.parameters.get("algorithm", "").upper().endswith("-SESS")

    @property
    def usable(self) -> bool:
        """Say whether this digest is one that we know."""
        offered = self.parameters.get("qop", "auth")
        known = {"realm", "nonce"} <= self.parameters.keys() and self.algorithm in _DIGESTS
        return self.scheme == "digest" and known and "auth" in re.split(r"[\s,]+", offered)


def challenges(headers: Sequence[str]) -> Iterator[Challenge]:
    """Read the WWW-Authenticate headers of an answer; each may hold several challenges."""
    for header in headers:
        scheme, parameters = "", dict[str, str]()
        for token in _TOKEN.finditer(header):
            if token["scheme"]:
                if scheme:
                    yield Challenge(scheme, parameters)
                scheme, parameters = token["scheme"].lower(), {}
            else:
                quoted = token["quoted"]
                value = token["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters[token["name"].lower()] = value
        if scheme:
            yield Challenge(scheme, parameters)


def authorisation(
    headers: Sequence[str], credentials: Credentials, *, method: str, target: str, secure: bool, cnonce: str
) -> bytes | None:
    """Return the Authorization header for a request; None where there is no safe way.

    `target` is the path with its query, as in the request line; `cnonce` a random number of ours.
    """
    offered = list(challenges(headers))
    digests = sorted((each for each in offered if each.usable), key=lambda each: _STRENGTH.index(each.algorithm))
    if digests:
        return _digest(digests[-1], credentials, method, target, cnonce).encode()
    if secure and any(each.scheme == "basic" for each in offered):
        return b"Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode())
    return None


def _digest(challenge: Challenge, credentials: Credentials, method: str, target: str, cnonce: str) -> str:
    said = challenge.parameters
    digest = _DIGESTS[challenge.algorithm]
    secret = digest(f"{credentials.username}:{said['realm']}:{credentials.password}".encode())
    if challenge.session:
        secret = digest(f"{secret}:{said['nonce']}:{cnonce}".encode())
    what = digest(f"{method}:{target}".encode())
    shown = {"username": credentials.username, "realm": said["realm"], "nonce": said["nonce"], "uri": target}
    plain = {"algorithm": said["algorithm"]} if "algorithm" in said else {}
    if "qop" in said:
        response = digest(f"{secret}:{said['nonce']}:00000001:{cnonce}:auth:{what}".encode())
        plain |= {"qop": "auth", "nc": "00000001"}
        shown["cnonce"] = cnonce
    else:
        response = digest(f"{secret}:{said['nonce']}:{what}".encode())
        if challenge.session:
            shown["cnonce"] = cnonce
    shown["response"] = response
    if "opaque" in said:
        shown["opaque"] = said["opaque"]
    parts = [f'{name}="{_quoted(value)}"' for name, value in shown.items()]
    return "Digest " + ", ".join(parts + [f"{name}={value}" for name, value in plain.items()])


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")
