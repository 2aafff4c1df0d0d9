"""What an operator may say about a camera."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.camera.address import without_secrets
from edge.camera.vapix.stream import Codec
from edge.zone import Corner, Zone

Seconds = Annotated[float, Meta(gt=0, le=3600)]

CODECS = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}
"""What a codec is called here, and by FFmpeg."""


class CameraSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pictures come from, and how patient to be."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    """The camera's name in events and logs."""
    source: Annotated[str, Meta(min_length=1, max_length=2048)]
    """A video file, a folder of images, an rtsp:// or rtsps:// address, http(s):// for MJPEG, or axis://HOST:
    an Axis camera's stream with the right parameters, as `codec`, `resolution` and `fps` say. axis://HOST:PORT where
    the stream has another port; axis://HOST?camera=2 for the second of several sensors."""
    pace: Literal["real", "fast"] = "real"
    """Files and folders: at their own speed, the newest frame wins; or as fast as asked, every frame."""
    at_end: Literal["stop", "loop"] = "stop"
    """Files and folders: what to do at the end."""
    fps: Annotated[float, Meta(gt=0, le=240)] = 10.0
    """Folders and axis://: images a second."""
    resolution: Annotated[str, Meta(pattern=r"^([1-9][0-9]{1,4}x[1-9][0-9]{1,4})?$")] = "1920x1080"
    """axis://: WIDTHxHEIGHT that the camera is asked for; empty: whatever it is set to."""
    codec: Codec = "h264"
    """axis://: how the camera compresses: h264, h265, or mjpeg over HTTP."""
    recorded_at_ms: Annotated[int, Meta(ge=0)] | None = None
    """Files and folders: when the first picture was taken, ms since 1970, UTC. None: when it is opened."""
    zone: tuple[Corner, ...] | None = None
    """Corners of the part of the picture in which faces are looked for, as shares of its width and height from the
    left upper corner. None: the whole picture."""
    credentials_file: str | None = None
    """A file with one line, username:password, that no other user may read; or credential:NAME, which systemd gave
    the service by LoadCredential=NAME:FILE. None: what the address says, where all can read it who can read this."""
    ca_file: str | None = None
    """https:// and rtsps://: certificates (PEM) that are believed. None: the authorities that this machine knows."""
    reader: Literal["av", "opencv"] = "av"
    """Streams: what reads them. opencv does without PyAV and its GPL parts; it knows less (docs/cameras.md)."""
    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP: how packets travel. udp is a last resort: at 1 % of loss about a tenth of the frames are usable."""
    accept_codec: Literal["any", "h264", "h265", "mjpeg"] = "any"
    """Streams: how they must be compressed; another is not read, and said. any: whatever can be decoded here."""
    clock_within_s: Annotated[float, Meta(ge=0, le=5)] = 2.0
    """RTSP: how far the camera's clock may be from this box's and still date pictures, in seconds; 0: never."""
    connect_timeout_s: Seconds = 5.0
    """Streams: seconds until a camera that does not answer is given up."""
    read_timeout_s: Seconds = 3.0
    """Streams: seconds of silence after which the decoder is woken; at twice this it connects again."""
    blind_after_s: Seconds = 4.0
    """Streams: age of the newest picture, in seconds, from which on the camera counts as blind."""
    retry_cap_s: Seconds = 5.0
    """Streams: longest pause between two tries, in seconds, jitter not counted."""
    retry_password_s: Seconds = 10.0
    """Streams: pause after a refused password, in seconds; cameras lock out those who hurry."""
    hung_after_s: Seconds = 10.0
    """Streams: seconds in one call of the decoder after which it hangs, and another reader takes over."""

    def __post_init__(self) -> None:
        """Refuse a zone that is none, and to take a camera's silence, which ends by itself, for a hanging decoder."""
        if self.zone is not None:
            Zone(self.zone)
        longest_s = max(self.connect_timeout_s, 2 * self.read_timeout_s)
        if self.hung_after_s <= longest_s:
            raise ValueError(f"hung_after_s must be more than {longest_s:g}: connecting and reading may take so long")

    def __repr__(self) -> str:
        """Name the camera and its place, never a password."""
        return f"CameraSettings(id={self.id!r}, source={without_secrets(self.source)!r}, pace={self.pace!r})"
