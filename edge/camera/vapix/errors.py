"""What can be wrong with an Axis camera's answers; leaves of the camera's errors, with the same reasons."""

from edge.camera.errors import CameraError, Reason


class LoginRefusedError(CameraError):
    """The camera does not take this user name and password."""


class LoginMissingError(CameraError):
    """The camera wants a password and none was given."""


class FactoryNewError(CameraError):
    """The camera has no password yet, and shows nothing before it has one."""


class NotAllowedError(CameraError):
    """This account may see pictures, but not what was asked for."""


class NotAxisError(CameraError):
    """Whoever answers there does not speak VAPIX."""


class AbsentError(CameraError):
    """This camera, or its software, does not have what was asked for."""


class ApiError(CameraError):
    """The camera understood the call and says no, by HTTP 200 and a code in JSON."""

    def __init__(self, place: str, what: str, code: int) -> None:
        said, reason, hint = _CODES.get(code, ("an error", Reason.CORRUPT, "look into the camera's own log"))
        super().__init__(f"camera {place} answers {what} with {said} (code {code})", reason=reason, hint=hint)
        self.code = code


_CODES = {
    2003: (
        "a version of this interface that is not ours",
        Reason.MISSING,
        "bring the camera's AXIS OS up to date, or look for a newer Sightline",
    ),
    2004: ("no such method", Reason.MISSING, "bring the camera's AXIS OS up to date"),
    4000: ("a complaint about our JSON", Reason.CORRUPT, "something between box and camera changes what is sent"),
    4002: ("a complaint about a parameter", Reason.CORRUPT, "bring the camera's AXIS OS up to date"),
    8000: ("an internal error", Reason.CORRUPT, "try again; if it stays, restart the camera"),
}

_ACCOUNT = "make an account with the viewer's rights on the camera's page under System, Accounts"


def login_refused(place: str) -> LoginRefusedError:
    """Say that the password was not taken; the caller asks no more."""
    return LoginRefusedError(
        f"camera {place} refuses the user name or the password",
        reason=Reason.UNAUTHORISED,
        hint="put the credentials right; it was tried once, since cameras lock out repeated failures",
    )


def login_missing(place: str) -> LoginMissingError:
    """Say that a password is needed."""
    return LoginMissingError(
        f"camera {place} asks for a user name and a password",
        reason=Reason.UNAUTHORISED,
        hint=f"give them by --credentials FILE or --user NAME; {_ACCOUNT}",
    )


def login_unsafe(place: str) -> CameraError:
    """Say that the password would have to travel in the clear, so it was not sent."""
    return CameraError(
        f"camera {place} takes passwords in no way that is safe here; none was sent",
        reason=Reason.UNAUTHORISED,
        hint="allow Digest on the camera, or use https://",
    )


def factory_new(place: str) -> FactoryNewError:
    """Say that nobody has set the camera up."""
    return FactoryNewError(
        f"camera {place} is factory-new: it has no password yet",
        reason=Reason.UNAUTHORISED,
        hint=f"open {place} in a browser and set the password of its administrator, then {_ACCOUNT}",
    )


def not_allowed(place: str, what: str) -> NotAllowedError:
    """Say that the account's rights do not reach so far."""
    return NotAllowedError(
        f"camera {place} does not let this account have {what}",
        reason=Reason.UNAUTHORISED,
        hint="for seeing this is not needed; an operator's or administrator's account has it",
    )


def not_axis(place: str) -> NotAxisError:
    """Say that somebody else lives there."""
    return NotAxisError(
        f"{place} answers, but not as an Axis camera of AXIS OS 8.40 or later does",
        reason=Reason.MISSING,
        hint="check the address; of another make give the stream's own: edge camera probe rtsp://HOST/PATH",
    )


def absent(place: str, what: str) -> AbsentError:
    """Say that it is not offered."""
    return AbsentError(f"camera {place} has no {what}", reason=Reason.MISSING)


def answered(place: str, status: int) -> CameraError:
    """Say that the camera answered with an HTTP status that is no use."""
    return CameraError(
        f"camera {place} answers with HTTP status {status}",
        reason=Reason.REFUSED,
        hint="it may be starting or busy with too many viewers: try again in a minute",
    )


def redirected(place: str, to: str) -> CameraError:
    """Say that the camera sends us elsewhere, where nothing of ours goes unasked."""
    return CameraError(
        f"camera {place} wants to be asked at {to}",
        reason=Reason.REFUSED,
        hint="if that is the camera, give that address (https:// with its certificate by --ca-file)",
    )


def silent(place: str) -> CameraError:
    """Say that no answer came in time."""
    return CameraError(
        f"camera {place} does not answer",
        reason=Reason.TIMEOUT,
        hint="check its power, its network and the address",
    )


def refused(place: str) -> CameraError:
    """Say that nobody listens."""
    return CameraError(
        f"camera {place} refuses the connection",
        reason=Reason.REFUSED,
        hint="check the port and that the camera has started; if it speaks HTTPS only, write https://HOST",
    )


def unreachable(place: str) -> CameraError:
    """Say that there is no way there."""
    return CameraError(
        f"camera {place} cannot be reached",
        reason=Reason.MISSING,
        hint="check the host name and the network; edge camera discover lists what is near",
    )


def hung_up(place: str) -> CameraError:
    """Say that the connection ended in the middle."""
    return CameraError(
        f"camera {place} closed the connection before it had answered", reason=Reason.ENDED, hint="try again"
    )


def garbage(place: str, what: str) -> CameraError:
    """Say that the answer makes no sense."""
    return CameraError(
        f"camera {place} answers {what} with something that cannot be read",
        reason=Reason.CORRUPT,
        hint="check that this is the camera's address, and not that of a proxy",
    )


def too_large(place: str, at_most: int) -> CameraError:
    """Say that it would not stop."""
    return CameraError(
        f"camera {place} answers with more than {at_most:,} bytes",
        reason=Reason.CORRUPT,
        hint="check that this is the camera's address",
    )


def no_tls(place: str) -> CameraError:
    """Say that no encrypted connection could be made."""
    return CameraError(
        f"camera {place} does not speak HTTPS there",
        reason=Reason.CORRUPT,
        hint="check the port; write http:// if the camera has no HTTPS",
    )
