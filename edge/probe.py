"""`edge camera probe` and `edge camera discover`: what a technician on a ladder asks about a camera.

Each step is told as soon as it has been tried, in one line. A password that was refused is not tried again, by no
step: twenty failures in a second block this box at an Axis camera for ten.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from msgspec import Struct

from edge.camera.address import holds_password, is_address, without_secrets
from edge.camera.clock import Clock
from edge.camera.credentials import Credentials
from edge.camera.discovery import Neighbour, discover
from edge.camera.errors import CameraError, Reason
from edge.camera.frame import ClockSource, Picture
from edge.camera.settings import CameraSettings
from edge.camera.source import address_of, open_source, wish_of
from edge.camera.vapix import errors
from edge.camera.vapix.client import Vapix
from edge.camera.vapix.device import Device, bracketed, read_device
from edge.camera.vapix.stream import RTSP_PORT, at, is_axis, stream_of
from edge.errors import OperatorError
from edge.findings import Notes, Report, Told, printable

# Sender reports, which carry the camera's clock, come within about two seconds.
_REPORTS_S = 3.0
_RATE_S = 1.0
# From here on the difference between the clocks is worth a word.
_CLOCK_OFF_MS = 1000
_SET_CLOCK = "let both take their time from one NTP server"


class Snapshot(Struct, frozen=True, kw_only=True):
    """A picture that the camera was asked for."""

    width: int
    height: int
    jpeg_bytes: int


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to be let in."""

    login: Credentials | None = None
    ca_file: Path | None = None


class Seen(Struct, frozen=True, kw_only=True):
    """What came of a stream."""

    place: str
    codec: str | None
    width: int
    height: int
    first_picture_s: float
    """From the beginning of the connection to the first picture, seconds."""
    pictures_per_s: float | None
    """By the stream's own timestamps."""
    clock_source: ClockSource
    clock_ahead_ms: int | None
    """The camera's clock less the box's, the way of the picture included; None where it sends none."""


class Streaming(Struct, frozen=True, kw_only=True):
    """What the camera's configuration says of streams."""

    rtsp: bool = True
    port: int = RTSP_PORT
    resolutions: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


def probe(target: str, access: Access, say: Callable[[str], None], clock: Clock | None = None) -> Report:
    """Try an Axis camera (HOST, http(s)://HOST, axis://HOST), or a stream of any make (an address with a path)."""
    if holds_password(target) or ("@" in target and not is_address(target)):
        raise OperatorError(
            "a password on the command line can be read by everybody on this machine",
            hint="leave it out, and use --credentials FILE or --user NAME; then change it, since it was shown",
        )
    notes, clock, secure = Notes(say), clock or Clock(), access.ca_file is not None
    if is_axis(target):
        host = urlsplit(address_of(_settings(target, access)).place).hostname or ""
        device = read_device(bracketed(host), secure=secure)
        _try_axis(notes, device, access, clock, asked_for=target)
    elif _is_stream(target):
        settings = _settings(target, access)
        notes.attempt("stream", lambda: _watched(settings, access, clock))
    else:
        _try_axis(notes, read_device(target, secure=secure), access, clock)
    return notes.report(without_secrets(target))


def _is_stream(target: str) -> bool:
    """Tell a stream's address from a device's, which has no path."""
    if not is_address(target):
        return False
    scheme, _, rest = target.partition("://")
    return not scheme.startswith("http") or bool(rest.partition("/")[2]) or "?" in rest


def _settings(source: str, access: Access) -> CameraSettings:
    return CameraSettings(id="probe", source=source, ca_file=str(access.ca_file) if access.ca_file else None)


def _try_axis(notes: Notes, device: Device, access: Access, clock: Clock, *, asked_for: str | None = None) -> None:
    with Vapix(device, credentials=access.login, ca_file=access.ca_file, clock=clock) as camera:
        trouble = notes.attempt("device", lambda: _identity(camera, access))
        if trouble is None:
            trouble = notes.attempt("ready", lambda: _readiness(camera))
        if trouble is not None:
            return notes.skip(("password", "clock", "stream"), "see above")
        shown = _let_in(notes, camera, access)
        notes.attempt("clock", lambda: _clock(camera, login=shown), needed=False)
        if not shown:
            return notes.skip(("settings", "stream"), "without a password that is accepted it would be refused")
        streaming = [Streaming()]
        notes.attempt("hardware", lambda: _hardware(camera), needed=False)
        notes.attempt("settings", lambda: _stream_settings(camera, streaming), needed=False)
        notes.attempt("profiles", lambda: _profiles(camera), needed=False)
    settings = _settings(asked_for or at(device.host, streaming[-1].port), access)
    notes.tell("address", Told(stream_of(settings.source, wish_of(settings))))
    notes.attempt("stream", lambda: _watched(settings, access, clock))
    return None


