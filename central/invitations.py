"""How a box that nobody knows yet becomes one of this centre's: invited, announced, admitted.

An invitation is leave for one box to connect with a key that is good for nothing else, the token, and to say the
public keys that it made for itself. The centre keeps the token's public half alone. What a box says by an
invitation is judged by `judge`, which knows no clock and no store; `Reception` asks it for each message.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from central.fleet import admit, revoke
from central.publishing.ceremony import newest_root
from central.store.devices import Device
from central.store.invitations import Invitation
from central.store.state import Store
from edge.errors import OperatorError
from edge.wire import codec, curve, provisioning
from edge.wire.messages import PROTOCOL, Announce, Announced, FromCentre, FromDevice, Reason, Refused
from edge.wire.provisioning import Provisioning, fingerprint
from edge.wire.sealing import seal

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_HOUR_MS = 3_600_000

_log: structlog.stdlib.BoundLogger = structlog.get_logger("central.invitations")


@dataclass(frozen=True, kw_only=True)
class Centre:
    """What every box is told of this centre."""

    curve_public: str
    seal_public: str
    push: Path
    """The repository's folder, which holds the root of trust."""


def invite(
    store: Store, centre: Centre, device: str, endpoints: Sequence[str], *, now_ms: int, valid_h: float, admit: bool
) -> Provisioning:
    """Make an invitation, in the place of any other of that box, and return what the box must be given."""
    if not _ID.fullmatch(device):
        raise OperatorError(
            f"not a device id: {device[:80]!r}", hint="1 to 64 of letters, digits, dot, underscore, colon, dash"
        )
    for endpoint in endpoints:
        if not provisioning.can_be_dialled(endpoint):
            raise OperatorError(
                f"no box can dial {endpoint[:80]!r}", hint="give the centre's own address, as tcp://192.0.2.1:5810"
            )
    known = store.devices.find(device)
    if known is not None and not known.revoked:
        raise OperatorError(
            f"device {device} is admitted already",
            hint=f"if it is to be set up anew: sightline device revoke {device}, then invite it",
        )
    root = newest_root(centre.push)
    if root is None:
        raise OperatorError(
            "this centre has no root of trust to give to a box", hint="make it: sightline push root --out FILE"
        )
    token = curve.make()
    expires_at_ms = now_ms + int(valid_h * _HOUR_MS)
    store.invitations.put(
        Invitation(device=device, token=token.public, invited_at_ms=now_ms, expires_at_ms=expires_at_ms, admit=admit)
    )
    return Provisioning(
        format=provisioning.FORMAT,
        device=device,
        endpoints=tuple(endpoints),
        centre_key=centre.curve_public,
        sealing_key=centre.seal_public,
        token=token.secret.decode("ascii"),
        root=base64.b64encode(root.read_bytes()).decode("ascii"),
        expires=datetime.fromtimestamp(expires_at_ms // 1000, UTC).isoformat(),
    )


def admit_announced(store: Store, device: str, now_ms: int) -> Device:
    """Let a box connect with the keys that it announced."""
    invitation = store.invitations.of(device)
    if invitation is None or invitation.announced_at_ms is None:
        state = "has not announced its keys yet" if invitation else "is not invited"
        raise OperatorError(
            f"device {device[:80]!r} {state}",
            hint="provision the box with its file first; or give its keys: --keys FILE, from `edge keys` on the box",
        )
    return admit(store, device, invitation.curve_public, invitation.seal_public, now_ms)


def judge(invitation: Invitation, message: FromDevice, devices: Sequence[Device], now_ms: int) -> Refused | None:
    """Say why a message by this invitation is refused; None for an announcement that may be taken."""
    mine = f"the invitation of {invitation.device}"
    if now_ms >= invitation.expires_at_ms:
        return Refused(Reason.NOT_ADMITTED, f"{mine} has expired")
    if not isinstance(message, Announce):
        return Refused(Reason.NOT_ADMITTED, f"{mine} is for announcing alone")
    if message.protocol != PROTOCOL:
        return Refused(Reason.VERSION, f"the box speaks {message.protocol}, the centre {PROTOCOL}")
    if message.device != invitation.device:
        return Refused(Reason.WRONG_DEVICE, f"{mine} is for no other box")
    if not _are_keys(message) or message.curve == invitation.token:
        return Refused(Reason.GARBAGE, f"what came by {mine} are no keys of a box")
    return _judge_keys(invitation, message, devices)


def _judge_keys(invitation: Invitation, announce: Announce, devices: Sequence[Device]) -> Refused | None:
    if invitation.announced_at_ms is not None and not _same(invitation, announce):
        return Refused(Reason.NOT_ADMITTED, f"the invitation of {invitation.device} was spent before, on other keys")
    for device in devices:
        if device.id == announce.device and not device.revoked and not _same(device, announce):
            return Refused(Reason.NOT_ADMITTED, f"{device.id} is admitted with other keys")
        if device.id != announce.device and device.curve_public == announce.curve:
            return Refused(Reason.NOT_ADMITTED, f"{invitation.device} announced the keys of another box")
    return None


class Reception:
    """What the centre says on a connection that an invitation opened: `Announced`, or a refusal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: set[str] = set()
        """Expired invitations that the log has been told of."""

    def expects(self, key: str, now_ms: int) -> bool:
        """Tell whether a key is a token that may connect; a spent one may, to say the same again."""
        invitation = self._store.invitations.find(key)
        if invitation is None:
            return False
        expired = now_ms >= invitation.expires_at_ms
        if expired and key not in self._told:
            self._told.add(key)
            _log.warning("invitation.expired", device=invitation.device, hint="sightline device invite, once more")
        return not expired

    def hear(self, key: str, frames: Sequence[bytes], now_ms: int) -> FromCentre | None:
        """Answer a message that came under a token; None where the key is no token."""
        invitation = self._store.invitations.find(key)
        if invitation is None:
            return None
        try:
            message = codec.decode_from_device(frames).message
        except codec.Garbled as error:
            return Refused(error.reason, error.message)
        refused = judge(invitation, message, self._store.devices.all(), now_ms)
        if refused is not None or not isinstance(message, Announce):
            return refused
        return self._take(invitation, message, now_ms)

    def _take(self, invitation: Invitation, announce: Announce, now_ms: int) -> FromCentre:
        if not self._store.invitations.spend(invitation.token, announce.curve, announce.seal, now_ms):
            return Refused(Reason.NOT_ADMITTED, f"the invitation of {invitation.device} was spent or withdrawn")
        if invitation.admit:
            admit(self._store, invitation.device, announce.curve, announce.seal, now_ms)
            if self._store.invitations.find(invitation.token) is None:
                revoke(self._store, invitation.device)  # it was revoked meanwhile, by another process
        admitted = self._store.devices.device(announce.curve) == invitation.device
        if invitation.announced_at_ms is None:
            _log.info(
                "invitation.announced",
                device=invitation.device,
                fingerprint=fingerprint(announce.device, announce.curve, announce.seal),
                admitted=admitted,
            )
        return Announced(admitted, now_ms)


def _same(known: Invitation | Device, announce: Announce) -> bool:
    return (known.curve_public, known.seal_public) == (announce.curve, announce.seal)


def _are_keys(announce: Announce) -> bool:
    try:
        curve.checked_public(announce.curve)
        seal(announce.seal, b"")
    except OperatorError:
        return False
    return True
