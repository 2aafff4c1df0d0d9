"""A box as an operator reads it at a terminal, or a program as JSON."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from central.drift import Drift, Standing, drift
from central.store.devices import Device, DeviceHealth
from central.store.rollouts import Rollout, Status
from central.store.state import Store
from edge.errors import OperatorError
from edge.wire.messages import Applied, CameraHealth


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a box."""

    device: str
    admitted: bool
    groups: tuple[str, ...]
    desired: str
    """The word of what it should run; empty: nothing is published."""
    desired_since_ms: int
    reported: Applied | None
    reported_since_ms: int
    standing: str
    drift: tuple[str, ...]
    """Which parts differ: config, watchlist, models."""
    drift_since_ms: int
    words: str
    heard_at_ms: int | None
    seeing: bool
    troubles: tuple[str, ...]
    camera: CameraHealth | None
    waiting: int
    shed: int
    clock_ahead_ms: int | None
    """The box's clock less the centre's, when it was last heard; the way of its message is part of it."""


def show(store: Store, name: str) -> Shown:
    """Return what is known of a box."""
    device = store.devices.find(name)
    if device is None:
        raise OperatorError(f"there is no device {name[:80]!r}", hint="see: sightline device list")
    health = next((one for one in store.devices.health() if one.device == name), _unheard(name))
    published = store.rollouts.published(name).get(name, [])
    found = drift(health, published)
    heard = health.heard_at_ms
    return Shown(
        device=name,
        admitted=not device.revoked,
        groups=tuple(group for group, members in store.rollouts.groups().items() if name in members),
        desired=found.desired,
        desired_since_ms=published[0].at_ms if published else 0,
        reported=health.applied,
        reported_since_ms=health.applied_since_ms,
        standing=found.standing.value,
        drift=found.parts,
        drift_since_ms=found.since_ms,
        words=found.words,
        heard_at_ms=heard,
        seeing=health.seeing,
        troubles=health.troubles,
        camera=health.camera,
        waiting=health.waiting,
        shed=health.shed,
        clock_ahead_ms=None if heard is None else health.sent_at_ms - heard,
    )


def in_words(shown: Shown, now_ms: int) -> Iterator[str]:
    """Yield a box line by line."""
    yield f"{shown.device}: {'admitted' if shown.admitted else 'revoked'}"
    desired = (
        f"{shown.desired}, published {_time(shown.desired_since_ms)}" if shown.desired else "nothing is published"
    )
    yield _line("desired", desired)
    yield _line("reported", _reported(shown))
    since = f", since {_time(shown.drift_since_ms)}" if shown.drift_since_ms else ""
    yield _line("drift", f"{shown.words}{since}")
    if shown.heard_at_ms is None:
        yield _line("health", "never heard")
        return
    ago_s = max(0, now_ms - shown.heard_at_ms) // 1000
    yield _line("health", f"{'seeing' if shown.seeing else 'blind'}, heard {ago_s} s ago")
    for trouble in shown.troubles:
        yield _line("trouble", trouble)
    yield _line("camera", _camera(shown.camera))
    yield _line("outbox", f"{shown.waiting} waiting, {shown.shed} shed")
    ahead_ms = shown.clock_ahead_ms or 0
    yield _line("clock", f"{abs(ahead_ms) / 1000:.1f} s {'ahead of' if ahead_ms > 0 else 'behind'} the centre's")
    if shown.groups:
        yield _line("groups", ", ".join(shown.groups))


def listed(store: Store) -> Iterator[str]:
    """Yield every box ever admitted, one line each."""
    healths = {one.device: one for one in store.devices.health()}
    published = store.rollouts.published()
    for device in store.devices.all():
        found = drift(healths.get(device.id, _unheard(device.id)), published.get(device.id, ()))
        yield f"{device.id}  {_standing(device, found)}  {device.curve_public}"


def rollout_in_words(rollout: Rollout) -> Iterator[str]:
    """Yield where a roll-out stands."""
    stages = max(member.stage for member in rollout.members) + 1
    where = f"stage {rollout.stage + 1} of {stages}" if rollout.status is Status.RUNNING else rollout.status.value
    why = f": {rollout.why}" if rollout.why else ""
    yield (
        f"roll-out {rollout.number}: {rollout.plan.what.value} to {rollout.plan.target}, "
        f"{_time(rollout.begun_at_ms)}, {where}{why}"
    )
    for member in rollout.members:
        reason = f": {member.why}" if member.why else ""
        yield f"  stage {member.stage + 1}  {member.device}  {member.outcome.value}{reason}"


def _standing(device: Device, found: Drift) -> str:
    if device.revoked:
        return "revoked"
    return "admitted" if found.standing is Standing.UNPUSHED else f"admitted, {found.words}"


def _unheard(name: str) -> DeviceHealth:
    return DeviceHealth(device=name, heard_at_ms=None, seeing=False, waiting=0, shed=0, troubles=())


def _reported(shown: Shown) -> str:
    if shown.reported is None:
        return "it has not said"
    about = f" {shown.reported.about}" if shown.reported.about else ""
    runs = shown.reported.state or "nothing that was pushed"
    return f"{runs}, {shown.reported.phase.value}{about}, since {_time(shown.reported_since_ms)}"


def _camera(camera: CameraHealth | None) -> str:
    if camera is None:
        return "it has not said"
    reason = f" ({camera.reason})" if camera.reason else ""
    return (
        f"{camera.condition}{reason}, {camera.rate_fps:.1f} pictures a second, "
        f"{camera.dropped} dropped, {camera.reconnects} reconnects"
    )


def _line(name: str, words: str) -> str:
    return f"  {name:<10}{words}"


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
