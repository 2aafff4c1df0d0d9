"""`edge provision FILE`: from a box that nobody knows to one of a centre's, in steps that a power cut may stop.

In this order, each step on the disk before the next: the file is judged, the keys are made, the centre is told
them, the root of trust is written, the token noted as spent, the base configuration written, the token erased.
Whatever was cut off, the same file again goes on from there: keys that are there are kept, and the centre takes
the same keys again as a repeat. The units wait for the base configuration, which comes last of what they need.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import structlog
import yaml

from edge import durable
from edge.config import Base, CentreSettings, DeviceSettings, load_base
from edge.errors import OperatorError, PeerError, SightlineError, WorldError
from edge.line import Dialler, Line
from edge.link import LinkSettings
from edge.service import Home
from edge.state.trust import check_root
from edge.wire import codec, curve, provisioning, sealing
from edge.wire.announcing import Announcing, AnnouncingEvent, GaveUp, Known
from edge.wire.messages import Announce
from edge.wire.provisioning import SPENT, Provisioning, fingerprint
from edge.wire.turns import Dial, HangUp, Heard, Instant, Parting, Say, Tick, Unreadable

ANSWER_S = 10.0
"""How long an address of the centre is waited for, and again for its answer, seconds."""
_POLL_MS = 50
_READABLE = 0o644

_log: structlog.stdlib.BoundLogger = structlog.get_logger("edge.provision")

_Tell = Callable[[str], None]


def provision(file: Path, folder: Path, say: _Tell, *, again: bool = False, answer_s: float = ANSWER_S) -> None:
    """Make this box the one that `file` is for, with its state in `folder`; raises what is in the way."""
    home = Home(folder)
    if _is_erased(file) and home.provisioned.exists():
        _erase(file, say)
        say("this box is provisioned already")
        return
    given = _read(file, say)
    if home.provisioned.exists():
        if _noted(home) == given.key.public:
            _erase(file, say)
            say("this box is provisioned already, by this very file")
            return
        _leave_the_old(home, given, again=again)
    announce = Announce(
        given.device,
        f"sightline {version('sightline')}",
        curve.make_or_load(home.curve_key).public,
        sealing.make_or_load(home.sealing_key).public,
    )
    say(f"device       {announce.device}")
    say(f"fingerprint  {fingerprint(announce.device, announce.curve, announce.seal)}")
    known = _announce(given, announce, answer_s)
    durable.write(home.root, given.root_bytes, mode=_READABLE)
    durable.write(_note(home), given.key.public.encode())
    durable.write(home.provisioned, _base(given, folder), mode=_READABLE)
    _erase(file, say)
    say(
        "admitted: link and watch may run"
        if known.admitted
        else f"announced: compare the fingerprint at the centre, then: sightline device admit {given.device}"
    )


def _read(file: Path, say: _Tell) -> Provisioning:
    """Read the file and say each thing that is wrong with it on a line of its own."""
    given = provisioning.read(file)
    wrong = list(provisioning.problems(given))
    if not any(line.startswith("root:") for line in wrong):
        try:
            check_root(given.root_bytes)
        except SightlineError as error:
            wrong.append(f"root: {error.message}")
    for line in wrong:
        say(f"FAIL  {line}")
    if wrong:
        raise OperatorError(
            f"{file} cannot be used: {len(wrong)} of its values are wrong",
            hint="make another at the centre: sightline device invite",
        )
    return given


def _base(given: Provisioning, folder: Path) -> bytes:
    base = Base(
        device=DeviceSettings(id=given.device, state=str(folder.absolute())),
        centre=CentreSettings(sealing_key=given.sealing_key),
        link=LinkSettings(endpoints=given.endpoints, centre_key=given.centre_key),
    )
    said = {name: tree for name, tree in msgspec.to_builtins(base).items() if name != "outbox"}
    said["device"].pop("tally_s")
    said["link"].pop("pace")
    return f"# Written by `edge provision`; it holds no secret.\n{yaml.safe_dump(said, sort_keys=False)}".encode()


# ------------------------------------------------------------------ who this box was before


def _leave_the_old(home: Home, given: Provisioning, *, again: bool) -> None:
    """Refuse another centre or identity, or with `again` forget everything that belongs to the one before."""
    before = load_base(home.provisioned)
    same = (
        before.device.id == given.device
        and before.centre.sealing_key == given.sealing_key
        and before.link.centre_key == given.centre_key
    )
    if same:
        return
    if not again:
        raise OperatorError(
            f"this box is {before.device.id} of another centre or by another name already, and the file is for"
            f" {given.device}",
            hint="--again makes it forget that one, with its keys, its watchlist and all that waits to be sent",
        )
    _log.warning("provision.again", before=before.device.id, now=given.device)
    try:
        for folder in (home.pushed, home.outbox.parent, home.folder / "watch", home.curve_key.parent):
            _empty(folder)
        home.root.unlink(missing_ok=True)
        # Last: until it is gone, the same command begins anew after a power cut.
        home.provisioned.unlink()
        durable.settle(home.folder)
    except OSError as error:
        raise WorldError(f"cannot forget what was in {home.folder}: {error.strerror}") from error


def _empty(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if folder.is_dir():
        durable.settle(folder)


def _note(home: Home) -> Path:
    """Return the place of the public half of the last token that did its work."""
    return home.folder / "keys" / "token.spent"


def _noted(home: Home) -> str:
    with contextlib.suppress(OSError):
        return _note(home).read_text("ascii")
    return ""


# ------------------------------------------------------------------ the token


def _is_erased(file: Path) -> bool:
    """Tell whether the token was overwritten, or the file is gone: what a power cut leaves of `_erase`."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(SPENT)) == SPENT
    except OSError:  # whoever reads it next says why
        return False


