"""Three days without a centre, in simulated time: python -m tests.torture.cut_off --hours 72.

The real outbox on disk, both ends of the real conversation, the centre's real inbox and alerting; simulated are
the clock, the wire between the two ends, and whom the candidates show. A candidate every six seconds is put
while the box dials a centre that is not there; then the centre comes back, and everything must drain.
"""

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import structlog

from central.alerting import Alerting, AlertingSettings
from central.store.state import StateDir, Store, open_store
from edge.outbox import Outbox, OutboxSettings, Outgoing
from edge.wire import codec
from edge.wire.conversation import Arrival, CentreSide, DeviceSide, Instant, Letter, Pace
from edge.wire.ids import new_id
from edge.wire.messages import Event, FromCentre, FromDevice, Heartbeat, Hello
from edge.wire.sealing import SealingKey, make_or_load, seal
from edge.wire.turns import (
    Beat,
    Commit,
    Committed,
    DeviceAction,
    DeviceEvent,
    Dial,
    Forget,
    Heard,
    Lost,
    Offered,
    Opened,
    Parting,
    Say,
    State,
    Tick,
)
from tests.central.stand_ins import NOON_MS, PatchEmbedder, candidate, enrol, shot

PER_MINUTE = 10
LATE_AFTER_MS = 10_000
ROUND_TRIP_S = 0.05
"""How long, simulated, a turn of the drain takes: a wide line with 50 ms there and back."""


@dataclass
class Report:
    """What came of it."""

    hours: float
    put: int = 0
    payload_bytes: int = 0
    """Of one candidate, sealed."""
    bound_bytes: int = 0
    peak_rows: int = 0
    peak_weight_bytes: int = 0
    peak_disk_bytes: int = 0
    """Largest size of the outbox's files together."""
    dials: int = 0
    shed: int = 0
    kept_oldest_first: bool = False
    """Whether what was shed were the oldest, and no other."""
    delivered: int = 0
    late: int = 0
    live: int = 0
    alerts_late: int = 0
    alerts_live: int = 0
    left: int = 0
    drain_simulated_s: float = 0.0
    drain_wall_s: float = 0.0
    told_shed: int = 0
    """Of the shed, as a heartbeat told the centre."""


@dataclass
class Box:
    """The box's half: the outbox, the conversation, and a clock that is a value."""

    outbox: Outbox
    talk: DeviceSide
    dials: int = 0
    cursor: int = 0
    said: list[tuple[FromDevice | FromCentre, bytes]] = field(default_factory=list)

    def handle(self, event: DeviceEvent, now: Instant) -> None:
        """Let something happen and do what follows."""
        for action in self.talk.handle(event, now):
            self._do(action, now)

    def _do(self, action: DeviceAction, now: Instant) -> None:
        match action:
            case Say(message, payload):
                self.said.append((message, payload))
            case Beat():
                beat = Heartbeat(sent_at_ms=now.clock_ms, waiting=self.outbox.count(), shed=self.outbox.shed())
                self.said.append((beat, b""))
            case Forget(ids):
                self.outbox.forget(ids)
            case Dial():
                self.dials += 1
            case _:
                pass

    def offer(self, now: Instant) -> None:
        """Fill the window from the outbox."""
        if not self.talk.room:
            return
        rows = self.outbox.waiting(self.talk.room, after=self.cursor, max_bytes=self.talk.room_bytes)
        if rows:
            self.cursor = rows[-1].number
            self.handle(Offered([_letter(row) for row in rows]), now)


def cut_off(folder: Path, *, hours: float, max_bytes: int, crop_bytes: int, seed: int = 1) -> Report:
    """Put candidates for so long, then let them drain; `crop_bytes` is what the pictures of one weigh."""
    report = Report(hours, bound_bytes=max_bytes)
    store = open_store(StateDir(folder / "centre"))
    key = make_or_load(folder / "centre.key")
    entry = enrol(store, "Nobody", 1)
    rng = random.Random(seed)
    hello = Hello("box-1", "torture")
    pace = Pace()
    with Outbox.open(folder / "box" / "outbox.db", OutboxSettings(max_bytes=max_bytes)) as outbox:
        now = Instant(0.0, NOON_MS)
        box = Box(outbox, DeviceSide(hello, pace, endpoints=1, random=rng.random, now=now))
        ids = []
        for now in _every(60.0 / PER_MINUTE, hours * 3600):
            _no_centre(box, now)
            outgoing = _candidate(key, entry, now, rng, crop_bytes)
            ids.append(outgoing.id)
            outbox.put(outgoing)
            _measure(report, outbox, folder / "box")
            report.payload_bytes = len(outgoing.payload)
        report.put, report.shed, report.dials = len(ids), outbox.shed(), box.dials
        report.kept_oldest_first = [row.id for row in outbox.waiting(len(ids))] == ids[report.shed :]
        _drain(box, store, now, report)
        report.left = outbox.count()
    _judge(store, key, report)
    store.close()
    return report


