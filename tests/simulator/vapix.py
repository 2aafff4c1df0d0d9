"""The simulated camera as one of Axis: VAPIX over HTTP and HTTPS, its logins, its lock-out, its bad days."""

import asyncio
import hashlib
import json
import re
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.simulator.background import Camera, attended
from tests.simulator.camera import HOST, SimulatedCamera
from tests.simulator.requests import Gate, Request, read_request
from tests.simulator.web import MJPEG_PATH, SNAPSHOT_PATH, WebConnection

WHO, READY = "/axis-cgi/basicdeviceinfo.cgi", "/axis-cgi/systemready.cgi"
PARAM, PROFILES, TIME = "/axis-cgi/param.cgi", "/axis-cgi/streamprofile.cgi", "/axis-cgi/time.cgi"

SERIAL = "B8A44F123456"
IDENTITY = {
    "Brand": "AXIS",
    "ProdNbr": "P3265-LVE",
    "ProdFullName": "AXIS P3265-LVE Dome Camera",
    "SerialNumber": SERIAL,
    "Version": "11.9.60",
}
PROPERTIES = IDENTITY | {
    "Soc": "Axis Artpec-8",
    "Architecture": "aarch64",
    "HardwareID": "9A7",
    "BuildDate": "Jan 15 2025",
}
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
# Twenty failures in a second, then ten seconds during which nobody from that address is let in.
_FAILURES, _WITHIN_S, _BLOCKED_S = 20, 1.0, 10.0


class AxisGate(Gate):
    """Digest with MD5 and SHA-256, Basic, and the lock-out."""

    def __init__(self, username: str | None, password: str = "", *, offers: tuple[str, ...] = ("MD5",)) -> None:
        super().__init__(username, password)
        self.offers = offers
        """Of MD5, SHA-256, Basic, in the order in which they are offered; RTSP always offers MD5."""
        self.logins: list[str] = []
        """Every Authorization header that came."""
        self.clock = time.monotonic
        self._failures: list[float] = []
        self._blocked_until = 0.0

    def challenges(self) -> list[str]:
        """Return what the web server offers, one header each."""
        return [
            f'Basic realm="{self.realm}"'
            if each == "Basic"
            else f'Digest realm="{self.realm}", nonce="{self.nonce}", algorithm={each}, qop="auth", opaque="x"'
            for each in self.offers
        ]

    @property
    def realm(self) -> str:
        """Return the name of what is entered."""
        return f"AXIS_{SERIAL}"

    @property
    def nonce(self) -> str:
        """Return the number used once (here: by all)."""
        return self._nonce

    def challenge(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'Digest realm="{self.realm}", nonce="{self.nonce}", qop="auth"'}

    def admits(self, request: Request) -> bool:
        """Check what the client says."""
        said = request.headers.get("authorization", "")
        if self.username is None:
            return True
        if not said:
            return False
        self.logins.append(said)
        now = self.clock()
        if now < self._blocked_until:
            return False
        right = self._right(request, said)
        if not right:
            self.refused += 1
            self._failures = [at for at in self._failures if at > now - _WITHIN_S] + [now]
            if len(self._failures) >= _FAILURES:
                self._blocked_until = now + _BLOCKED_S
        return right

    def _right(self, request: Request, said: str) -> bool:
        if said.startswith("Basic "):
            return said == "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()
        given = {
            name: quoted or plain
            for name, quoted, plain in re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', said)
        }
        digest = _HASHES[given.get("algorithm", "MD5")]

        def hashed(*parts: str) -> str:
            return digest(":".join(parts).encode()).hexdigest()

        who = hashed(self.username or "", self.realm, self.password)
        what = hashed(request.method, given.get("uri", ""))
        told = (given.get("nc", ""), given.get("cnonce", ""), given["qop"]) if "qop" in given else ()
        target_right = request.uri == given.get("uri") or request.uri.startswith("rtsp://")
        return target_right and given.get("response") == hashed(who, self.nonce, *told, what)


