"""A thousand boxes against one centre on this machine: `python bench/boxes.py`.

The centre is a real `sightline serve` in a process of its own. The boxes are this process: each has its own
CURVE key, its own connection (`edge.line`) and its own conversation (`edge.wire.conversation`) with the
product's pace; their outboxes are in memory. All dial at the same moment, beat every five seconds and raise
candidates, `--rate` in all, at random boxes. After `--seconds` the centre is killed and started again, and
all come back by themselves.

A candidate is properly sealed. With `--shots unreadable` its pictures are noise, which the centre opens and
dismisses at once: that measures the link. With `--shots grey` they are pictures that the embedder has to
look at, as with real faces: that shows what acknowledging is like while judging cannot keep up.

Nothing lost: every id that was raised is in the centre's database at the end, once.
"""

import argparse
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import msgspec
import numpy as np
import zmq

from central.store.devices import Device
from central.store.state import StateDir, open_store
from edge.line import Dialler, Line
from edge.wire import codec, curve, sealing
from edge.wire.conversation import DeviceSide, Instant, Letter, Pace
from edge.wire.messages import Box, Candidate, Event, FromDevice, Heartbeat, Hello, Shot
from edge.wire.turns import (
    Beat,
    DeviceEvent,
    Dial,
    Forget,
    HangUp,
    Heard,
    Lost,
    Met,
    Offered,
    Say,
    State,
    Tick,
    Unreadable,
)

READY_S = 120.0
SETTLE_S = 120.0


def now() -> Instant:
    """Read the clocks."""
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)


