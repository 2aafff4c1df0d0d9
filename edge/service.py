"""The composition roots: `watch` sees faces, `link` talks to the centre. Two processes, one outbox between.

This is where files are owned, and rooms are built from the configuration.
"""

import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from edge.config import Config
from edge.given import given
from edge.link import Link, LinkReport
from edge.notify import Notifier
from edge.outbox import Outbox
from edge.watching import Status, Watch
from edge.wire import curve, sealing


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


def public_keys(config: Config) -> dict[str, str]:
    """Return what `sightline device admit` needs, making the keys if there are none."""
    home = Home(Path(config.device.state))
    return {
        "device": config.device.id,
        "curve": curve.make_or_load(home.curve_key).public,
        "seal": sealing.make_or_load(home.sealing_key).public,
    }


def run_watch(config: Config, stop: threading.Event) -> Status:
    """See faces until told to stop or until the video ends."""
    home = Home(Path(config.device.state))
    with Notifier() as systemd, Outbox.open(home.outbox, config.outbox) as outbox:
        systemd.status("starting: loading models and watchlist")
        outbox.report("watch", msgspec.json.encode(Status(at_ms=_now_ms(), troubles=("starting",))))
        return Watch(config, outbox, sealing.make_or_load(home.sealing_key), systemd).run(stop)


def run_link(config: Config, stop: threading.Event, *, drain: bool) -> LinkReport:
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
        return link.run(stop, drain=drain)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
