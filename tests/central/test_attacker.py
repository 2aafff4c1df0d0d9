"""An attacker on the link: each is refused, counted and told once, and learns nothing from any byte it sees."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from structlog.testing import capture_logs

from central import connections
from central.connections import MAX_UNREAD_BYTES, Connections, Excess
from central.switchboard import Switchboard
from edge.outbox import Outgoing
from edge.wire import curve, sealing
from edge.wire.codec import encode
from edge.wire.messages import Ack, Candidate, Event, Hello, Reason, Refused, Shot
from edge.wire.messages import Box as Place
from tests.central.crafted import CraftedBox
from tests.central.ports import Centre, eventually
from tests.central.test_intake import HELLO, RawBox
from tests.central.wiretap import Wiretap, wiretap
from tests.edge.test_link import Box

pytestmark = pytest.mark.slow

MARKER = b"a face that nobody on the way may see"
TEMPLATE = bytes(range(256)) * 4
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01"
"""How ZMTP begins (RFC 37): signature, then version; mechanism and role follow."""


@pytest.fixture
def centre() -> Iterator[Centre]:
    centre = Centre()
    with centre.running():
        yield centre


@pytest.fixture
def tap(centre: Centre) -> Iterator[Wiretap]:
    with wiretap(centre.endpoint) as tap:
        yield tap


@pytest.fixture
def box(tmp_path: Path, centre: Centre, tap: Wiretap) -> Iterator[Box]:
    with Box(tmp_path / "outbox.db", centre, endpoints=(tap.endpoint,)) as box:
        centre.roll.devices[box.key.public] = "box-1"
        yield box


def a_candidate(name: str, centre_seal: str) -> Outgoing:
    """Return a candidate as watch puts it: sealed for the centre."""
    place = Place(1.0, 2.0, 3.0, 4.0)
    shot = Shot(MARKER * 20, (0.0,) * 10, 0.5, 1, 1, place)
    candidate = Candidate(
        event_id=name,
        track_id="track-of-somebody",
        revision=0,
        device="box-1",
        camera="door-of-the-station",
        entry="entry-of-somebody",
        watchlist="watchlist-1",
        score=0.5,
        threshold=0.4,
        model_sha256="0" * 64,
        template=TEMPLATE,
        first_seen_ms=1,
        captured_at_ms=1,
        raised_at_ms=1,
        shots=(shot,),
    )
    return Outgoing.of(Event(name, 1), sealing.seal(centre_seal, msgspec.msgpack.encode(candidate)))


def told(log: Sequence[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [line for line in log if line["event"] == event]


def gets_nowhere(centre: Centre, stranger: RawBox, *, within_ms: int = 300) -> None:
    """Say hello and an event; hear nothing, and leave nothing."""
    stranger.say(HELLO)
    stranger.say(Event("from-a-stranger", 5), MARKER)
    assert stranger.hears(within_ms) is None
    assert centre.inbox.stored == {}
    assert centre.report.messages == 0


# ------------------------------------------------------------------ what a listener learns


def test_a_whole_conversation_with_candidates_shows_nothing_to_who_listens(
    box: Box, centre: Centre, tap: Wiretap, tmp_path: Path
) -> None:
    seal = sealing.make_or_load(tmp_path / "seal.key")
    rows = [a_candidate(f"candidate-{number}", seal.public) for number in range(20)]
    for row in rows:
        box.outbox.put(row)
    with box.linked():
        eventually(box.is_empty, "the outbox is empty")
        eventually(lambda: len(centre.pulses.heartbeats) > 1, "heartbeats")
    stored = {id_: arrival.payload for (_, id_), arrival in centre.inbox.stored.items()}
    assert stored == {row.id: row.payload for row in rows}
    opened = msgspec.msgpack.decode(sealing.unseal(seal, stored["candidate-7"]), type=Candidate)
    assert opened.template == TEMPLATE
    assert len(tap.up) > sum(len(row.payload) for row in rows)
    readable = [MARKER, TEMPLATE, b"box-1\xa0", b"candidate-", b"track-of-somebody", b"entry-of-somebody"]
    readable += [b"door-of-the-station", b"watchlist-1", b"heartbeat", b"event_id", b"software"]
    readable += [box.key.public.encode(), box.key.secret, centre.key.secret, centre.key.public.encode()]
    readable += [rows[3].payload, rows[3].header, bytes.fromhex(seal.public)]
    assert [secret for secret in readable if tap.shows(secret)] == []
    assert b"box-1" not in tap.seen
    assert tap.shows(b"CURVE\0\0\0"), "the capture is of the real thing: the mechanism's name is in clear"


def test_the_capture_would_show_what_is_not_encrypted() -> None:
    tap = Wiretap(up=bytearray(b"..." + MARKER[5:20] + b"..."), down=bytearray(TEMPLATE.hex().encode()))
    assert tap.shows(MARKER)
    assert tap.shows(TEMPLATE)
    assert not tap.shows(b"something else")


# ------------------------------------------------------------------ who comes without the right key


def test_a_client_without_encryption_is_refused_counted_and_told_once(centre: Centre) -> None:
    with capture_logs() as log:
        for _ in range(3):
            with RawBox(centre, encrypted=False).connected() as plain:
                gets_nowhere(centre, plain, within_ms=150)
        eventually(lambda: centre.report.broken_handshakes >= 3, "three broken handshakes")
    assert len(told(log, "intake.broken_handshake")) == 1


def test_a_client_with_a_password_is_refused_and_counted(centre: Centre) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.plain_username, plain.plain_password = b"admin", b"admin"
        plain.connect(centre.endpoint)
        stranger = RawBox(centre)
        stranger.socket = plain
        gets_nowhere(centre, stranger)
        eventually(lambda: centre.report.broken_handshakes > 0, "a broken handshake")


def test_an_unknown_key_is_refused_counted_told_once_and_learns_nothing(centre: Centre, tap: Wiretap) -> None:
    with capture_logs() as log:
        for _ in range(3):
            with RawBox(centre, admitted=False, endpoint=tap.endpoint).connected() as stranger:
                gets_nowhere(centre, stranger, within_ms=150)
        eventually(lambda: centre.report.denied >= 3, "three denials")
    assert len(told(log, "intake.denied")) == 1
    assert len(tap.down) < 3 * 1024
    assert not tap.shows(MARKER)
    assert not tap.shows(centre.key.public.encode())


def test_the_right_key_of_a_revoked_device_is_refused_on_old_and_new_connections(
    centre: Centre, tap: Wiretap
) -> None:
    with RawBox(centre, endpoint=tap.endpoint).connected() as revoked:
        revoked.greets()
        del centre.roll.devices[revoked.key.public]
        revoked.say(Event("e1", 5), MARKER)
        assert revoked.hears() == Refused(Reason.NOT_ADMITTED)
        denied = centre.report.denied
        with RawBox(centre, key=revoked.key, admitted=False, endpoint=tap.endpoint).connected() as again:
            again.say(HELLO)
            assert again.hears(200) is None
        eventually(lambda: centre.report.denied > denied, "counted")
    assert centre.inbox.stored == {}
    assert not tap.shows(MARKER)


def test_a_box_that_knows_another_centres_key_gets_nowhere_and_shows_nothing(
    box: Box, centre: Centre, tap: Wiretap
) -> None:
    box.centre_key = curve.make().public
    box.puts("recognisable-id", payload=MARKER)
    with capture_logs() as log, box.linked():
        eventually(lambda: box.report.last_parting == "wrong-key", "the link has tried")
        eventually(lambda: centre.report.broken_handshakes > 2, "and again, and again")
    assert box.outbox.count() == 1
    assert centre.report.messages == 0
    assert len([line for line in told(log, "link.disconnected") if line["why"] == "wrong-key"]) == 1
    assert not any(tap.shows(secret) for secret in (MARKER, b"recognisable-id", box.key.public.encode()))


def test_an_impostor_with_another_key_hears_nothing_from_the_box(tmp_path: Path) -> None:
    impostor, real = Centre(), curve.make()
    with impostor.running(), wiretap(impostor.endpoint) as tap:
        with Box(tmp_path / "outbox.db", impostor, centre_key=real.public, endpoints=(tap.endpoint,)) as box:
            impostor.roll.devices[box.key.public] = "box-1"
            box.puts("recognisable-id", payload=MARKER)
            with box.linked():
                eventually(lambda: box.report.last_parting == "wrong-key", "the link has tried")
            assert box.outbox.count() == 1
            assert box.report.messages_sent == 0
        assert impostor.report.messages == 0
        assert not any(tap.shows(secret) for secret in (MARKER, b"recognisable-id", box.key.public.encode()))


# ------------------------------------------------------------------ who comes with noise


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n" * 100, b"\0" * 4096, os.urandom(4096), GREETING + os.urandom(1000)],
    ids=["http", "zeros", "random", "greeting-then-random"],
)
def test_noise_before_a_handshake_harms_nobody(centre: Centre, noise: bytes) -> None:
    with raw(centre) as end:
        end.sendall(noise)
        with RawBox(centre).connected() as honest:
            honest.greets()
    assert centre.report.messages == 1


@pytest.mark.parametrize("flags", [0x02, 0x06], ids=["message", "command"])
def test_a_frame_claimed_to_be_huge_before_the_handshake_costs_no_memory(centre: Centre, flags: int) -> None:
    before = resident_bytes()
    with raw(centre) as end:
        end.sendall(GREETING[:11] + b"\x01CURVE" + b"\0" * 15 + b"\0" + b"\0" * 31)
        end.sendall(bytes([flags]) + struct.pack(">Q", 2**62))
        end.settimeout(5)
        with pytest.raises(OSError, match=r"reset|pipe"):
            end.sendall(b"x" * (256 * 1024 * 1024))  # more than sockets hold: the centre hangs up
    assert resident_bytes() - before < 16 * 1024 * 1024
    with RawBox(centre).connected() as honest:
        honest.greets()


@pytest.mark.slow
def test_hundreds_of_half_open_handshakes_leave_room_for_honest_boxes_and_are_closed(centre: Centre) -> None:
    with ExitStack() as stack:
        ends = [stack.enter_context(raw(centre)) for _ in range(400)]
        for number, end in enumerate(ends):
            end.sendall(GREETING[: number % len(GREETING)])
        honest = stack.enter_context(RawBox(centre).connected())
        honest.greets()
        honest.say(Event("e1", 5), b"sealed")
        assert honest.hears() == Ack(("e1",))
        for end in ends:
            end.settimeout(10)
            while end.recv(4096):  # the centre's half of a greeting, then the end
                pass
        eventually(lambda: len(watched(centre)) == 1, "none is left but the honest one's")


def test_connections_that_say_nothing_are_cut_oldest_first_when_there_are_too_many(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched(centre), "_most_strangers", 20)
    with capture_logs() as log, ExitStack() as stack:
        ends = [stack.enter_context(raw(centre)) for _ in range(60)]
        eventually(lambda: centre.report.cut.get(Excess.MUTE.value) == 40, "forty are cut")
        ends[0].settimeout(5)
        while ends[0].recv(4096):
            pass
    assert len(told(log, "intake.cut")) == 1


# ------------------------------------------------------------------ who has the right key and abuses it


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 1_000_000], ids=["of-tiny-frames", "of-large-frames"])
def test_a_message_without_end_is_cut_before_it_fills_the_memory(centre: Centre, size: int) -> None:
    rude_key = curve.make()
    centre.roll.devices[rude_key.public] = "box-9"
    with capture_logs() as log, RawBox(centre).connected() as honest:
        honest.greets()
        rude = CraftedBox(centre.endpoint, centre.key.public, rude_key)
        with rude.socket:
            rude.socket.sendall(rude.frame(encode(Hello("box-9", ""))[0], more=False))
            eventually(lambda: centre.report.peers == 2, "both talk")
            piece = rude.frame(b"x", more=True)
            before = resident_bytes()
            grown, thrown = throw_without_end(rude, piece, size)
        assert thrown < 1 << 30
        assert grown < 256 * 1024 * 1024, "what a quarter of a second brings over loopback"
        eventually(lambda: centre.report.cut == {Excess.ENDLESS.value: 1}, "counted")
        eventually(lambda: resident_bytes() - before < 64 * 1024 * 1024, "and what it held is freed")
        honest.greets()  # a second in silence, and it would have been forgotten
        honest.say(Event("e1", 5), b"sealed")
        assert honest.hears() == Ack(("e1",))
    (line,) = told(log, "intake.cut")
    assert (line["why"], line["key"]) == ("endless-message", rude_key.public)
    print(f"{thrown / 1e6:.0f} MB thrown, {grown / 1e6:.0f} MB grown")


def throw_without_end(rude: CraftedBox, piece: bytes, size: int) -> tuple[int, int]:
    """Send frames of one message until it is cut; return by how much the memory grew, and the bytes sent."""
    before, grown, thrown = resident_bytes(), 0, 0
    with contextlib.suppress(OSError):  # cut
        while thrown < 2 << 30:
            rude.socket.sendall(piece)
            thrown += len(piece)
            grown = max(grown, resident_bytes() - before)
            piece = rude.frame(b"x" * size, more=True) if size > 1000 else tiny(rude)
    return grown, thrown


def tiny(rude: CraftedBox) -> bytes:
    return b"".join(rude.frame(b"x", more=True) for _ in range(1000))


def test_a_message_of_very_many_frames_is_garbage_whatever_they_hold(centre: Centre) -> None:
    with RawBox(centre).connected() as box:
        box.greets()
        box.throw(*[b"x"] * 20_000)
        refused = box.hears()
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.GARBAGE
        box.say(Event("e1", 5), b"sealed")
        assert box.hears() == Ack(("e1",))


def test_one_key_may_not_hold_many_connections(centre: Centre) -> None:
    key = curve.make()
    with ExitStack() as stack:
        for _ in range(connections.MAX_OF_ONE_KEY + 3):
            stack.enter_context(RawBox(centre, key=key).connected()).greets()
        eventually(lambda: centre.report.cut.get(Excess.CROWD.value, 0) >= 3, "the oldest are cut")
        assert centre.report.peers == 1


def test_an_honest_box_that_sends_all_it_may_while_the_centre_stalls_is_not_cut(centre: Centre) -> None:
    """A whole window unread: what the kernel and libzmq hold of it is far below the limit."""
    assert 3 * centre.pace.window_bytes <= MAX_UNREAD_BYTES
    with closing_switchboard() as (switchboard, key):
        roll = Centre(key=key, endpoint=switchboard.endpoint)
        with RawBox(roll).connected() as box:
            box.say(HELLO)
            while not switchboard.wait(100, 1):
                pass
            for number in range(2):
                box.say(Event(f"e{number}", 5), b"x" * 1_000_000)
            threading.Event().wait(0.3)
            assert switchboard.sweep(0.0) == []
            assert len(switchboard.wait(100, 8)) == 2


# ------------------------------------------------------------------ who stands in the middle and plays it again


def test_captured_bytes_played_again_are_refused_and_change_nothing(box: Box, centre: Centre, tap: Wiretap) -> None:
    box.puts("e1", "e2", payload=MARKER)
    with box.linked():
        eventually(box.is_empty, "the outbox is empty")
    eventually(lambda: centre.report.messages >= 4, "all has been read")
    heard, committed, broken = centre.report.messages, centre.report.committed, centre.report.broken_handshakes
    with capture_logs() as log, raw(centre) as end:
        end.sendall(bytes(tap.up))
        end.settimeout(6)
        with contextlib.suppress(ConnectionResetError):
            while end.recv(4096):  # until it hangs up on what it cannot open
                pass
        eventually(lambda: centre.report.broken_handshakes > broken, "a broken handshake is counted")
    assert (centre.report.messages, centre.report.committed) == (heard, committed)
    assert len(centre.inbox.stored) == 2
    assert centre.inbox.repeats == 0
    assert not told(log, "intake.connected")


@pytest.mark.parametrize("mischief", ["again", "flipped"])
def test_bytes_repeated_or_changed_on_the_way_end_the_connection_and_all_arrives_once(
    mischief: str, box: Box, centre: Centre, tap: Wiretap
) -> None:
    done: list[int] = []

    def change(data: bytes) -> bytes:
        if done or len(data) < 5000:  # handshakes and heartbeats are short
            return data
        done.append(len(data))
        return data + data if mischief == "again" else data[:3000] + bytes([data[3000] ^ 1]) + data[3001:]

    tap.change_up = change
    box.puts(*[f"e{number}" for number in range(10)], payload=MARKER * 500)
    with box.linked():
        eventually(box.is_empty, "the outbox is empty")
    assert done, "nothing was changed"
    assert tap.connections == 2
    assert box.report.connects == 2
    assert centre.inbox.ids == {f"e{number}" for number in range(10)}
    assert {arrival.payload for arrival in centre.inbox.stored.values()} == {MARKER * 500}


# ------------------------------------------------------------------ below


def raw(centre: Centre) -> socket.socket:
    host, port = centre.endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)))


def watched(centre: Centre) -> Connections:
    assert centre.intake is not None
    return centre.intake._bound()._connections


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def closing_switchboard() -> Iterator[tuple[Switchboard, curve.CurveKey]]:
    key = curve.make()
    with closing(Switchboard("tcp://127.0.0.1:*", key, lambda _: True)) as switchboard:
        yield switchboard, key