class OneKey(Dialler):
    """A dialler of one box in a context that all boxes share: a thousand would have two thousand threads."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", centre_key: bytes, key: curve.CurveKey) -> None:
        super().__init__(centre_key=centre_key, key=key)
        self._context = context


@dataclass
class Numbers:
    """What is measured over all boxes."""

    raised: dict[str, float] = field(default_factory=dict)
    """When each candidate not yet acknowledged was raised, monotonic seconds."""
    ids: set[str] = field(default_factory=set)
    waits_ms: list[float] = field(default_factory=list)
    said: int = 0
    resent: int = 0
    """Candidates said more than once."""
    partings: dict[str, int] = field(default_factory=dict)


class SimulatedBox:
    """One box: conversation, line, and an outbox in memory."""

    def __init__(self, name: str, dialler: Dialler, endpoint: str, numbers: Numbers, poll: select.epoll) -> None:
        self.name = name
        self.outbox: dict[str, Letter] = {}
        self._endpoint = endpoint
        self._dialler = dialler
        self._numbers = numbers
        self._poll = poll
        self._line: Line | None = None
        self.fds: list[int] = []
        self._said: set[str] = set()
        self.side = DeviceSide(Hello(name, "bench"), Pace(), endpoints=1, random=random.random, now=now())

    def handle(self, event: DeviceEvent) -> None:
        """Tell the conversation, and do what it says."""
        for action in self.side.handle(event, now()):
            match action:
                case Dial():
                    self._line = self._dialler.dial(self._endpoint)
                    # One file descriptor each for what is heard and for what becomes of the line itself.
                    self.fds = [end.getsockopt(zmq.FD) for end in (self._line._socket, self._line._monitor)]  # noqa: SLF001
                    for fd in self.fds:
                        self._poll.register(fd, select.EPOLLIN)
                case HangUp(why):
                    self._hang_up()
                    self._numbers.partings[why.value] = self._numbers.partings.get(why.value, 0) + 1
                case Say(message, payload):
                    self._say(message, payload)
                case Beat():
                    self._say(Heartbeat(now().clock_ms, len(self.outbox), seeing=True))
                case Forget(ids):
                    for id_ in ids:
                        del self.outbox[id_]
                        self._numbers.waits_ms.append(1000 * (time.monotonic() - self._numbers.raised.pop(id_)))
                case Met():
                    self.offer()

    def _say(self, message: FromDevice, payload: bytes = b"") -> None:
        if isinstance(message, Event):
            self._numbers.said += 1
            self._numbers.resent += message.event_id in self._said
            self._said.add(message.event_id)
        if self._line is not None:
            self._line.send(codec.encode(message, payload))

    def offer(self) -> None:
        """Send what waits, as far as there is room."""
        letters = list(self.outbox.values())[: self.side.room]
        if letters:
            self.handle(Offered(letters))

    def listen(self) -> None:
        """Hear everything that has come; libzmq tells of it once only."""
        while self._line is not None:
            happened = self._line.wait(0)
            if not happened.line and not happened.messages:
                return
            for event in happened.line:
                self.handle(event)
            for frames in happened.messages:
                try:
                    said = codec.decode_from_centre(frames)
                    self.handle(Heard(said.message, said.payload))
                except codec.Garbled as error:
                    self.handle(Unreadable(error.reason, error.message))

    def _hang_up(self) -> None:
        for fd in self.fds:
            self._poll.unregister(fd)
        self.fds = []
        if self._line is not None:
            self._line.close()
        self._line = None

    def close(self) -> None:
        """Hang up."""
        self.handle(Lost())


class Fleet:
    """Every box, and the loop that drives them."""

    def __init__(self, keys: dict[str, curve.CurveKey], endpoint: str, centre_key: str) -> None:
        self.numbers = Numbers()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 4 * len(keys) + 64)
        self._poll = select.epoll()
        self.boxes = [
            SimulatedBox(name, OneKey(self._context, centre_key.encode(), key), endpoint, self.numbers, self._poll)
            for name, key in keys.items()
        ]

    def connected(self) -> int:
        """Return how many boxes talk."""
        return sum(box.side.state is State.TALKING for box in self.boxes)

    def turn(self) -> None:
        """Drive every box that has something to do."""
        for box in self.boxes:
            if time.monotonic() >= box.side.wakes_at_s:
                box.handle(Tick())
                box.listen()  # sending swallows what libzmq had to tell
        ready = {fd for fd, _ in self._poll.poll(0.02)}
        for box in self.boxes:
            if ready.intersection(box.fds):
                box.listen()

    def raise_one(self, make: "Maker") -> None:
        """Let a box, any one, raise a candidate."""
        box = random.choice(self.boxes)  # noqa: S311 - no secret
        letter = make(box.name)
        box.outbox[letter.id] = letter
        self.numbers.raised[letter.id] = time.monotonic()
        self.numbers.ids.add(letter.id)
        if box.side.room:
            box.handle(Offered([letter]))
            box.listen()

    def until_connected(self, within_s: float) -> float:
        """Return the seconds until every box talks."""
        began = time.monotonic()
        while self.connected() < len(self.boxes):
            if time.monotonic() - began > within_s:
                raise SystemExit(
                    f"only {self.connected()} of {len(self.boxes)} boxes connected: {self.numbers.partings}"
                )
            self.turn()
        return time.monotonic() - began

    def close(self) -> None:
        """Hang up everywhere."""
        for box in self.boxes:
            box.close()
        self._context.term()


class Centre:
    """`sightline serve` as a process."""

    def __init__(self, state: Path, port: str) -> None:
        self.state = state
        self._config = state.parent / "centre.yaml"
        self._config.write_text(f'endpoint: "tcp://127.0.0.1:{port}"\nconsole: {{port: 0}}\n')
        self.start()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "central", "serve", "--state", str(self.state), "--config", str(self._config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said = {}
        for line in self.popen.stdout or ():
            key, _, value = line.strip().partition(": ")
            said[key] = value
            if key == "console":
                break
        self.endpoint, self.key = said["endpoint"], said["curve key"]

    def kill(self) -> None:
        """Kill it, with no time to tidy."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def cpu_s(self) -> float:
        """Return the processor time it has used, seconds."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, what: str = "VmRSS") -> float:
        """Return what it holds in memory, MB."""
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024

    def ask(self, query: str) -> int:
        """Ask its database for a number."""
        with sqlite3.connect(f"file:{self.state / 'centre.db'}?mode=ro", uri=True) as database:
            return int(database.execute(query).fetchone()[0] or 0)


def admit(state: Path, many: int) -> tuple[dict[str, curve.CurveKey], str]:
    """Admit boxes, each with its own key; return the keys and the centre's sealing key."""
    folder = StateDir(state)
    store = open_store(folder)
    keys = {f"box-{number:04}": curve.make() for number in range(many)}
    seal = sealing.make_or_load(folder.seal_key).public
    for name, key in keys.items():
        store.devices.put(Device(id=name, curve_public=key.public, seal_public=seal, admitted_at_ms=1, revoked=False))
    store.close()
    return keys, seal


def a_letter(number: int, device: str, seal: str, image: bytes) -> Letter:
    """Make a candidate, sealed."""
    at_ms = now().clock_ms
    landmarks = (38.3, 51.7, 73.5, 51.5, 56.0, 71.7, 41.5, 92.4, 70.7, 92.2)
    shot = Shot(image, landmarks, 0.5, at_ms, number, Box(0, 0, 112, 112))
    name = f"event-{number}"
    candidate = Candidate(
        event_id=name, track_id=name, revision=0, device=device, camera="door", entry="nobody", watchlist="none",
        score=0.5, threshold=0.4, model_sha256="0" * 64, template=os.urandom(1024), first_seen_ms=at_ms,
        captured_at_ms=at_ms, raised_at_ms=at_ms, shots=(shot, shot, shot),
    )  # fmt: skip
    return Letter(Event(name, at_ms), sealing.seal(seal, msgspec.msgpack.encode(candidate)))


