"""Why a camera does not see: one word for log, metric and operator."""

from enum import StrEnum

import av

from edge.errors import OperatorError, WorldError


class Reason(StrEnum):
    """Why there is no picture."""

    CONNECTING = "connecting"
    """Nothing has come yet."""
    REFUSED = "refused"
    UNAUTHORISED = "unauthorised"
    UNTRUSTED = "untrusted"
    """Its certificate is not one that is known."""
    TIMEOUT = "timeout"
    ENDED = "ended"
    STALE = "stale"
    """Connected, and the newest picture is too old."""
    CORRUPT = "corrupt"
    NOT_A_VIDEO = "not-a-video"
    MISSING = "missing"
    """No such file, host or path."""


class CameraError(WorldError):
    """A camera, or the network before it, is not as needed."""

    def __init__(self, message: str, *, reason: Reason, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class VideoError(CameraError):
    """A file or folder was named that cannot be used, or not to its end."""

    exit_code = OperatorError.exit_code


_STREAM_TROUBLE: tuple[tuple[tuple[type[Exception], ...], Reason, str, str], ...] = (
    (
        (av.HTTPUnauthorizedError, av.HTTPForbiddenError),
        Reason.UNAUTHORISED,
        "refuses the user name or the password",
        "check credentials_file; it is tried again slowly, since cameras lock out repeated failures",
    ),
    (
        (av.ConnectionRefusedError,),
        Reason.REFUSED,
        "refuses the connection",
        "check the port, and that the camera has started",
    ),
    (
        (av.HTTPNotFoundError,),
        Reason.MISSING,
        "has no such stream",
        "check the path of the address",
    ),
    (
        (av.HTTPError, av.ProtocolNotFoundError, av.DecoderNotFoundError),
        Reason.NOT_A_VIDEO,
        "answers, but not with a stream that can be read",
        "check the path of the address and the codec that the camera is set to",
    ),
    (
        (av.InvalidDataError,),
        Reason.CORRUPT,
        "sends what is not a video stream",
        "check the path of the address and the codec that the camera is set to",
    ),
)


def stream_trouble(error: Exception, place: str, *, seen: bool) -> CameraError:
    """Translate the decoder's error, whose own text may hold the password, into ours.

    `seen` says whether pictures had come before.
    """
    if isinstance(error, (av.TimeoutError, av.ExitError)):
        return stream_silent(place, seen=seen)
    for kinds, reason, what, hint in _STREAM_TROUBLE:
        if isinstance(error, kinds):
            return CameraError(f"camera {place} {what}", reason=reason, hint=hint)
    if seen:
        return stream_ended(place)
    return CameraError(
        f"camera {place} cannot be reached",
        reason=Reason.MISSING,
        hint="check the host name, the port and the network",
    )


def stream_silent(place: str, *, seen: bool = False) -> CameraError:
    """Say that nothing came for too long."""
    return CameraError(
        f"camera {place} {'has stopped sending' if seen else 'does not answer'}",
        reason=Reason.TIMEOUT,
        hint="check its power, its network and the address",
    )


def stream_ended(place: str) -> CameraError:
    """Say that the camera hung up: a live stream never simply ends."""
    return CameraError(
        f"camera {place} closed the stream",
        reason=Reason.ENDED,
        hint="it is connected again by itself; a camera that restarts does this",
    )


def untrusted(place: str, fingerprint: str) -> CameraError:
    """Say that the certificate is not one that is known; nothing was sent."""
    shown = f" (SHA-256 {fingerprint})" if fingerprint else ""
    return CameraError(
        f"camera {place} shows a certificate that is not trusted{shown}",
        reason=Reason.UNTRUSTED,
        hint="save its certificate, compare it with what its own page shows, and name it as ca_file (--ca-file)",
    )