def _erase(file: Path, say: _Tell) -> None:
    """Overwrite the file and remove it; where it cannot be, the token is spent all the same."""
    try:
        with file.open("r+b") as opened:
            size = os.fstat(opened.fileno()).st_size
            opened.write(SPENT + b"\n" * max(1, size - len(SPENT)))
            opened.flush()
            os.fsync(opened.fileno())
        file.unlink()
        durable.settle(file.parent)
    except OSError as error:
        _log.warning("provision.not_erased", file=str(file), why=error.strerror)
        say(f"{file} could not be erased ({error.strerror}): remove it; its token is spent")


# ------------------------------------------------------------------ the announcement


def _announce(given: Provisioning, announce: Announce, answer_s: float) -> Known:
    announcing = Announcing(announce, endpoints=len(given.endpoints), answer_s=answer_s)
    with Dialler(centre_key=curve.checked_public(given.centre_key), key=given.key) as dialler:
        door = _Door(given.endpoints, dialler)
        try:
            while True:
                for event in door.wait():
                    for action in announcing.handle(event, _now()):
                        match action:
                            case Known():
                                return action
                            case GaveUp():
                                raise _trouble(given, action)
                            case _:
                                door.do(action)
        finally:
            door.close()


class _Door:
    """The socket of an announcement."""

    def __init__(self, endpoints: tuple[str, ...], dialler: Dialler) -> None:
        self._endpoints = endpoints
        self._dialler = dialler
        self._line: Line | None = None

    def wait(self) -> list[AnnouncingEvent]:
        """Return what has happened, a tick at least."""
        if self._line is None:
            return [Tick()]
        happened = self._line.wait(_POLL_MS)
        events: list[AnnouncingEvent] = [*happened.line]
        for frames in happened.messages:
            try:
                events.append(Heard(codec.decode_from_centre(frames).message))
            except codec.Garbled as error:
                events.append(Unreadable(error.reason, error.message))
        return [*events, Tick()]

    def do(self, action: Dial | Say | HangUp) -> None:
        """Carry out what the conversation says."""
        match action:
            case Dial(endpoint):
                self._line = self._dialler.dial(self._endpoints[endpoint])
            case Say(message):
                if self._line is not None:
                    self._line.send(codec.encode(message))
            case HangUp():
                self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._line is not None:
            self._line.close()
        self._line = None


def _trouble(given: Provisioning, gave_up: GaveUp) -> SightlineError:
    where = given.endpoints[gave_up.endpoint]
    match gave_up.why:
        case Parting.DENIED:
            return PeerError(
                f"the centre at {where} does not know this token: expired, withdrawn, or replaced by another",
                hint=f"make another file at the centre: sightline device invite {given.device}",
            )
        case Parting.REFUSED | Parting.VERSION:
            return PeerError(
                f"the centre at {where} refused this box: {gave_up.detail}",
                hint=f"if nobody knows why, someone else may have had the file: see sightline device pending there,"
                f" and make another: sightline device invite {given.device}",
            )
        case Parting.WRONG_KEY:
            return PeerError(
                f"what answers at {where} is not the centre that this file names",
                hint="check the address, and who answers there",
            )
        case Parting.GARBAGE | Parting.OUT_OF_TURN:
            return PeerError(f"the centre at {where} answered with something else: {gave_up.detail}")
        case _:
            return WorldError(
                f"no centre answers at {', '.join(given.endpoints)} ({gave_up.why.value})",
                hint="start it, or check this box's network; the same command goes on from here",
            )


def _now() -> Instant:
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)
