"""The intake's ports, in memory and with faults on demand, and the wait that real sockets need."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from central.intake import Intake, IntakeReport, IntakeSettings, Nothing, Publications, Reception
from edge.errors import SightlineError, WorldError
from edge.wire import curve
from edge.wire.conversation import Arrival, Pace
from edge.wire.messages import Heartbeat

QUICK = Pace(heartbeat_s=0.1, silence_s=1.0, answer_s=1.0, resend_s=0.4, backoff_first_s=0.05, backoff_cap_s=0.2)


def eventually(condition: Callable[[], bool], what: str, *, within_s: float = 10.0) -> None:
    """Wait until something is so that other threads bring about."""
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.005)


@dataclass
class MemoryInbox:
    """Keeps what arrives; with `trouble` set, it cannot."""

    stored: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    commits: int = 0
    repeats: int = 0
    trouble: SightlineError | None = None

    def commit(self, batch: Sequence[Arrival]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.commits += 1
        for arrival in batch:
            self.repeats += (arrival.device, arrival.id) in self.stored
            self.stored[arrival.device, arrival.id] = arrival

    @property
    def ids(self) -> set[str]:
        return {id_ for _, id_ in self.stored}


@dataclass
class Roll:
    """Who is admitted, changed at will."""

    devices: dict[str, str] = field(default_factory=dict)
    trouble: SightlineError | None = None

    def device(self, public_key: str) -> str | None:
        if self.trouble is not None:
            raise self.trouble
        return self.devices.get(public_key)


@dataclass
class Pulses:
    """The heartbeats heard, the newest last."""

    heartbeats: list[tuple[str, Heartbeat, int]] = field(default_factory=list)

    def heard_all(self, heartbeats: Mapping[str, Heartbeat], at_ms: int) -> None:
        self.heartbeats += [(device, heartbeat, at_ms) for device, heartbeat in heartbeats.items()]


@dataclass
class Centre:
    """A real intake over ports in memory; it can be stopped and started again like a killed process."""

    key: curve.CurveKey = field(default_factory=curve.make)
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    roll: Roll = field(default_factory=Roll)
    pulses: Pulses = field(default_factory=Pulses)
    publications: Publications = field(default_factory=Nothing)
    endpoint: str = "tcp://127.0.0.1:*"
    pace: Pace = QUICK
    reception: Reception | None = None
    intake: Intake | None = None

    @property
    def report(self) -> IntakeReport:
        assert self.intake is not None
        return self.intake.report()

    def refused(self, reason: str) -> int:
        return self.report.refused.get(reason, 0)

    def has_more_than(self, many: int) -> bool:
        return len(self.inbox.stored) > many

    def make(self) -> Intake:
        """Make an intake that is not yet bound."""
        return Intake(
            IntakeSettings(endpoint=self.endpoint, pace=self.pace),
            key=self.key,
            inbox=self.inbox,
            admissions=self.roll,
            heartbeats=self.pulses,
            reception=self.reception,
            publications=self.publications,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the intake until the block ends; the next one listens at the same address."""
        self.intake = self.make()
        for attempt in range(200):
            try:
                self.endpoint = self.intake.bind()
                break
            except WorldError:  # the last one's port is being freed
                assert attempt < 199
                time.sleep(0.01)
        stop = threading.Event()
        thread = threading.Thread(target=self.intake.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