def steady(fleet: Fleet, centre: Centre, seconds: float, rate: float, make: "Maker") -> None:
    """Raise candidates at a steady rate and tell how it went."""
    fleet.numbers.waits_ms.clear()
    began, cpu = time.monotonic(), centre.cpu_s()
    raised = 0
    while (passed := time.monotonic() - began) < seconds:
        while raised < passed * rate:
            fleet.raise_one(make)
            raised += 1
        fleet.turn()
    used = (centre.cpu_s() - cpu) / seconds
    waits = np.array(fleet.numbers.waits_ms or [np.nan])
    p50, p99 = np.percentile(waits, [50, 99])
    print(f"  {raised} candidates in {seconds:.0f} s; from send to ack: p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
          f"longest {waits.max():.0f} ms")  # fmt: skip
    print(f"  centre: {100 * used:.0f} % of a core, {centre.memory_mb():.0f} MB resident "
          f"(at most {centre.memory_mb('VmHWM'):.0f})")  # fmt: skip
    waiting = centre.ask("SELECT count(*) FROM inbox WHERE set_aside IS NULL")
    print(f"  boxes talking: {fleet.connected()} of {len(fleet.boxes)}; waiting to be judged: {waiting}")


class Maker:
    """Makes candidates, numbered."""

    def __init__(self, seal: str, image: bytes) -> None:
        self.image = image
        self._seal, self._number = seal, 0

    def __call__(self, device: str) -> Letter:
        """Make the next one, from this box."""
        self._number += 1
        return a_letter(self._number, device, self._seal, self.image)


def picture(shots: str) -> bytes:
    """Return a picture of about 12 kB: noise, or a grey one with some grain that decodes."""
    if shots == "unreadable":
        return os.urandom(12_000)
    grain = np.random.default_rng(1).integers(60, 196, (112, 112, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", grain)[1])


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--shots", choices=["unreadable", "grey"], default="unreadable")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sightline-boxes-") as scratch:
        run(Path(scratch), chosen)


def run(scratch: Path, chosen: argparse.Namespace) -> None:
    """Run the bench in a folder."""
    keys, seal = admit(scratch / "centre", chosen.boxes)
    centre = Centre(scratch / "centre", "*")
    make = Maker(seal, picture(chosen.shots))
    print(
        f"{chosen.boxes} boxes, {chosen.rate:g} candidates a second of "
        f"{len(a_letter(0, 'box', seal, make.image).payload)} bytes, pictures {chosen.shots}"
    )
    print(f"  centre alone: {centre.memory_mb():.0f} MB resident")
    fleet = Fleet(keys, centre.endpoint, centre.key)
    try:
        print(f"  all dialled at once: all connected after {fleet.until_connected(SETTLE_S):.1f} s")
        steady(fleet, centre, chosen.seconds, chosen.rate, make)
        centre, away_s = restarted(fleet, centre, chosen.rate, make)
        print(f"centre killed and started again: {away_s:.1f} s until it was ready, candidates raised meanwhile")
        print(f"  all connected {fleet.until_connected(SETTLE_S):.1f} s after it was ready")
        steady(fleet, centre, chosen.seconds / 2, chosen.rate, make)
        until_s = time.monotonic() + SETTLE_S
        while fleet.numbers.raised and time.monotonic() < until_s:
            fleet.turn()
        tell_losses(fleet, centre)
    finally:
        fleet.close()
        centre.kill()


def restarted(fleet: Fleet, centre: Centre, rate: float, make: Maker) -> tuple[Centre, float]:
    """Kill the centre and start it again while the boxes go on; return it and how long it was away, seconds."""
    began, raised = time.monotonic(), 0
    centre.kill()
    fresh: list[Centre] = []
    port = centre.endpoint.rpartition(":")[2]
    starting = threading.Thread(target=lambda: fresh.append(Centre(centre.state, port)))
    starting.start()
    while starting.is_alive():
        while raised < (time.monotonic() - began) * rate:
            fleet.raise_one(make)
            raised += 1
        fleet.turn()
    return fresh[0], time.monotonic() - began


def tell_losses(fleet: Fleet, centre: Centre) -> None:
    """Count at the centre's database what came of every id that was raised."""
    numbers = fleet.numbers
    stored = centre.ask("SELECT count(*) FROM candidates")
    distinct = centre.ask("SELECT count(DISTINCT event_id) FROM candidates")
    repeats = centre.ask("SELECT value FROM counters WHERE name = 'duplicates' UNION SELECT 0 ORDER BY 1 DESC")
    print(f"raised {len(numbers.ids)}, unacknowledged {len(numbers.raised)}, at the centre {stored} "
          f"({distinct} different); said {numbers.said} times, of these again {numbers.resent}; "
          f"repeats recognised {repeats}; partings {numbers.partings}")  # fmt: skip
    if not stored == distinct == len(numbers.ids):
        raise SystemExit("LOST OR DOUBLED")


if __name__ == "__main__":
    main()