def _identity(camera: Vapix, access: Access) -> Told:
    try:
        who = camera.identify()
    except errors.LoginMissingError:  # an administrator has turned anonymous questions off
        if access.login is None:
            raise
        who = camera.identify(login=True)
    return Told(f"{who.brand} {who.prod_nbr}, serial {who.serial_number}, AXIS OS {who.version}", who)


def _readiness(camera: Vapix) -> Told:
    try:
        state = camera.readiness()
    except (errors.AbsentError, errors.ApiError) as error:
        return Told("it does not say", remedy=error.message)
    if state.needsetup == "yes":
        raise errors.factory_new(camera.device.place)
    since = f", since {int(state.uptime) / 3600:.1f} h" if state.uptime.isdecimal() else ""
    boot = f", boot {state.bootid}" if state.bootid else ""
    if state.systemready != "yes":
        return Told(f"still starting{boot}", state, remedy="try again in a minute")
    return Told(f"yes{since}{boot}", state)


def _let_in(notes: Notes, camera: Vapix, access: Access) -> bool:
    """Fetch a picture, which shows both whether the password is right and whether the camera sees."""
    try:
        shot = camera.snapshot()
    except (errors.LoginRefusedError, errors.LoginMissingError, errors.FactoryNewError) as error:
        notes.fail("password", error)
        return False
    except CameraError as error:
        notes.fail("snapshot", error)
        return error.reason is not Reason.UNAUTHORISED
    if shot.logged_in and access.login is not None:
        notes.tell("password", Told(f"accepted for {access.login.username}"))
    else:
        notes.tell("password", Told("not asked for", remedy="the camera shows pictures to anybody on its network"))
    facts = Snapshot(width=shot.width, height=shot.height, jpeg_bytes=len(shot.jpeg))
    notes.tell("snapshot", Told(f"{shot.width}x{shot.height}, {len(shot.jpeg):,} bytes", facts))
    return True


def _clock(camera: Vapix, *, login: bool) -> Told:
    clock = camera.clock(login=login)
    told = f"{_ahead(clock.ahead_ms)} the box's, give or take {clock.within_ms / 1000:.1f} s, by its {clock.told_by}"
    if clock.told_by != "time.cgi" and login:
        told += " (it has no time.cgi, which AXIS OS 12.4 deprecates)"
    off = abs(clock.ahead_ms) > clock.within_ms + _CLOCK_OFF_MS
    return Told(told, clock, remedy=_SET_CLOCK if off else "")


def _ahead(ahead_ms: int) -> str:
    return f"{abs(ahead_ms) / 1000:.2f} s {'ahead of' if ahead_ms >= 0 else 'behind'}"


def _hardware(camera: Vapix) -> Told:
    what = camera.identify_fully()
    return Told(f"{what.soc or 'unknown chip'}, {what.architecture or 'unknown architecture'}", what)


def _stream_settings(camera: Vapix, found: list[Streaming]) -> Told:
    values = camera.parameters("Network.RTSP", "Properties.Image")
    port = values.get("Network.RTSP.Port")
    streaming = Streaming(
        rtsp=values.get("Network.RTSP.Enabled", "yes") == "yes",
        port=int(port) if port.isdecimal() and 0 < int(port) < 65536 else RTSP_PORT,
        resolutions=tuple(filter(None, values.get("Properties.Image.Resolution").split(","))),
        formats=tuple(filter(None, values.get("Properties.Image.Format").split(","))),
    )
    found.append(streaming)
    wanted = _settings("axis://camera", Access()).resolution
    told = f"RTSP {'on' if streaming.rtsp else 'off'}, port {streaming.port}, {' '.join(streaming.formats)}"
    if not streaming.rtsp:
        return Told(told, streaming, remedy="turn RTSP on: System, Plain config, Network")
    if streaming.resolutions and wanted not in streaming.resolutions:
        sizes = ", ".join(streaming.resolutions[:8])
        return Told(told, streaming, remedy=f"{wanted} is not among its sizes: set camera.resolution ({sizes})")
    return Told(told, streaming)


