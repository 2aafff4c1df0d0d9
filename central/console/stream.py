"""Server-sent events: first what the reader missed, then what is new, and a health event as a pulse.

An event's id is `<store>.<change>`. A reader that comes back with the last id it saw gets every alert that
was made or revised since, in its newest form; one that knows another store, or nothing, gets the latest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
from starlette.concurrency import run_in_threadpool

from central.console.feed import Feed
from central.drift import Drift, Standing, drift
from central.store.alerts import PAGE, Alert
from central.store.devices import DeviceHealth
from central.store.state import Store
from edge.wire.messages import CameraHealth

LATEST = 100
PULSE_S = 2.0
RETRY_MS = 1000


class BoxState(msgspec.Struct, frozen=True):
    """One box, as the health line shows it."""

    device: str
    state: str
    """seeing, blind, silent, or never (admitted, but not heard yet)."""
    heard_ago_ms: int | None
    waiting: int
    shed: int
    troubles: tuple[str, ...]
    camera: CameraHealth | None
    """As the box last said; None: it has not."""
    drift: str = ""
    """How it stands to what it should run, in words."""
    drifts: bool = False
    """Whether that is for somebody to look at."""


class Health(msgspec.Struct, frozen=True):
    """How the boxes are, and what was counted."""

    now_ms: int
    devices: list[BoxState]
    totals: dict[str, int]
    notices: tuple[str, ...] = ()
    """What a person has to do about the centre, in words."""


@dataclass(frozen=True)
class Reader:
    """Reads what streams and programs are told."""

    store: Store
    store_id: str
    clock: Callable[[], int]
    silent_after_ms: int
    notices: Callable[[], tuple[str, ...]] = tuple

    def health(self) -> Health:
        """Return how the boxes are now."""
        now_ms = self.clock()
        published = self.store.rollouts.published()
        boxes = [
            box_state(health, now_ms, self.silent_after_ms, drift(health, published.get(health.device, ())))
            for health in self.store.devices.health()
        ]
        return Health(now_ms, boxes, self.store.alerts.totals(), self.notices())

    def position(self, event_id: str) -> int | None:
        """Return the change number of an event id of this store; None for any other text."""
        store_id, _, change = event_id.partition(".")
        known = store_id == self.store_id and change.isascii() and change.isdigit() and len(change) < 19
        return int(change) if known else None

    def missed(self, position: int | None) -> list[Alert]:
        """Return the next alerts for a reader at this position; the latest ones for a new reader."""
        if position is None:
            return self.store.alerts.latest(LATEST)
        return self.store.alerts.changed_after(position, PAGE)


def box_state(health: DeviceHealth, now_ms: int, silent_after_ms: int, drifted: Drift | None = None) -> BoxState:
    """Judge a box by when it was heard and what it said."""
    ago_ms = None if health.heard_at_ms is None else max(0, now_ms - health.heard_at_ms)
    if ago_ms is None:
        state = "never"
    elif ago_ms > silent_after_ms:
        state = "silent"
    else:
        state = "seeing" if health.seeing else "blind"
    pushed = drifted is not None and drifted.standing is not Standing.UNPUSHED
    return BoxState(
        health.device,
        state,
        ago_ms,
        health.waiting,
        health.shed,
        health.troubles,
        health.camera,
        drifted.words if drifted and pushed else "",
        drifted is not None and drifted.standing in {Standing.REFUSED, Standing.BEHIND},
    )


async def events(reader: Reader, feed: Feed, event_id: str) -> AsyncIterator[bytes]:
    """Yield events until the feed closes or the reader leaves."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    position = reader.position(event_id)
    caught_up = False
    with feed.listen() as news:
        while not feed.closed:
            news.clear()
            alerts = await run_in_threadpool(reader.missed, position)
            for alert in alerts:
                yield _event("alert", msgspec.json.encode(alert), f"{reader.store_id}.{alert.change}")
            position = alerts[-1].change if alerts else position or 0
            if len(alerts) == PAGE:
                continue
            health = await run_in_threadpool(reader.health)
            yield _event("health", msgspec.json.encode(health))
            if not caught_up:
                yield _event("ready", b"{}")
                caught_up = True
            await _news_or_pulse(news)


async def _news_or_pulse(news: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(news.wait(), PULSE_S)
    except TimeoutError:
        return


def _event(kind: str, data: bytes, event_id: str = "") -> bytes:
    head = f"event: {kind}\n" + (f"id: {event_id}\n" if event_id else "")
    return head.encode() + b"data: " + data + b"\n\n"