@dataclass(kw_only=True)
class Axis:
    """What kind of Axis camera it is, and what is wrong with it. Tests change it while it runs."""

    offers: tuple[str, ...] = ("MD5",)
    factory_new: bool = False
    starting: bool = False
    viewer: bool = False
    """The account may see and no more."""
    anonymous: bool = True
    """Anybody may ask who it is."""
    has_time: bool = True
    rtsp_port: int | None = None
    """Another port than the true one is told."""
    resolutions: str = "1920x1080,1280x720,640x360"
    boot: str = "a64e48df-6002-4f0a-83a1-98f302b05cb1"
    identity: dict[str, Any] = field(default_factory=lambda: dict(PROPERTIES))
    codes: dict[str, int] = field(default_factory=dict)
    """JSON errors with HTTP status 200, by path."""
    bodies: dict[str, bytes] = field(default_factory=dict)
    """Bodies that are sent as they are, by path."""
    statuses: dict[str, str] = field(default_factory=dict)
    """HTTP status lines in place of answers, by path."""
    location: str = ""
    """Every request is sent there."""
    endless: str = ""
    """The path whose answer never ends."""
    dripping: str = ""
    """The path whose answer comes by the byte, for ever."""
    requests: list[Request] = field(default_factory=list)


class SimulatedAxis(SimulatedCamera):
    """A simulated camera with VAPIX on its HTTP port, and on an HTTPS port where it has a certificate."""

    def __init__(self, video: Path, axis: Axis, *, certificate: Path | None = None, **camera: Any) -> None:
        super().__init__(video, **camera)
        self.axis = axis
        self.gate: AxisGate = AxisGate(self.gate.username, self.gate.password, offers=axis.offers)
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.https_port = 0

    @property
    def http_port(self) -> int:
        return self._ports["http"]

    @property
    def rtsp_port(self) -> int:
        return self._ports["rtsp"]

    async def accept(self) -> None:
        await super().accept()
        if self._tls is not None:
            listener = socket.create_server((HOST, self.https_port))
            self.https_port = listener.getsockname()[1]
            self._servers.append(await asyncio.start_server(self._serve_web, sock=listener, ssl=self._tls))

    async def _serve_web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._attend(AxisConnection(self, reader, writer), reader, writer)


