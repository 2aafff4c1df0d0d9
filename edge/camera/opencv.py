"""The fall-back reader: a stream through OpenCV, for those who cannot ship PyAV; one connection, until it breaks.

What it does not know, against streams.py (docs/adr/0001-pyav-for-streams.md):

- No capture time by the camera's clock: pictures are dated by arrival less one frame period.
- No reason why a stream cannot be opened. So the host is tried first, which tells refused, silent and unknown
  apart; everything else, a wrong password too, is `unopened`, and tried again as slowly as a wrong password.
- Damage is concealed and not marked; another resolution in mid-stream is scaled to the first one; compressed
  bytes are not counted. Each picture is turned into BGR, taken or not.

OpenCV opens one stream at a time in a process: another waits for a lock, up to `connect_timeout_s` where a camera
does not answer. FFmpeg's options and the silence of its log, which may hold the address with its password, are
variables of the environment and so hold for the whole process; the log's is read once, when FFmpeg is first used.
"""

import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import cv2
import numpy as np

from edge.camera.address import Address
from edge.camera.certificate import checked
from edge.camera.clock import Clock
from edge.camera.errors import Reason, stream_silent, stream_trouble, stream_unreachable, wrong_codec
from edge.camera.frame import ClockSource, Picture
from edge.camera.pace import Pace
from edge.camera.settings import CODECS, CameraSettings

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
_QUIET = "-8"
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_FOURCC = {"h264": ("h264", "avc1"), "hevc": ("hevc", "hvc1", "hev1"), "mjpeg": ("mjpg", "jpeg")}


class OpenCvStream:
    """One connection to a camera."""

    def __init__(self, address: Address, settings: CameraSettings, clock: Clock) -> None:
        """Connect, within about `connect_timeout_s`; the error names the place and what reason is known."""
        self.video_bytes = 0
        self._place, self._clock, self._settings = address.place, clock, settings
        self._pace = Pace(settings.read_timeout_s, parsed=address.scheme.startswith("rtsp"))
        self._timed = address.scheme.startswith("rtsp")
        _knock(address, settings.connect_timeout_s)
        began_s = clock.monotonic_s()
        self._capture = _opened(address, settings)
        if not self._capture.isOpened():
            late = clock.monotonic_s() - began_s >= 0.9 * settings.connect_timeout_s
            raise stream_trouble(address.place, Reason.TIMEOUT if late else Reason.UNOPENED)
        self._raise_if_another_codec()

    def __iter__(self) -> Iterator[Picture]:
        """Give the pictures as they come; never ends but with a CameraError."""
        index, started_s = 0, self._clock.monotonic_s()
        while True:
            asked_at = self._clock.monotonic_s()
            there, image = self._capture.read()
            arrived_at, arrived_ms = self._clock.monotonic_s(), self._clock.wall_ms()
            if not there:
                if arrived_at - asked_at >= 0.9 * self._settings.read_timeout_s:
                    raise stream_silent(self._place, seen=index > 0)
                raise stream_trouble(self._place, Reason.ENDED)
            # MJPEG has no times of its own: OpenCV counts 25 a second whatever the camera does.
            at_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._timed else arrived_at - started_s
            if not self._pace.held_back(at_s, waited_s=arrived_at - asked_at):
                came_ms = arrived_ms - round(self._pace.held_s * 1000)
                yield Picture(
                    index=index,
                    captured_at_ms=came_ms,
                    arrival_ms=came_ms,
                    monotonic_at=arrived_at,
                    clock_source=ClockSource.ARRIVAL,
                    media_s=at_s,
                    decoded=np.asarray(image, np.uint8),
                )
            index += 1

    def close(self) -> None:
        """Hang up."""
        self._capture.release()

    def _raise_if_another_codec(self) -> None:
        wanted = self._settings.accept_codec
        number = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        sent = "".join(chr(number >> 8 * i & 0xFF) for i in range(4)).lower()
        if wanted != "any" and sent not in _FOURCC[CODECS[wanted]]:
            self.close()
            raise wrong_codec(self._place, sent, wanted=wanted)


def _knock(address: Address, timeout_s: float) -> None:
    """Say why there is no way to the camera, which OpenCV would not."""
    parts = urlsplit(address.place)
    trouble = None
    try:
        socket.create_connection((parts.hostname or "", parts.port or _PORTS[address.scheme]), timeout_s).close()
    except ConnectionRefusedError:
        trouble = stream_trouble(address.place, Reason.REFUSED)
    except TimeoutError:
        trouble = stream_trouble(address.place, Reason.TIMEOUT)
    except OSError:
        trouble = stream_unreachable(address.place)
    if trouble is not None:
        raise trouble


def _opened(address: Address, settings: CameraSettings) -> cv2.VideoCapture:
    options = {"rtsp_transport": settings.transport, "probesize": "32", "analyzeduration": "0"}
    options |= checked(address, settings.ca_file, timeout_s=settings.connect_timeout_s)
    os.environ[_OPTIONS] = "|".join(f"{name};{value}" for name, value in options.items())
    os.environ.setdefault(_LOG_LEVEL, _QUIET)
    cv2.utils.logging.setLogLevel(0)
    return cv2.VideoCapture(
        address.url(),
        cv2.CAP_FFMPEG,
        [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1000 * settings.connect_timeout_s)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * settings.read_timeout_s)),
            # More threads would hold pictures back.
            *(cv2.CAP_PROP_N_THREADS, 1),
        ],
    )
