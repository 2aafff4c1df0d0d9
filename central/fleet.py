"""Which boxes may connect, by their keys."""

import re
from collections.abc import Sequence
from dataclasses import replace

from central.store.devices import Device
from central.store.state import Store
from edge.errors import OperatorError
from edge.wire.curve import checked_public
from edge.wire.sealing import seal

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def admit(store: Store, device_id: str, curve_public: str, seal_public: str, now_ms: int) -> Device:
    """Let a box with these public keys connect; the same keys again change nothing."""
    if not _ID.fullmatch(device_id):
        raise OperatorError(
            f"not a device id: {device_id[:80]!r}", hint="1 to 64 of letters, digits, dot, underscore, colon, dash"
        )
    checked_public(curve_public)
    seal(seal_public, b"")  # raises where this is no key that something can be sealed for
    known = {device.id: device for device in store.devices.all()}
    for other in known.values():
        if other.id != device_id and other.curve_public == curve_public:
            raise OperatorError(f"device {other.id} has this CURVE key already", hint="every box makes its own key")
    device = known.get(device_id)
    same = device is not None and (device.curve_public, device.seal_public) == (curve_public, seal_public.lower())
    if device is not None and not device.revoked:
        if same:
            return device
        raise OperatorError(
            f"device {device_id} is admitted with other keys",
            hint=f"if it was replaced: sightline device revoke {device_id}, then admit it again",
        )
    admitted = Device(
        id=device_id, curve_public=curve_public, seal_public=seal_public.lower(), admitted_at_ms=now_ms, revoked=False
    )
    store.devices.put(admitted)
    return admitted


def revoke(store: Store, device_id: str) -> None:
    """Lock a box out, at once and until it is admitted again; its invitation is withdrawn with it."""
    device = store.devices.find(device_id)
    # First: a box that announces itself just now by an invitation that admits finds it gone (invitations.py).
    withdrawn = store.invitations.withdraw(device_id)
    if device is not None:
        store.devices.put(replace(device, revoked=True))
    elif not withdrawn:
        raise OperatorError(f"there is no device {device_id[:80]!r}", hint="see: sightline device list")


ALL = "all"


def group(store: Store, name: str, devices: Sequence[str]) -> None:
    """Say which boxes are in a group; none at all: the group is gone."""
    if not _ID.fullmatch(name) or name == ALL:
        raise OperatorError(f"not a name for a group: {name[:80]!r}", hint="1 to 64 of letters, digits, dot, dash")
    if store.devices.find(name) is not None:
        raise OperatorError(f"{name} is a box", hint="choose another name for the group")
    for device in devices:
        _admitted(store, device)
    if not devices and name not in store.rollouts.groups():
        raise OperatorError(f"there is no group {name}", hint="name the boxes that are in it")
    store.rollouts.group(name, devices)


def wanted_devices(store: Store, target: str) -> list[str]:
    """Return the admitted boxes that a box's id, a group's name or `all` means."""
    admitted = {device.id for device in store.devices.all() if not device.revoked}
    groups = store.rollouts.groups()
    if target == ALL:
        found = sorted(admitted)
    elif target in groups:
        found = sorted(admitted.intersection(groups[target]))
    else:
        _admitted(store, target)
        found = [target]
    if not found:
        raise OperatorError(f"no box is admitted in {target}", hint="see: sightline device list")
    return found


def _admitted(store: Store, name: str) -> None:
    device = store.devices.find(name)
    if device is None:
        raise OperatorError(
            f"there is no box and no group {name[:80]!r}", hint="see: sightline device list, sightline device group"
        )
    if device.revoked:
        raise OperatorError(f"device {name} is revoked", hint=f"admit it again: sightline device admit {name}")