class AxisConnection(WebConnection):
    """One HTTP connection; it stays open until the client has asked enough, pictures excepted."""

    def __init__(self, device: SimulatedAxis, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(device.programme, device._pictures, device.gate, reader, writer)
        self._device, self._axis = device, device.axis

    async def serve(self) -> None:
        """Answer request after request."""
        while (request := await read_request(self._reader)) is not None:
            self._axis.requests.append(request)
            if not await self._served(request):
                break
            await self._writer.drain()

    async def _served(self, request: Request) -> bool:
        """Answer one; False ends the connection."""
        axis, path = self._axis, request.path
        if axis.location:
            self._send("301 Moved Permanently", [("Location", axis.location)], b"elsewhere")
        elif path in axis.statuses:
            self._send(axis.statuses[path], [], b"")
        elif path == axis.endless:
            return await self._for_ever(b"x" * 65536, 0)
        elif path == axis.dripping:
            return await self._for_ever(b" ", 0.05)
        elif not self._may(request):
            setup = [("Axis-Setup", "vapix")] if axis.factory_new else []
            offers = [("WWW-Authenticate", each) for each in self._device.gate.challenges()]
            self._send("401 Unauthorized", setup + offers, b"who?")
        elif path in axis.bodies:
            self._send("200 OK", [], axis.bodies[path])
        elif path == MJPEG_PATH:
            await self._stream()
        elif path == SNAPSHOT_PATH:
            self._programme.begin()
            self._send("200 OK", [("Content-Type", "image/jpeg")], await self._jpeg(0))
        else:
            self._answered(request)
        return path != MJPEG_PATH

    def _may(self, request: Request) -> bool:
        axis, method = self._axis, _said(request).get("method")
        if request.path == READY or (method == "getAllUnrestrictedProperties" and axis.anonymous):
            return True
        if axis.factory_new:
            return False
        for_all = {SNAPSHOT_PATH, MJPEG_PATH, TIME, PROFILES}
        allowed = not axis.viewer or request.path in for_all or method == "getAllUnrestrictedProperties"
        return self._device.gate.admits(request) and allowed

    def _answered(self, request: Request) -> None:
        axis, path = self._axis, request.path
        if path == PARAM and request.method == "GET":
            return self._send("200 OK", [("Content-Type", "text/plain")], self._parameters(request).encode())
        if path not in {WHO, READY, PROFILES} and not (path == TIME and axis.has_time):
            return self._send("404 Not Found", [], b"not here")
        said, method = _said(request), _said(request).get("method")
        data, code = self._data(path, method), axis.codes.get(path)
        if not said:
            code = code or 4000
        elif not str(said.get("apiVersion", "")).startswith("1."):
            code = code or 2003
        elif data is None:
            code = code or 2004
        told = {"error": {"code": code, "message": "no"}} if code else {"data": data}
        body = json.dumps({"apiVersion": "1.4", "method": method} | told).encode()
        return self._send("200 OK", [("Content-Type", "application/json")], body)

    def _data(self, path: str, method: str | None) -> dict[str, Any] | None:
        axis = self._axis
        match path, method:
            case (p, "getAllUnrestrictedProperties") if p == WHO:
                return {"propertyList": {name: axis.identity[name] for name in IDENTITY if name in axis.identity}}
            case (p, "getAllProperties") if p == WHO:
                return {"propertyList": axis.identity}
            case (p, "systemready") if p == READY:
                ready, setup = "no" if axis.starting else "yes", "yes" if axis.factory_new else "no"
                return {"systemready": ready, "needsetup": setup, "uptime": "37509", "bootid": axis.boot}
            case (p, "list") if p == PROFILES:
                profile = {
                    "name": "Quality",
                    "description": "best",
                    "parameters": "videocodec=h264&resolution=1920x1080",
                }
                return {"maxProfiles": 26, "streamProfile": [profile]}
            case (p, "getDateTimeInfo") if p == TIME:
                now = time.gmtime(time.time() + self._programme.clock_ahead_s)
                return {"dateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", now), "dstEnabled": False}
        return None

    def _parameters(self, request: Request) -> str:
        groups = parse_qs(urlsplit(request.uri).query)["group"][0].split(",")
        known = {
            "Network.RTSP.Enabled": "yes",
            "Network.RTSP.Port": str(self._axis.rtsp_port or self._device.rtsp_port),
            "Properties.Image.Format": "jpeg,mjpeg,h264,h265",
            "Properties.Image.Resolution": self._axis.resolutions,
        }
        lines = [f"root.{name}={value}" for name, value in known.items() if any(name.startswith(g) for g in groups)]
        return "\n".join(lines) + "\n"

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        date = formatdate(time.time() + self._programme.clock_ahead_s, usegmt=True)
        pairs = [("Date", date), *headers, ("Content-Length", str(len(body)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        self._writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    async def _for_ever(self, piece: bytes, pause_s: float) -> bool:
        self._writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while not self._writer.is_closing():
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(pause_s)
        return False


def _said(request: Request) -> dict[str, Any]:
    try:
        said = json.loads(request.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


class AxisCamera:
    """A running simulated Axis camera."""

    def __init__(self, camera: Camera, device: SimulatedAxis) -> None:
        self.camera, self.device, self.axis = camera, device, device.axis
        self.gate = device.gate

    @property
    def host(self) -> str:
        """Return what a technician would type: the web server's host and port."""
        return f"{HOST}:{self.device.http_port}"

    @property
    def https(self) -> str:
        """Return the same, encrypted."""
        return f"https://{HOST}:{self.device.https_port}"


@contextmanager
def running_axis(
    video: Path,
    *,
    password: str | None = None,
    certificate: Path | None = None,
    clock_ahead_s: float = 0.0,
    **kind: Any,
) -> Iterator[AxisCamera]:
    """Run an Axis camera on free ports; with a password its user is root."""
    who = {} if password is None else {"username": "root", "password": password}
    device = SimulatedAxis(video, Axis(**kind), certificate=certificate, clock_ahead_s=clock_ahead_s, **who)
    with attended(device) as camera:
        yield AxisCamera(camera, device)
