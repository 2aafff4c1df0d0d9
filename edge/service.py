"""The composition roots: `watch` sees faces, `link` talks to the centre. Two processes, one outbox between.

This is where files are owned, and rooms are built from the configuration.
"""

import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import structlog

from edge.config import Base, Config, load_config
from edge.exposition import told_if_wanted
from edge.given import given
from edge.link import Link, LinkReport
from edge.metrics import BoxNumbers
from edge.notify import Notifier
from edge.outbox import Outbox
from edge.watching import REPORT_S, Status, Watch
from edge.wire import curve, sealing
from edge.wire.push import CONFIG

WAITING = "waiting for a configuration from the centre"

_log: structlog.stdlib.BoundLogger = structlog.get_logger("edge.watch")


@dataclass(frozen=True)
class Home:
    """Where a box keeps what is its own."""

    folder: Path

    @property
    def sealing_key(self) -> Path:
        """Return the place of watch's key: what systemd gave the service, else its own folder."""
        return given("seal.key") or self.folder / "keys" / "seal.key"

    @property
    def curve_key(self) -> Path:
        """Return the place of link's key, likewise."""
        return given("curve.key") or self.folder / "keys" / "curve.key"

    @property
    def outbox(self) -> Path:
        """Return the place of the one seam between the two processes, in a folder that a group may share."""
        return self.folder / "outbox" / "outbox.db"

    @property
    def provisioned(self) -> Path:
        """Return the place of what `edge provision` wrote: who this box is and where its centre is, no secret."""
        return self.folder / "provisioned.yaml"

    @property
    def root(self) -> Path:
        """Return the place of the root of trust in what is pushed, as the box was provisioned with it."""
        return self.folder / "root.json"

    @property
    def pushed(self) -> Path:
        """Return the folder of what the centre pushed: link writes it, watch reads it."""
        return self.folder / "pushed"


def public_keys(config: Base) -> dict[str, str]:
    """Return what `sightline device admit` needs, making the keys if there are none."""
    home = Home(Path(config.device.state))
    return {
        "device": config.device.id,
        "curve": curve.make_or_load(home.curve_key).public,
        "seal": sealing.make_or_load(home.sealing_key).public,
    }


def run_watch(base: Base, stop: threading.Event) -> Status:
    """See faces until told to stop or until the video ends; a box that was told no camera waits for one."""
    home = Home(Path(base.device.state))
    with Notifier() as systemd, Outbox.open(home.outbox, base.outbox) as outbox:
        config = base if isinstance(base, Config) else _awaited(home, outbox, systemd, stop)
        if config is None:
            return Status(ended=True)
        systemd.status("starting: loading models and watchlist")
        outbox.report("watch", msgspec.json.encode(Status(at_ms=_now_ms(), troubles=("starting",))))
        return Watch(config, outbox, sealing.make_or_load(home.sealing_key), systemd).run(stop)


def _awaited(home: Home, outbox: Outbox, systemd: Notifier, stop: threading.Event) -> Config | None:
    """Wait for the configuration that the centre pushes, and say so; None if told to stop before."""
    path = home.pushed / "current" / CONFIG
    _log.info("watch.waiting", what=WAITING)
    systemd.ready()
    while not stop.is_set():
        if path.exists():
            return load_config(path)
        systemd.alive()
        systemd.status(WAITING)
        outbox.report("watch", msgspec.json.encode(Status(at_ms=_now_ms(), troubles=(WAITING,))))
        stop.wait(REPORT_S)
    systemd.stopping()
    return None


def run_link(config: Base, stop: threading.Event, *, drain: bool) -> LinkReport:
    """Carry the outbox to the centre until told to stop, or until a replay's outbox is empty."""
    home = Home(Path(config.device.state))
    with Notifier() as systemd, Outbox.open(home.outbox, config.outbox) as outbox:
        link = Link(
            config.link,
            device=config.device.id,
            software=f"sightline {version('sightline')}",
            key=curve.make_or_load(home.curve_key),
            outbox=outbox,
            systemd=systemd,
        )
        numbers = BoxNumbers(outbox, device=config.device.id, clock=_now_ms)
        with told_if_wanted([numbers], config.metrics):
            return link.run(stop, drain=drain)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
