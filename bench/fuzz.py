"""Coverage-guided garbage for everything that reads what a stranger wrote: `make fuzz SECONDS=60`.

Needs atheris (the extra `fuzz`; a tool of development, with wheels for x86-64 alone). Each target runs in a
process of its own under libFuzzer's limits: 5 seconds and 512 MB for one input. A crash, an error that is
none of ours, a broken invariant or memory that grows ends it, and the input is left in the current folder.

codec       frames to messages, both ways; what was read can be written and read again
box         the box's half of the conversation: any event, any word of a peer, any jump of the clock
centre      the centre's half, likewise
watchlist   what a box opens as its watchlist
outbox      rows of the outbox as link reads them
push        pieces that a hostile carrier brings for the files of a repository
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edge"]):
    from edge.errors import SightlineError
    from edge.link import _letter
    from edge.outbox import Outgoing
    from edge.state.carrier import Piece
    from edge.state.trust import Trust
    from edge.wire import codec, watchlist
    from edge.wire.conversation import CentreSide, DeviceSide, Instant, Letter, Pace
    from edge.wire.messages import Ack, Chunk, Event, Fetch, Heartbeat, Hello, Pulse, Reason, Refused, Tally, Welcome
    from edge.wire.turns import (
        Commit,
        Committed,
        Expelled,
        Forget,
        HangUp,
        Heard,
        Lost,
        Note,
        Offered,
        Opened,
        Parting,
        Say,
        Served,
        State,
        Tick,
        Unreadable,
        Wanted,
    )

PACE = Pace(window=4, window_bytes=4096)
MAX_STEPS = 200
_IDS = ("a", "b", "c", "d", "e", "f")
_FROM_CENTRE = (
    Welcome(1), Welcome(1, desired="word"), Pulse(1), Pulse(1, "word"), Ack(("a", "b")), Ack(("stranger",)),
    Refused(Reason.NO_HELLO), Refused(Reason.OVERSIZE, "", "a"),
    Chunk("metadata/root.json", 0), Chunk("x", 5, eof=True),
)  # fmt: skip
_FROM_DEVICE = (
    Hello("box-1", "1"), Hello("box-2", "1"), Hello("box-1", "1", 9), Event("a", 1), Event("b", 1),
    Tally("t", "door", 1, 2, 3, 4, 5, 6, 7, 8), Heartbeat(1), Fetch("metadata/root.json", 0), Fetch("x", 2**50),
)  # fmt: skip


# ------------------------------------------------------------------ targets


def fuzz_codec(data: bytes) -> None:
    """Read frames as either end would: a byte that says how many hold what, then header and payload."""
    many, cut = divmod(data[0], 64) if data else (0, 0)
    rest = data[1:]
    frames = [[rest], [rest[:-cut], rest[-cut:]], [rest, b""], [rest[:cut]] * 3][many] if cut else [rest]
    for read in (codec.decode_from_device, codec.decode_from_centre):
        try:
            said = read(frames)
        except codec.Garbled:
            continue
        again = read(codec.encode(said.message, said.payload))
        assert again == said  # noqa: S101


def fuzz_box(data: bytes) -> None:
    """Let anything happen to a box."""
    given = atheris.FuzzedDataProvider(data)
    at_s, on_the_way = 0.0, set[str]()
    box = DeviceSide(Hello("box-1", "1"), PACE, endpoints=2, random=lambda: 0.5, now=_at(0))
    for _ in range(MAX_STEPS):
        if not given.remaining_bytes():
            return
        at_s += given.ConsumeFloatInRange(0, 20)
        event = _for_box(given, box)
        for action in box.handle(event, _at(at_s)):
            match action:
                case Say(Event(event_id)):
                    on_the_way.add(event_id)
                case Forget(ids):
                    assert set(ids) <= on_the_way  # noqa: S101
                    on_the_way -= set(ids)
                case HangUp():
                    on_the_way.clear()
        box.handle(Tick(), _at(at_s))
        assert box.unacked <= PACE.window  # noqa: S101
        assert box.wakes_at_s > at_s  # noqa: S101


def fuzz_centre(data: bytes) -> None:
    """Let anything happen to the centre's half."""
    given = atheris.FuzzedDataProvider(data)
    at_s, greeted = 0.0, False
    centre = CentreSide("box-1", PACE, now=_at(0), desired=lambda: "word")
    for _ in range(MAX_STEPS):
        if not given.remaining_bytes():
            return
        at_s += given.ConsumeFloatInRange(0, 20)
        event = _for_centre(given)
        gone = centre.state is State.GONE
        actions = centre.handle(event, _at(at_s))
        greeted = greeted or any(isinstance(act, Say) and isinstance(act.message, Welcome) for act in actions)
        assert greeted or not any(isinstance(act, Commit | Note) for act in actions)  # noqa: S101
        assert not (gone and actions)  # noqa: S101
        for act in actions:
            if isinstance(act, Say):
                codec.encode(act.message, act.payload)


