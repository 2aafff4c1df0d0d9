"""What can be asked of an Axis camera, one call each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import cv2
import numpy as np

from edge.camera.clock import Clock
from edge.camera.credentials import Credentials
from edge.camera.vapix import answers, errors
from edge.camera.vapix.answers import (
    DateTime,
    Failure,
    Identity,
    Parameters,
    Properties,
    Readiness,
    StreamProfile,
    StreamProfiles,
)
from edge.camera.vapix.device import Device
from edge.camera.vapix.door import Call, Door, Patience

Found = TypeVar("Found")

_WHO = "/axis-cgi/basicdeviceinfo.cgi"
_JPEG_BEGINS = b"\xff\xd8"
_MAX_JPEG_BYTES = 32 * 1024 * 1024
# Both ways in which a camera tells the time leave out the fraction of the second.
_HALF_A_SECOND_MS = 500


@dataclass(frozen=True, kw_only=True)
class CameraClock:
    """How the camera's clock stands to the box's."""

    ahead_ms: int
    """The camera's less the box's."""
    within_ms: int
    """How far off that may be: half a second, and half the time that the answer took."""
    told_by: Literal["time.cgi", "web server"]
    """time.cgi is deprecated from AXIS OS 12.4 on; the web server dates every answer."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One picture."""

    jpeg: bytes
    width: int
    height: int
    logged_in: bool
    """False: the camera shows pictures to anybody."""


class Vapix:
    """An Axis camera, as a context manager; for one thread. Each call raises a CameraError where it fails."""

    def __init__(
        self,
        device: Device,
        *,
        credentials: Credentials | None = None,
        ca_file: Path | None = None,
        patience: Patience | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.device = device
        self._door = Door(device, credentials, ca_file, patience or Patience())
        self._clock = clock or Clock()

    def __enter__(self) -> Self:
        """Connect with the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._door.__exit__(kind, error, trace)

    def identify(self, *, login: bool = False) -> Identity:
        """Ask who the camera is, as anybody may; with `login` where that has been turned off."""
        call = Call("its identity", _WHO, body=answers.request("getAllUnrestrictedProperties"), login=login)
        try:
            found = answers.read_properties(self._door.ask(call).body, Identity)
        except (answers.UnreadableError, errors.AbsentError):
            found = None
        if found is None:
            raise errors.not_axis(self.device.place)
        return self._unless_failed(call, found)

    def identify_fully(self) -> Properties:
        """Ask who the camera is, logged in; a viewer's account may not be told."""
        call = Call("its properties", _WHO, body=answers.request("getAllProperties"), login=True)
        return self._ask(call, lambda body: answers.read_properties(body, Properties))

    def readiness(self) -> Readiness:
        """Ask, as anybody may, whether the camera has started and been set up."""
        # It would wait this many seconds for the camera to be ready.
        body = answers.request("systemready", "1.1", {"timeout": 1})
        call = Call("its readiness", "/axis-cgi/systemready.cgi", body=body)
        return self._ask(call, lambda body: answers.read_json(body, Readiness))

    def parameters(self, *groups: str) -> Parameters:
        """Ask for groups of the camera's configuration, such as Network.RTSP; a viewer's account may see few."""
        call = Call(
            f"its parameters {', '.join(groups)}",
            "/axis-cgi/param.cgi",
            query={"action": "list", "group": ",".join(groups)},
            login=True,
        )
        return self._ask(call, answers.read_parameters)

    def stream_profiles(self) -> tuple[StreamProfile, ...]:
        """Ask for the sets of parameters that have names on the camera."""
        body = answers.request("list", parameters={"streamProfileName": []})
        call = Call("its stream profiles", "/axis-cgi/streamprofile.cgi", body=body, login=True)
        return self._ask(call, lambda body: answers.read_json(body, StreamProfiles)).stream_profile

    def clock(self, *, login: bool) -> CameraClock:
        """Compare the camera's clock with the box's; without time.cgi by the date of its web server's answers."""
        body = answers.request("getDateTimeInfo")
        call = Call("its clock", "/axis-cgi/time.cgi", body=body, login=login)
        began_s, began_ms = self._clock.monotonic_s(), self._clock.wall_ms()
        if login:
            try:
                said = self._ask(call, lambda body: answers.read_json(body, DateTime)).date_time
                return self._compared(_iso_ms(said), began_s, began_ms, "time.cgi")
            except (errors.AbsentError, errors.NotAllowedError, errors.ApiError):
                began_s, began_ms = self._clock.monotonic_s(), self._clock.wall_ms()
        who = Call("the time", _WHO, body=answers.request("getAllUnrestrictedProperties"), login=login)
        return self._compared(_http_ms(self._door.ask(who).date), began_s, began_ms, "web server")

    def snapshot(self, resolution: str = "") -> Snapshot:
        """Fetch one picture, WIDTHxHEIGHT or as the camera is set; this is what a viewer's account must be given."""
        query = {"resolution": resolution} if resolution else {}
        call = Call("a picture", "/axis-cgi/jpg/image.cgi", query, login=True, at_most_bytes=_MAX_JPEG_BYTES)
        answer = self._door.ask(call)
        shape = _shape_of(answer.body)
        if shape is None:
            raise errors.garbage(self.device.place, call.what)
        height, width = shape
        return Snapshot(jpeg=answer.body, width=width, height=height, logged_in=answer.logged_in)

    def _ask(self, call: Call, read: Callable[[bytes], Found | Failure]) -> Found:
        body = self._door.ask(call).body
        try:
            found = read(body)
        except answers.UnreadableError:
            found = None
        if found is None:
            raise errors.garbage(self.device.place, call.what)
        return self._unless_failed(call, found)

    def _unless_failed(self, call: Call, found: Found | Failure) -> Found:
        if isinstance(found, Failure):
            raise errors.ApiError(self.device.place, call.what, found.code)
        return found

    def _compared(
        self, camera_ms: int | None, began_s: float, began_ms: int, told_by: Literal["time.cgi", "web server"]
    ) -> CameraClock:
        if camera_ms is None:
            raise errors.absent(self.device.place, "clock that can be read")
        half_ms = round(500 * (self._clock.monotonic_s() - began_s))
        ahead_ms = camera_ms + _HALF_A_SECOND_MS - (began_ms + half_ms)
        return CameraClock(ahead_ms=ahead_ms, within_ms=_HALF_A_SECOND_MS + half_ms, told_by=told_by)


def _shape_of(jpeg: bytes) -> tuple[int, int] | None:
    """Decode a picture and return its height and width; None where it cannot be."""
    if not jpeg.startswith(_JPEG_BEGINS):
        return None
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else (image.shape[0], image.shape[1])


def _iso_ms(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def _http_ms(text: str) -> int | None:
    try:
        return round(parsedate_to_datetime(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