def _profiles(camera: Vapix) -> Told:
    profiles = camera.stream_profiles()
    return Told(", ".join(each.name for each in profiles) or "none", profiles)


def _watched(settings: CameraSettings, access: Access, clock: Clock) -> Told:
    """Open the stream as `edge watch` does, and look at it until its rate and its clock are known."""
    try:
        return Told(*_in_words(_seen(settings, access, clock)))
    except CameraError as error:
        if error.reason is not Reason.UNAUTHORISED:
            raise
    place = without_secrets(settings.source)
    raise errors.login_missing(place) if access.login is None else errors.login_refused(place)


def _seen(settings: CameraSettings, access: Access, clock: Clock) -> Seen:
    began_s = clock.monotonic_s()
    with closing(open_source(settings, clock, access.login)) as source:
        pictures = iter(source)
        latest = next(pictures)
        pixels, first_at, ahead_ms = latest.frame().pixels, latest.monotonic_at, _camera_ahead_ms(latest, clock)
        width, height = pixels.width, pixels.height
        del pixels  # it would keep a buffer of the decoder
        steps_s: list[float] = []
        for picture in pictures:
            steps_s.append(picture.media_s - latest.media_s)
            latest = picture
            told_ms = _camera_ahead_ms(latest, clock)
            # The picture that was least delayed on its way comes nearest to the truth.
            ahead_ms = told_ms if ahead_ms is None else max(ahead_ms, told_ms or ahead_ms)
            watched_s = latest.monotonic_at - first_at
            if watched_s >= _REPORTS_S or (watched_s >= _RATE_S and ahead_ms is not None):
                break
        codec: str | None = getattr(source, "codec", None)  # not every reader is told
    step_s = median(steps_s) if steps_s else 0.0
    return Seen(
        place=without_secrets(settings.source),
        codec=codec,
        width=width,
        height=height,
        first_picture_s=round(first_at - began_s, 3),
        pictures_per_s=round(1 / step_s, 1) if step_s > 0 else None,
        clock_source=latest.clock_source,
        clock_ahead_ms=ahead_ms,
    )


def _in_words(seen: Seen) -> tuple[str, Seen, str]:
    rate = f", {seen.pictures_per_s:g} a second" if seen.pictures_per_s is not None else ""
    told = f"{seen.codec} {seen.width}x{seen.height}{rate}, the first after {seen.first_picture_s:.2f} s"
    if seen.clock_ahead_ms is None:
        return f"{told}; dated by the box, since the camera sends no time", seen, ""
    told += f"; dated by the camera, {_ahead(seen.clock_ahead_ms)} the box's clock"
    return told, seen, _SET_CLOCK if abs(seen.clock_ahead_ms) > _CLOCK_OFF_MS else ""


def _camera_ahead_ms(picture: Picture, clock: Clock) -> int | None:
    """Compare when a picture was taken by the camera's clock with when it came by the box's."""
    if picture.clock_source is not ClockSource.CAMERA:
        return None
    came_ms = clock.wall_ms() - round(1000 * (clock.monotonic_s() - picture.monotonic_at))
    return picture.captured_at_ms - came_ms


def neighbours(seconds: float, interface: str | None, say: Callable[[str], None]) -> tuple[Neighbour, ...]:
    """List the Axis cameras that announce themselves, and what to type next."""
    found = discover(seconds, interface)
    for each in found:
        where = ", ".join(each.addresses) or "no address"
        say(printable(f"{each.name}  serial {each.serial or 'unknown'}  {where}"))
        if each.addresses:
            say(printable(f"      edge camera probe {each.addresses[0]}"))
    if not found:
        say(f"no Axis camera announced itself within {seconds:g} s")
        say("look at its power and cable, and that box and camera are on one network; or mDNS is off in the camera")
        say("a typed address always works: edge camera probe HOST")
    return found