def fuzz_watchlist(data: bytes) -> None:
    """Open something as a watchlist."""
    try:
        opened = watchlist.decode(data)
    except SightlineError:
        return
    assert watchlist.decode(watchlist.encode(opened)) == opened  # noqa: S101


def fuzz_outbox(data: bytes) -> None:
    """Read a row that somebody else put into the outbox: its header, and a payload where the last byte says so."""
    letter = _letter(Outgoing(id="a", kind="event", header=data[:-1], payload=data[-1:] if data[-1:] > b"p" else b""))
    assert letter is None or letter.id == "a"  # noqa: S101


class _Hostile:
    """A carrier that brings whatever it is told to, and never the same amount."""

    def __init__(self, given: "atheris.FuzzedDataProvider") -> None:
        self._given = given
        self._brought = 0

    def piece(self, path: str, offset: int, max_bytes: int) -> Piece | None:
        """Bring something, for an end."""
        del path, offset
        self._brought += 1
        if self._brought > 50 or self._given.ConsumeProbability() < 0.1:
            return None
        size = self._given.ConsumeIntInRange(0, min(max_bytes, 2048) + 1)
        return Piece(self._given.ConsumeBytes(size), eof=self._given.ConsumeBool())


def fuzz_push(data: bytes) -> None:
    """Look for what is published, with a hostile carrier; nothing of it may ever be believed."""
    given = atheris.FuzzedDataProvider(data)
    root = given.ConsumeBytes(given.ConsumeIntInRange(0, 2048))
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Trust(Path(folder), root, "box-1", _Hostile(given)).look() as look:
                raise AssertionError(f"believed {look}")
        except SightlineError:
            return


# ------------------------------------------------------------------ what happens


def _at(seconds: float) -> Instant:
    return Instant(seconds, int(seconds * 1000))


def _for_box(given: "atheris.FuzzedDataProvider", box: DeviceSide) -> object:
    names = [given.PickValueInList(list(_IDS)) for _ in range(min(given.ConsumeIntInRange(0, 3), box.room))]
    events: list[Callable[[], object]] = [
        Tick,
        Opened,
        lambda: Lost(given.PickValueInList(list(Parting))),
        lambda: Offered([Letter(Event(name, 1), b"x" * given.ConsumeIntInRange(1, 3000)) for name in names]),
        lambda: Wanted(given.PickValueInList(["metadata/root.json", "x"]), given.ConsumeIntInRange(0, 2**40)),
        lambda: Unreadable(given.PickValueInList(list(Reason))),
        lambda: _read(codec.decode_from_centre, given),
        lambda: Heard(given.PickValueInList(list(_FROM_DEVICE)), given.ConsumeBytes(3)),
        lambda: Heard(given.PickValueInList(list(_FROM_CENTRE)), given.ConsumeBytes(3)),
    ]
    return given.PickValueInList(events)()


