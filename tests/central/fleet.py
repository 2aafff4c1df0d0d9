"""A centre that pushes, and boxes that do what they are told, or do not."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from central.fleet import admit, wanted_devices
from central.parts import Workshop
from central.publishing.ceremony import sign_root
from central.publishing.repository import Repository
from central.publishing.shelf import Shelf
from central.pushing import Pushing, open_pushing
from central.settings import CentreSettings
from central.store.rollouts import Rollout, What
from central.store.state import StateDir, Store
from edge import durable
from edge.wire import curve, sealing
from edge.wire.messages import Applied, Heartbeat, Phase
from edge.wire.push import CONFIG
from tests.pushing import now

TEMPLATE = b'camera: {id: door, source: "file:///dev/null"}\nlink: {endpoints: ["tcp://192.0.2.1:5810"]}\n'
PATIENCE_MS = 60_000
Pack = Callable[[Path], None]
RUN = threading.Event()
"""Never set: a step goes as far as it can."""


@dataclass
class Clock:
    """A clock that tests put forward."""

    at_ms: int = field(default_factory=lambda: int(now().timestamp() * 1000))

    def __call__(self) -> int:
        return self.at_ms

    def pass_(self, span: timedelta) -> None:
        self.at_ms += int(span.total_seconds() * 1000)


@dataclass
class Box:
    """A box that reports: it runs what is desired at once, unless it refuses or is off."""

    id: str
    runs: str = ""
    refuses: str = ""
    off: bool = False
    seeing: bool = True
    troubles: tuple[str, ...] = ()

    def beat(self, centre: "Centre") -> None:
        if self.off:
            return
        desired = Shelf(centre.state.push).desired(self.id)
        applied = Applied(state=self.runs)
        if desired and desired != self.runs and self.refuses:
            applied = Applied(state=self.runs, phase=Phase.REFUSED, about=desired, refused=self.refuses)
        elif desired:
            self.runs = desired
            applied = Applied(state=desired)
        said = Heartbeat(centre.clock(), seeing=self.seeing, troubles=self.troubles, applied=applied)
        centre.store.devices.heard(self.id, said, centre.clock())


@dataclass
class Centre:
    """A store, a repository with a root, and who pushes with them."""

    state: StateDir
    store: Store
    clock: Clock = field(default_factory=Clock)
    workshop: Workshop | None = None

    @property
    def repository(self) -> Repository:
        return Repository(self.state.push, self.state.push_keys)

    @property
    def pushing(self) -> Pushing:
        """Return a new one each time, as after a restart."""
        if self.workshop is None:
            return open_pushing(self.state, CentreSettings(), self.store, self.clock)
        return Pushing(self.store, self.repository, self.state.push_payloads, self.workshop, self.clock)

    def sign_root(self) -> None:
        online = self.state.push_keys / "online.pem"
        sign_root(self.state.push, self.state.folder / "root.pem", online, None, now=now())

    def box(self, name: str, **as_it_is: object) -> Box:
        key = sealing.make_or_load(self.state.folder / "boxes" / name)
        admit(self.store, name, curve.make().public, key.public, self.clock())
        box = Box(name, **as_it_is)  # type: ignore[arg-type]
        box.beat(self)
        return box

    def push(
        self,
        target: str,
        what: What = What.CONFIG,
        pack: Pack | None = None,
        *,
        stages: str = "1,10%,all",
        halts: bool = True,
        model: str = "",
    ) -> int:
        if what is not What.CONFIG:
            self.configure(target)
        put: Pack = pack or (lambda folder: durable.write(folder / CONFIG, TEMPLATE))
        begun = self.pushing.begin(
            what, target, put, stages=stages, halts=halts, patience_ms=PATIENCE_MS, model=model
        )
        return begun.number

    def configure(self, target: str) -> None:
        """Publish a configuration for boxes that have none: they take nothing else without one."""
        for device in wanted_devices(self.store, target):
            if not self.repository.published(device, now=now()):
                self.repository.publish(device, {CONFIG: TEMPLATE}, now=now())

    def turn(self, *boxes: Box, steps: int = 1) -> None:
        """Let the centre do what is to be done and the boxes report, so many times."""
        for _ in range(steps):
            self.clock.pass_(timedelta(seconds=1))
            self.pushing.step(RUN)
            self.clock.pass_(timedelta(seconds=1))
            for box in boxes:
                box.beat(self)

    def rollout(self, number: int) -> Rollout:
        found = self.store.rollouts.find(number)
        assert found is not None
        return found
