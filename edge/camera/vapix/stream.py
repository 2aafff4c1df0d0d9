"""The addresses of an Axis camera's streams, with the parameters that this product needs."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from edge.camera.address import without_secrets
from edge.camera.vapix.device import bracketed
from edge.errors import OperatorError

SCHEME = "axis"
RTSP_PORT = 554
Codec = Literal["h264", "h265", "mjpeg"]

# Seconds from one key picture to the next: how long a damaged or a new connection may have to wait for one.
_KEY_EVERY_S = 2


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the stream should be like. Every set of parameters that differs is another encoder in the camera."""

    codec: Codec = "h264"
    resolution: str = "1920x1080"
    """WIDTHxHEIGHT; empty: whatever the camera is set to."""
    fps: float = 10.0


def is_axis(source: str) -> bool:
    """Tell whether a source names an Axis camera rather than a stream."""
    return source.startswith(f"{SCHEME}://")


def stream_of(source: str, wish: Wish, *, secure: bool = False) -> str:
    """Turn axis://HOST[:PORT][?PARAMETERS] into the address of its stream; the port is the stream's.

    What stands behind the question mark goes before ours: `camera=2` is the second of several sensors. A user
    name and password stay where they are. `secure` concerns MJPEG, which comes over HTTPS then.
    """
    try:
        parts = urlsplit(source)
        usable, has_port = bool(parts.hostname) and not parts.path.strip("/"), parts.port is not None
    except ValueError:  # its text repeats the address, password included
        usable = False
    if not usable:
        raise OperatorError(
            f"{without_secrets(source)} is not an Axis camera's address",
            hint="use axis://HOST, or rtsp://HOST/PATH for a stream of your own",
        )
    host, given = parts.netloc, dict(parse_qsl(parts.query, keep_blank_values=True))
    if wish.codec == "mjpeg":
        scheme, path = "https" if secure else "http", "/axis-cgi/mjpg/video.cgi"
    else:
        scheme, path = "rtsp", "/axis-media/media.amp"
        host = host if has_port else f"{host}:{RTSP_PORT}"
    return f"{scheme}://{host}{path}?{urlencode(parameters(wish) | given)}"


def parameters(wish: Wish) -> dict[str, str]:
    """Return the stream's parameters, in the order in which they are sent.

    Sound is on by default; it is never wanted. A dynamic rate or group of pictures (Zipstream) leaves pictures
    out while a scene is still, which cannot be told from a stall.
    """
    # To Axis, 0 pictures a second is as many as there are.
    fps = max(1, round(wish.fps))
    size = {"resolution": wish.resolution} if wish.resolution else {}
    if wish.codec == "mjpeg":
        return {**size, "fps": str(fps)}
    return {
        "videocodec": wish.codec,
        **size,
        "fps": str(fps),
        "audio": "0",
        "videozgopmode": "fixed",
        "videozfpsmode": "fixed",
        "videokeyframeinterval": str(_KEY_EVERY_S * fps),
    }


def at(host: str, port: int) -> str:
    """Name the Axis camera whose stream is at this port."""
    return f"{SCHEME}://{bracketed(host)}:{port}"