def _for_centre(given: "atheris.FuzzedDataProvider") -> object:
    events: list[Callable[[], object]] = [
        Tick,
        Expelled,
        lambda: Committed([given.PickValueInList(list(_IDS)) for _ in range(given.ConsumeIntInRange(0, 600))]),
        lambda: Served(given.PickValueInList([Chunk("x", 0), Chunk("x", 0, missing=True)]), given.ConsumeBytes(9)),
        lambda: Unreadable(given.PickValueInList(list(Reason))),
        lambda: _read(codec.decode_from_device, given),
        lambda: Heard(given.PickValueInList(list(_FROM_CENTRE)), given.ConsumeBytes(3)),
        lambda: Heard(given.PickValueInList(list(_FROM_DEVICE)), given.ConsumeBytes(3)),
    ]
    return given.PickValueInList(events)()


def _read(read: Callable[[list[bytes]], "codec.Said[object]"], given: "atheris.FuzzedDataProvider") -> object:
    try:
        said = read([given.ConsumeBytes(given.ConsumeIntInRange(0, 512)), given.ConsumeBytes(8)])
    except codec.Garbled as error:
        return Unreadable(error.reason, error.message)
    return Heard(said.message, said.payload)


# ------------------------------------------------------------------ running

TARGETS = {
    "codec": fuzz_codec,
    "box": fuzz_box,
    "centre": fuzz_centre,
    "watchlist": fuzz_watchlist,
    "outbox": fuzz_outbox,
    "push": fuzz_push,
}
_SEEDS: dict[str, list[bytes]] = {
    "codec": [bytes([64 + 3]) + codec.encode(said)[0] + b"xyz" for said in (*_FROM_CENTRE, *_FROM_DEVICE[:3])],
    "outbox": [codec.encode(said, b"x" * isinstance(said, Event))[0] + b"x" for said in _FROM_DEVICE],
    "watchlist": [
        watchlist.encode(
            watchlist.SealedWatchlist(
                watchlist="w",
                device="d",
                made_at_ms=1,
                expires_at_ms=2,
                deployment=watchlist.Deployment(
                    id="x", purpose="p", legal_basis="l", authorised_by="a", place="here", from_ms=1, until_ms=2
                ),
                model_sha256="0" * 64,
                dimension=2,
                entries=("a", "b"),
                owners=b"\0" * 8,
                templates=b"\0" * 8,
            )
        )
    ],
}
"""Real messages to begin with: garbage alone hardly ever gets past the first byte."""
_EVERY = 20_000
_MAX_GROWTH = 4 * 1024 * 1024


def _watched(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return a target whose objects are counted: what it leaves behind must not grow with the inputs."""
    runs, first = 0, 0

    def watched(data: bytes) -> None:
        nonlocal runs, first
        target(data)
        runs += 1
        if runs % _EVERY == 0:
            now, _ = tracemalloc.get_traced_memory()
            first = first or now
            assert now - first < _MAX_GROWTH, f"{now - first} bytes more than after {_EVERY} runs"  # noqa: S101

    return watched


def main() -> None:
    """Run one target under libFuzzer, or all of them in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    chosen = parser.parse_args()
    if chosen.target is not None:  # libFuzzer ends the process itself
        tracemalloc.start()
        limits = [f"-max_total_time={chosen.seconds}", "-rss_limit_mb=512", "-timeout=5", "-max_len=16384"]
        with tempfile.TemporaryDirectory() as seeds:
            for number, seed in enumerate(_SEEDS.get(chosen.target, [])):
                (Path(seeds) / str(number)).write_bytes(seed)
            atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", seeds], _watched(TARGETS[chosen.target]))
            atheris.Fuzz()
    failed = [name for name in TARGETS if not _one(name, chosen.seconds)]
    if failed:
        raise SystemExit(f"findings in: {', '.join(failed)}")


def _one(name: str, seconds: int) -> bool:
    """Run a target in a process of its own and tell in one line how it went."""
    command = [sys.executable, __file__, name, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    told = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    cover = re.findall(r"cov: (\d+)", done.stderr)[-1:] or ["0"]
    runs, memory = told.get("number_of_executed_units", "?"), told.get("peak_rss_mb", "?")
    print(f"{name:10} {runs:>9} inputs  {cover[0]:>5} edges  {memory:>4} MB at most  exit {done.returncode}")
    if done.returncode:
        print(done.stderr[-3000:])
    return not done.returncode


if __name__ == "__main__":
    main()
