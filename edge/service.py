"""The composition roots: `watch` sees faces, `link` talks to the centre. Two processes, one outbox between.

This is where files are owned, and rooms are built from the configuration.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
import structlog

from edge import fitness, selftest
from edge.config import Base, Config
from edge.errors import IntegrityError, OperatorError, SightlineError
from edge.examining import apart
from edge.exposition import told_if_wanted
from edge.fetching import LinkCarrier
from edge.given import given
from edge.link import Link
from edge.metrics import BoxNumbers
from edge.notify import Notifier
from edge.outbox import Outbox
from edge.running import current_word, running
from edge.state.places import Places
from edge.state.trust import Trust
from edge.telling import LinkReport, said_by_watch
from edge.updating import Updating
from edge.watching import REPORT_S, Status, Watch
from edge.wire import curve, sealing

UPDATE_END_S = 5.0
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
        if not isinstance(base, Config) and not _awaited(home, outbox, systemd, stop):
            return Status(ended=True)
        systemd.status("starting: loading models and watchlist")
        outbox.report("watch", msgspec.json.encode(Status(at_ms=_now_ms(), troubles=("starting",))))
        word = current_word(home.pushed)
        tested = partial(_tested, outbox, "watch", base)
        tested()
        try:
            key = sealing.make_or_load(home.sealing_key)
            watch = Watch(running(base, home.pushed), outbox, key, systemd, wanted=lambda: current_word(home.pushed))
            return watch.run(stop)
        except SightlineError as error:
            tested(error)
            if not isinstance(error, OperatorError | IntegrityError):
                raise
            # The state's own fault: link need not wait to go back to the one before.
            if word:
                told = Status(at_ms=_now_ms(), state=word, unfit=str(error), troubles=(str(error),))
                outbox.report("watch", msgspec.json.encode(told))
            raise


def _tested(outbox: Outbox, process: str, base: Base, ended: SightlineError | None = None) -> None:
    """Test what is a process's own, and leave the result where the heartbeat finds it; a disk may refuse that."""
    home, now_ms = Home(Path(base.device.state)), _now_ms()
    key = home.curve_key if process == "link" else home.sealing_key
    built_ms = round(Path(__file__).stat().st_mtime * 1000)
    trials: list[tuple[str, selftest.Try]] = [
        ("key", lambda: f"its public half is {_key_of(process, home).public[:16]}…"),
        ("disk", lambda: fitness.disk(outbox.folder)),
        ("clock", lambda: fitness.clock(now_ms, built_ms, (key, outbox.folder))),
    ]
    if process == "link":
        trials.append(("pushed", lambda: fitness.pushed(home.pushed, base.device.id)))
    if ended is not None:
        trials.append(("run", lambda: selftest.failing(ended)))
    test = selftest.run(trials, now_ms)
    for part in test.failed:
        _log.error("selftest.failed", process=process, part=part.name, what=part.said, remedy=part.remedy)
    with contextlib.suppress(SightlineError):
        outbox.report(selftest.report_name(process), msgspec.json.encode(test))


def _key_of(process: str, home: Home) -> curve.CurveKey | sealing.SealingKey:
    return curve.make_or_load(home.curve_key) if process == "link" else sealing.make_or_load(home.sealing_key)


def _awaited(home: Home, outbox: Outbox, systemd: Notifier, stop: threading.Event) -> bool:
    """Wait for a state that the centre pushes, and say so; False if told to stop before."""
    _log.info("watch.waiting", what=WAITING)
    systemd.ready()
    while not stop.is_set():
        if current_word(home.pushed):
            return True
        systemd.alive()
        systemd.status(WAITING)
        outbox.report("watch", msgspec.json.encode(Status(at_ms=_now_ms(), troubles=(WAITING,))))
        stop.wait(REPORT_S)
    systemd.stopping()
    return False


def run_link(config: Base, stop: threading.Event, *, drain: bool) -> LinkReport:
    """Carry the outbox to the centre until told to stop, or until a replay's outbox is empty."""
    home = Home(Path(config.device.state))
    with (
        Notifier() as systemd,
        Outbox.open(home.outbox, config.outbox) as outbox,
        _updated(config, home, outbox) as (carrier, changes),
    ):
        link = Link(
            config.link,
            device=config.device.id,
            software=f"sightline {version('sightline')}",
            key=curve.make_or_load(home.curve_key),
            outbox=outbox,
            systemd=systemd,
            carrier=carrier,
            changes=changes,
        )
        _tested(outbox, "link", config)
        applied = changes.applied if changes else lambda: None
        numbers = BoxNumbers(outbox, device=config.device.id, clock=_now_ms, applied=applied)
        with told_if_wanted([numbers], config.metrics):
            return link.run(stop, drain=drain)


@contextmanager
def _updated(config: Base, home: Home, outbox: Outbox) -> Iterator[tuple[LinkCarrier | None, Updating | None]]:
    """Have what the centre pushes brought about, where this box was given a root to believe it by."""
    if not home.root.exists():
        yield None, None
        return
    carrier, stop = LinkCarrier(), threading.Event()
    updating = Updating(
        config.update,
        trust=Trust(home.pushed, home.root.read_bytes(), config.device.id, carrier),
        places=Places(home.pushed),
        checks=(apart(config, stop),),
        watch=lambda: said_by_watch(outbox),
        now_ms=_now_ms,
    )
    thread = threading.Thread(target=updating.run, args=(stop,), name="update", daemon=True)
    thread.start()
    try:
        yield carrier, updating
    finally:
        stop.set()
        carrier.close()
        thread.join(UPDATE_END_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
