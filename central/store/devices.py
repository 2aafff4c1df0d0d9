"""Admitted boxes and how they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, case, insert, select, update

from central.store.database import Database
from edge.wire.messages import Applied, CameraHealth, Heartbeat


@dataclass(frozen=True, kw_only=True)
class Device:
    """A box that may connect."""

    id: str
    curve_public: str
    seal_public: str
    admitted_at_ms: int
    revoked: bool


@dataclass(frozen=True, kw_only=True)
class DeviceHealth:
    """What a box last said of itself."""

    device: str
    heard_at_ms: int | None
    """Centre clock; None: never."""
    seeing: bool
    waiting: int
    shed: int
    troubles: tuple[str, ...]
    camera: CameraHealth | None = None
    """None: not said."""
    applied: Applied | None = None
    """Which pushed state it runs; None: it knows nothing of pushed states."""
    sent_at_ms: int = 0
    """Its own clock when it said so."""
    applied_since_ms: int = 0
    """Since when it says so, centre clock."""


class Devices:
    """Who may connect, and who was heard."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = database.tables

    def device(self, public_key: str) -> str | None:
        """Return the admitted device that owns a CURVE public key."""
        devices = self._tables.devices
        with self._database.read() as connection:
            name: str | None = connection.scalar(
                select(devices.c.id).where(devices.c.curve_public == public_key, devices.c.revoked.is_(False))
            )
        return name

    def heard(self, device: str, heartbeat: Heartbeat, at_ms: int) -> None:
        """Keep a box's newest heartbeat."""
        self.heard_all({device: heartbeat}, at_ms)

    def heard_all(self, heartbeats: Mapping[str, Heartbeat], at_ms: int) -> None:
        """Keep the newest heartbeat of each of these boxes, in one transaction."""
        with self._database.write() as connection:
            for device, heartbeat in heartbeats.items():
                self._keep(connection, device, heartbeat, at_ms)

    def _keep(self, connection: Connection, device: str, heartbeat: Heartbeat, at_ms: int) -> None:
        health = self._tables.device_health
        said = {
            "heard_at_ms": at_ms,
            "sent_at_ms": heartbeat.sent_at_ms,
            "waiting": heartbeat.waiting,
            "shed": heartbeat.shed,
            "seeing": heartbeat.seeing,
            "troubles": "\n".join(" ".join(trouble.split()) for trouble in heartbeat.troubles),
            "camera": msgspec.json.encode(heartbeat.camera).decode() if heartbeat.camera else "",
        }
        applied = msgspec.json.encode(heartbeat.applied).decode() if heartbeat.applied else ""
        since = case((health.c.applied == applied, health.c.applied_since_ms), else_=at_ms)
        known = update(health).where(health.c.device == device)
        if not connection.execute(known.values(**said, applied=applied, applied_since_ms=since)).rowcount:
            connection.execute(insert(health).values(device=device, **said, applied=applied, applied_since_ms=at_ms))

    def find(self, name: str) -> Device | None:
        """Return a device by id, revoked or not."""
        return next((device for device in self.all() if device.id == name), None)

    def all(self) -> list[Device]:
        """Return every device ever admitted, by id."""
        devices = self._tables.devices
        with self._database.read() as connection:
            return [_device(row) for row in connection.execute(select(devices).order_by(devices.c.id))]

    def put(self, device: Device) -> None:
        """Admit a device, or change one."""
        devices = self._tables.devices
        values = {
            "curve_public": device.curve_public,
            "seal_public": device.seal_public,
            "admitted_at_ms": device.admitted_at_ms,
            "revoked": device.revoked,
        }
        with self._database.write() as connection:
            if not connection.execute(update(devices).where(devices.c.id == device.id).values(**values)).rowcount:
                connection.execute(insert(devices).values(id=device.id, **values))

    def health(self) -> list[DeviceHealth]:
        """Return how each admitted device is, by id."""
        devices, health = self._tables.devices, self._tables.device_health
        joined = devices.outerjoin(health, devices.c.id == health.c.device)
        query = select(devices.c.id, health).select_from(joined).where(devices.c.revoked.is_(False))
        with self._database.read() as connection:
            return [_health(row) for row in connection.execute(query.order_by(devices.c.id))]


def _device(row: Any) -> Device:
    return Device(
        id=row.id,
        curve_public=row.curve_public,
        seal_public=row.seal_public,
        admitted_at_ms=row.admitted_at_ms,
        revoked=row.revoked,
    )


def _health(row: Any) -> DeviceHealth:
    return DeviceHealth(
        device=row.id,
        heard_at_ms=row.heard_at_ms,
        seeing=bool(row.seeing),
        waiting=row.waiting or 0,
        shed=row.shed or 0,
        troubles=tuple(filter(None, (row.troubles or "").split("\n"))),
        camera=msgspec.json.decode(row.camera, type=CameraHealth) if row.camera else None,
        applied=msgspec.json.decode(row.applied, type=Applied) if row.applied else None,
        sent_at_ms=row.sent_at_ms or 0,
        applied_since_ms=row.applied_since_ms or 0,
    )
