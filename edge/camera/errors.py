"""Why a camera does not see: one word for log, metric and operator.

No reader's library is imported here: each reader translates its own errors into these.
"""

from enum import StrEnum

from edge.errors import OperatorError, WorldError


class Reason(StrEnum):
    """Why there is no picture."""

    CONNECTING = "connecting"
    """Nothing has come yet."""
    REFUSED = "refused"
    """Nothing listens there."""
    UNAUTHORISED = "unauthorised"
    UNTRUSTED = "untrusted"
    """Its certificate is not one that is known."""
    TIMEOUT = "timeout"
    """Nothing came for too long: no answer, or no more pictures."""
    ENDED = "ended"
    """The camera hung up."""
    STALE = "stale"
    """Connected, and the newest picture is too old."""
    CORRUPT = "corrupt"
    WRONG_CODEC = "wrong-codec"
    """Compressed in a way that cannot be decoded here, or that is not the one asked for."""
    UNOPENED = "unopened"
    """It answers and no stream could be opened, and this reader cannot tell why."""
    NOT_A_VIDEO = "not-a-video"
    MISSING = "missing"
    """No such file, host or path."""
    HUNG = "hung"
    """Readers hang in the decoder, and no more are started."""


class CameraError(WorldError):
    """A camera, or the network before it, is not as needed."""

    def __init__(self, message: str, *, reason: Reason, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class VideoError(CameraError):
    """A file or folder was named that cannot be used, or not to its end."""

    exit_code = OperatorError.exit_code


_CHECK_CODEC = "check the path of the address and the codec that the camera is set to"
_STREAM_TROUBLE: dict[Reason, tuple[str, str]] = {
    Reason.UNAUTHORISED: (
        "refuses the user name or the password",
        "check credentials_file; it is tried again slowly, since cameras lock out repeated failures",
    ),
    Reason.REFUSED: ("refuses the connection", "check the port, and that the camera has started"),
    Reason.MISSING: ("has no such stream", "check the path of the address"),
    Reason.NOT_A_VIDEO: ("answers, but not with a stream that can be read", _CHECK_CODEC),
    Reason.CORRUPT: ("sends what is not a video stream", _CHECK_CODEC),
    Reason.TIMEOUT: ("does not answer", "check its power, its network and the address"),
    Reason.ENDED: ("closed the stream", "it is connected again by itself; a camera that restarts does this"),
    Reason.UNOPENED: (
        "answers, but no stream could be opened",
        "check credentials_file, then the path and the codec: the reader opencv cannot tell which it is",
    ),
}


def stream_trouble(place: str, reason: Reason) -> CameraError:
    """Say what is wrong with a stream, in the words that every reader uses."""
    what, hint = _STREAM_TROUBLE[reason]
    return CameraError(f"camera {place} {what}", reason=reason, hint=hint)


def stream_unreachable(place: str) -> CameraError:
    """Say that there is no way to the camera."""
    return CameraError(
        f"camera {place} cannot be reached",
        reason=Reason.MISSING,
        hint="check the host name, the port and the network",
    )


def stream_silent(place: str, *, seen: bool) -> CameraError:
    """Say that a camera which had answered sends nothing, or nothing more."""
    return CameraError(
        f"camera {place} {'has stopped sending' if seen else 'answers, but sends no picture'}",
        reason=Reason.TIMEOUT,
        hint="check its power, its network and the address",
    )


def stream_undecodable(place: str) -> CameraError:
    """Say that packets come and none makes a picture."""
    return CameraError(
        f"camera {place} sends pictures that cannot be decoded",
        reason=Reason.CORRUPT,
        hint="check the codec that the camera is set to, and the network",
    )


def untrusted(place: str, fingerprint: str) -> CameraError:
    """Say that the certificate is not one that is known; nothing was sent."""
    shown = f" (SHA-256 {fingerprint})" if fingerprint else ""
    return CameraError(
        f"camera {place} shows a certificate that is not trusted{shown}",
        reason=Reason.UNTRUSTED,
        hint="save its certificate, compare it with what its own page shows, and name it as ca_file (--ca-file)",
    )


def wrong_codec(place: str, codec: str, *, wanted: str | None = None) -> CameraError:
    """Say which codec it is, and which it should be."""
    if wanted is None:
        what, hint = "which cannot be decoded here", "set the camera to H.264"
    else:
        what, hint = f"not in {wanted}", f"set the camera to {wanted}, or correct camera.accept_codec"
    return CameraError(f"camera {place} sends {codec}, {what}", reason=Reason.WRONG_CODEC, hint=hint)
