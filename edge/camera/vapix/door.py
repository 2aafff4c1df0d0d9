"""The one door to an Axis camera's web server: httpx, a login, limits; its trouble in our words.

An exception of httpx holds the request, and that the login. So none leaves this file, not even as the context of
ours: ours is raised after the handler has ended.
"""

import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from edge.camera.address import without_secrets
from edge.camera.certificate import context_for, fingerprint_of
from edge.camera.credentials import Credentials
from edge.camera.errors import CameraError, untrusted
from edge.camera.vapix import errors
from edge.camera.vapix.device import Device
from edge.camera.vapix.login import authorisation

_REFUSED, _FORBIDDEN = 401, 403
# Of what breaks the protocol httpx says in words alone whether it is an end or nonsense.
_HUNG_UP = ("closed connection", "disconnected")
# The first kind that is among an error and its causes says what happened.
_TROUBLE: tuple[tuple[tuple[type[Exception], ...], Callable[[str], CameraError]], ...] = (
    ((httpx.TimeoutException, TimeoutError), errors.silent),
    ((ssl.SSLError,), errors.no_tls),
    ((ConnectionRefusedError,), errors.refused),
    ((httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError), errors.hung_up),
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long an answer may take, and how long it may be."""

    step_s: float = 4.0
    """Seconds to connect, and between two pieces of an answer."""
    whole_s: float = 8.0
    """Seconds for a whole call, its login included."""


@dataclass(frozen=True)
class Call:
    """One question."""

    what: str
    """What is asked for, in words."""
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """JSON; None: there is nothing to post."""
    login: bool = False
    """Log in if the camera wants it; else ask as anybody may."""
    at_most_bytes: int = 256 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back with HTTP status 200."""

    body: bytes
    date: str
    """When it was written by the camera's clock (the header Date), or empty."""
    logged_in: bool
    """The camera wanted the password and took it."""


@dataclass(frozen=True)
class _Raw:
    status: int
    headers: httpx.Headers
    body: bytes


class Door:
    """One camera's web server, as a context manager; for one thread."""

    def __init__(
        self, device: Device, credentials: Credentials | None, ca_file: Path | None, patience: Patience
    ) -> None:
        self.device = device
        self._credentials, self._ca_file, self._patience = credentials, ca_file, patience
        self._client: httpx.Client | None = None
        self._socket: socket.socket | None = None
        self._refused = self._admitted = False

    def __enter__(self) -> Self:
        """Wait for the first call to connect."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()

    def ask(self, call: Call) -> Answer:
        """Ask once; whatever is no answer is a CameraError."""
        if call.login and self._refused:
            raise errors.login_refused(self.device.place)
        trouble: CameraError | None = None
        late = threading.Event()
        try:
            with self._cut_off(late):
                return self._asked(call)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            trouble = self._trouble(error, late=late.is_set())
        raise trouble

    def _asked(self, call: Call) -> Answer:
        raw = self._send(call)
        logged_in = False
        if raw.status == _REFUSED:
            if "vapix" in raw.headers.get("axis-setup", ""):
                raise errors.factory_new(self.device.place)
            raw = self._send(call, self._login(call, raw.headers))
            logged_in = True
        self._judge(call, raw)
        self._admitted = self._admitted or logged_in
        return Answer(raw.body, raw.headers.get("date", ""), logged_in)

    def _login(self, call: Call, headers: httpx.Headers) -> bytes:
        place = self.device.place
        if not call.login or self._credentials is None:
            raise errors.login_missing(place)
        header = authorisation(
            headers.get_list("www-authenticate"),
            self._credentials,
            method="GET" if call.body is None else "POST",
            target=_url(self.device, call).raw_path.decode("ascii"),
            secure=self.device.secure,
            cnonce=secrets.token_hex(16),
        )
        if header is None:
            raise errors.login_unsafe(place)
        return header

    def _judge(self, call: Call, raw: _Raw) -> None:
        """Raise what every status but success means."""
        place = self.device.place
        if raw.status in {_REFUSED, _FORBIDDEN} and (self._admitted or raw.status == _FORBIDDEN):
            raise errors.not_allowed(place, call.what)
        if raw.status == _REFUSED:
            self._refused = True
            raise errors.login_refused(place)
        if 300 <= raw.status < 400:
            raise errors.redirected(place, _place_of(raw.headers.get("location", "")))
        if raw.status in {404, 405, 410, 501}:
            raise errors.absent(place, call.what)
        if raw.status != 200:
            raise errors.answered(place, raw.status)

    def _send(self, call: Call, login: bytes | None = None) -> _Raw:
        headers = {b"Accept-Encoding": b"identity", b"User-Agent": b"sightline"}
        if call.body is not None:
            headers[b"Content-Type"] = b"application/json"
        if login is not None:
            headers[b"Authorization"] = login
        with self._connected().stream(
            "GET" if call.body is None else "POST",
            _url(self.device, call),
            content=call.body,
            headers=headers,
            extensions={"trace": self._traced},
        ) as response:
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                if len(body) > call.at_most_bytes:
                    raise errors.too_large(self.device.place, call.at_most_bytes)
            return _Raw(response.status_code, response.headers, bytes(body))

    def _connected(self) -> httpx.Client:
        if self._client is None:
            device, step_s = self.device, self._patience.step_s
            # Without encryption nothing is verified; this context knows nobody and would refuse all.
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if device.secure:
                verify = context_for(device.host, device.port, self._ca_file, timeout_s=step_s)
            # Neither a proxy nor anything else of the environment's: the camera is asked, directly.
            self._client = httpx.Client(verify=verify, trust_env=False, follow_redirects=False, timeout=step_s)
        return self._client

    @contextmanager
    def _cut_off(self, late: threading.Event) -> Iterator[None]:
        """End a call that takes too long in all, however little it is silent in between."""

        def cut() -> None:
            late.set()
            if self._socket is not None and self._socket.fileno() >= 0:
                # Of the base class: an encrypted socket's own would wait for the peer.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

        timer = threading.Timer(self._patience.whole_s, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _traced(self, event: str, info: Mapping[str, Any]) -> None:
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = info["return_value"].get_extra_info("socket")

    def _trouble(self, error: Exception, *, late: bool) -> CameraError:
        place = self.device.place
        if late:
            return errors.silent(place)
        if isinstance(error, httpx.RemoteProtocolError) and not any(words in str(error) for words in _HUNG_UP):
            return errors.garbage(place, "us")
        causes = list(_causes(error))
        if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
            return untrusted(
                place, fingerprint_of(self.device.host, self.device.port, timeout_s=self._patience.step_s)
            )
        for kinds, told in _TROUBLE:
            if any(isinstance(each, kinds) for each in causes):
                return told(place)
        return errors.unreachable(place)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _url(device: Device, call: Call) -> httpx.URL:
    return httpx.URL(f"{device.place}{call.path}", params=dict(call.query) or None)


def _place_of(location: str) -> str:
    """Shorten where a camera sends us to what may be shown."""
    return without_secrets(location) if location else "another address"
