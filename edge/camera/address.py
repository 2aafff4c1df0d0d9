"""A camera's address, kept apart from its password."""

import re
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from edge.camera.credentials import Credentials, read_credentials
from edge.errors import OperatorError

# HOST[:PORT][/PATH]
_PLACE = re.compile(r"(\[[^\]]*\]|[^:/\[]*)(:\d*)?(/.*)?")
STREAMS = ("rtsp", "rtsps", "http", "https")


def is_address(source: str) -> bool:
    """Tell an address from a path."""
    return "://" in source


def without_secrets(source: str) -> str:
    """Shorten an address to what may be written anywhere: no user, no password, no query."""
    if not is_address(source):
        return source
    scheme, _, rest = source.partition("://")
    return f"{scheme}://{_apart(rest)[1]}"


def holds_password(source: str) -> bool:
    """Tell whether a password stands in an address, for all to read who can read the address."""
    return is_address(source) and ":" in _apart(source.partition("://")[2])[0]


def _apart(rest: str) -> tuple[str, str]:
    """Split what follows the scheme into who logs in, and host with path.

    By hand, since a malformed address has to be nameable too, such as one whose password holds an @, / or ?.
    """
    before = rest.partition("?")[0]
    who, at, place = before.rpartition("@")
    if at and (":" in who or "/" not in who):
        return who, place
    if not at and "@" in rest and not _PLACE.fullmatch(before):
        return rest.rpartition("@")[0], ""
    return "", before


@dataclass(frozen=True)
class Address:
    """Where a stream is, and how to be let in."""

    place: str
    """Scheme, host, port and path: for messages."""
    scheme: str
    _bare: str = field(repr=False)
    _username: str | None = field(repr=False)
    _password: str = field(repr=False)

    def url(self) -> str:
        """Return the whole address with the password, for the decoder only."""
        if self._username is None:
            return self._bare
        scheme, _, rest = self._bare.partition("://")
        return f"{scheme}://{quote(self._username, safe='')}:{quote(self._password, safe='')}@{rest}"

    def with_login(self, credentials: Credentials) -> Self:
        """Return the same place, to be entered with these."""
        return replace(self, _username=credentials.username, _password=credentials.password)

    @property
    def has_password(self) -> bool:
        """Say whether there is anything to log in with."""
        return self._username is not None


def read_address(source: str, credentials_file: str | None) -> Address:
    """Take an address apart; a credentials file goes before what the address says."""
    place = without_secrets(source)
    parts = _split(source, place)
    username, password = _from_address(parts)
    if credentials_file is not None:
        credentials = read_credentials(credentials_file)
        username, password = credentials.username, credentials.password
    host = parts.netloc.rpartition("@")[2]
    return Address(place, parts.scheme, parts._replace(netloc=host).geturl(), username, password)


def _split(source: str, place: str) -> SplitResult:
    try:
        parts = urlsplit(source)
        usable = parts.scheme in STREAMS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text repeats the address, password included
        usable = False
    if not usable:
        raise OperatorError(
            f"{place} is not a camera's address",
            hint="use rtsp://HOST[:PORT]/PATH, or http(s):// for MJPEG",
        )
    return parts


def _from_address(parts: SplitResult) -> tuple[str | None, str]:
    if parts.username is None:
        return None, ""
    return unquote(parts.username), unquote(parts.password or "")