def _every(period_s: float, until_s: float) -> Iterator[Instant]:
    for step in range(1, int(until_s / period_s) + 1):
        yield Instant(step * period_s, NOON_MS + int(step * period_s * 1000))


def _no_centre(box: Box, now: Instant) -> None:
    """Dial when it is time to; nobody answers."""
    box.handle(Tick(), now)
    if box.talk.state is State.DIALLING:
        box.handle(Lost(Parting.ABSENT), now)


def _candidate(key: SealingKey, entry: str, now: Instant, rng: random.Random, crop_bytes: int) -> Outgoing:
    id_ = new_id(now.clock_ms)
    made = candidate(
        entry,
        event_id=id_,
        track_id=f"track-{id_}",
        raised_at_ms=now.clock_ms,
        captured_at_ms=now.clock_ms,
        template=np.zeros(128, "<f2").tobytes(),
        # The weight of three pictures; what follows a JPEG's end is not looked at.
        shots=(shot(1, image=shot(1).image + rng.randbytes(crop_bytes)),),
    )
    return Outgoing.of(Event(id_, now.clock_ms), seal(key.public, msgspec.msgpack.encode(made)))


def _measure(report: Report, outbox: Outbox, folder: Path) -> None:
    report.peak_rows = max(report.peak_rows, outbox.count())
    report.peak_weight_bytes = max(report.peak_weight_bytes, outbox.weight())
    on_disk = sum(file.stat().st_size for file in folder.iterdir())
    report.peak_disk_bytes = max(report.peak_disk_bytes, on_disk)


def _drain(box: Box, store: Store, now: Instant, report: Report) -> None:
    """Let the centre be there again: turns of half a round trip each until nothing waits."""
    began, began_s = now.monotonic_s, time.monotonic()
    centre = CentreSide("box-1", Pace(), now=now)
    while box.talk.state is not State.DIALLING:
        now = _later(now, 1.0)
        box.handle(Tick(), now)
    box.handle(Opened(), now)
    while box.outbox.count():
        now = _later(now, ROUND_TRIP_S)
        box.handle(Tick(), now)
        box.offer(now)
        heard, box.said = box.said, []
        batch: list[Arrival] = []
        answers: list[tuple[FromDevice | FromCentre, bytes]] = []
        for message, payload in heard:
            if isinstance(message, Heartbeat):
                report.told_shed = message.shed
            for action in centre.handle(Heard(message, payload), now):
                if isinstance(action, Commit):
                    batch.append(action.arrival)
                elif isinstance(action, Say):
                    answers.append((action.message, action.payload))
        if batch:
            store.inbox.commit(batch)
            acks = centre.handle(Committed([arrival.id for arrival in batch]), now)
            answers += [(action.message, b"") for action in acks if isinstance(action, Say)]
        report.delivered += len(batch)
        for message, payload in answers:
            box.handle(Heard(message, payload), now)
    report.drain_simulated_s = round(now.monotonic_s - began, 1)
    report.drain_wall_s = round(time.monotonic() - began_s, 1)


def _judge(store: Store, key: SealingKey, report: Report) -> None:
    settings = AlertingSettings(threshold=0.44, window_ms=60_000, late_after_ms=LATE_AFTER_MS)
    alerting = Alerting(store, key, PatchEmbedder(), settings, clock=lambda: NOON_MS, alerted=lambda: None)
    while alerting.step():
        pass
    tables = store.database.tables
    with store.database.read() as connection:
        late = [row.late for row in connection.execute(tables.alerts.select())]
        rows = connection.execute(tables.candidates.select()).all()
    report.alerts_late, report.alerts_live = sum(late), len(late) - sum(late)
    waits = [row.received_at_ms - row.raised_at_ms for row in rows]
    report.late = sum(wait > LATE_AFTER_MS for wait in waits)
    report.live = len(waits) - report.late


def _later(now: Instant, seconds: float) -> Instant:
    return Instant(now.monotonic_s + seconds, now.clock_ms + round(seconds * 1000))


def _letter(row: Outgoing) -> Letter:
    said = codec.decode_from_device([row.header, row.payload])
    if not isinstance(said.message, Event):
        raise TypeError(row.kind)
    return Letter(said.message, said.payload)


def main() -> int:
    """Do it once with a bound that holds everything and once with one that does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=72.0)
    parser.add_argument("--crop-bytes", type=int, default=24_000, help="pictures of one candidate")
    parser.add_argument("--bound", type=int, action="append", help="bytes; default: 2 GiB and 256 MiB")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # else a line per alert
    for bound in options.bound or (2 << 30, 256 << 20):
        with tempfile.TemporaryDirectory(prefix="sightline-cut-off-") as folder:
            report = cut_off(Path(folder), hours=options.hours, max_bytes=bound, crop_bytes=options.crop_bytes)
        print(json.dumps(asdict(report)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
