from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from edge.errors import OperatorError, WorldError
from edge.wire import curve
from edge.wire.codec import decode_from_centre, encode
from edge.wire.messages import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Ack,
    Event,
    FromCentre,
    FromDevice,
    Heartbeat,
    Hello,
    Pulse,
    Reason,
    Refused,
    Tally,
    Welcome,
)
from tests.central.ports import Centre, eventually

HELLO = Hello("box-1", "0.1.0")
TALLY = Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8)


@pytest.fixture
def centre() -> Iterator[Centre]:
    centre = Centre()
    with centre.running():
        yield centre


@dataclass
class RawBox:
    """A box that says whatever it is told to, with no conversation behind it."""

    centre: Centre
    name: str = "box-1"
    key: curve.CurveKey = field(default_factory=curve.make)
    admitted: bool = True
    encrypted: bool = True
    centre_key: str = ""
    endpoint: str = ""
    """Where it dials; empty: the centre itself."""

    @contextmanager
    def connected(self) -> Iterator["RawBox"]:
        if self.admitted:
            self.centre.roll.devices[self.key.public] = self.name
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            if self.encrypted:
                socket.curve_serverkey = (self.centre_key or self.centre.key.public).encode()
                socket.curve_publickey = self.key.public.encode()
                socket.curve_secretkey = self.key.secret
            socket.connect(self.endpoint or self.centre.endpoint)
            self.socket = socket
            yield self

    def say(self, message: FromDevice, payload: bytes = b"") -> None:
        self.socket.send_multipart(encode(message, payload))

    def throw(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def hears(self, within_ms: int = 5000) -> FromCentre | None:
        """Return the centre's next word, None if there is none in time."""
        if not self.socket.poll(within_ms):
            return None
        return decode_from_centre(self.socket.recv_multipart()).message

    def greets(self) -> None:
        self.say(HELLO)
        assert isinstance(self.hears(), Welcome)


@pytest.fixture
def box(centre: Centre) -> Iterator[RawBox]:
    with RawBox(centre).connected() as box:
        yield box


def test_events_and_tallies_are_committed_and_then_acknowledged(centre: Centre, box: RawBox) -> None:
    box.greets()
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Ack(("e1",))
    box.say(TALLY)
    assert box.hears() == Ack(("t1",))
    event = centre.inbox.stored["box-1", "e1"]
    assert (event.message, event.payload, event.device) == (Event("e1", 5), b"sealed", "box-1")
    assert event.received_at_ms > 1_600_000_000_000
    assert centre.inbox.stored["box-1", "t1"].message == TALLY


def test_what_comes_together_is_committed_together(centre: Centre, box: RawBox) -> None:
    box.greets()
    centre.inbox.commits = 0
    for number in range(100):
        box.say(Event(f"e{number}", 5), b"x")
    acked: list[str] = []
    while len(acked) < 100:
        ack = box.hears()
        assert isinstance(ack, Ack)
        acked += ack.ids
    assert acked == [f"e{number}" for number in range(100)]
    assert centre.inbox.commits < 100


def test_a_repeat_is_acknowledged_again(centre: Centre, box: RawBox) -> None:
    box.greets()
    for _ in range(3):
        box.say(Event("e1", 5), b"sealed")
        assert box.hears() == Ack(("e1",))
    assert len(centre.inbox.stored) == 1


def test_what_cannot_be_stored_is_not_acknowledged_and_the_log_says_so_once(centre: Centre, box: RawBox) -> None:
    box.greets()
    centre.inbox.trouble = WorldError("the disk is full", hint="free some")
    with capture_logs() as log:
        for _ in range(3):
            box.say(Event("e1", 5), b"sealed")
            assert box.hears(200) is None
    assert [line["what"] for line in log if line["event"] == "intake.commit_failed"] == ["the disk is full"]
    assert centre.report.commit_failures == 3
    centre.inbox.trouble = None
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Ack(("e1",))


def test_heartbeats_are_passed_on_and_answered(centre: Centre, box: RawBox) -> None:
    box.greets()
    box.say(Heartbeat(5, 7, 1, seeing=True))
    assert isinstance(box.hears(), Pulse)
    eventually(lambda: bool(centre.pulses.heartbeats), "it is passed on")
    ((device, heartbeat, at_ms),) = centre.pulses.heartbeats
    assert (device, heartbeat) == ("box-1", Heartbeat(5, 7, 1, seeing=True))
    assert at_ms > 1_600_000_000_000


def test_heartbeats_that_come_thick_are_written_together_the_newest_of_each_box(centre: Centre) -> None:
    with RawBox(centre).connected() as one, RawBox(centre, name="box-2").connected() as two:
        one.greets()
        two.say(Hello("box-2", ""))
        assert isinstance(two.hears(), Welcome)
        for number in range(50):
            one.say(Heartbeat(number))
            two.say(Heartbeat(number))
        eventually(lambda: 49 in {beat.sent_at_ms for _, beat, _ in centre.pulses.heartbeats}, "the newest")
        eventually(lambda: centre.report.messages == 102, "all are read")
    assert len(centre.pulses.heartbeats) < 20


def test_nothing_is_taken_before_the_hello(centre: Centre, box: RawBox) -> None:
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Refused(Reason.NO_HELLO)
    assert centre.inbox.stored == {}


def test_a_box_is_who_its_key_says_not_who_it_says(centre: Centre, box: RawBox) -> None:
    box.say(Hello("box-2", "0.1.0"))
    refused = box.hears()
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.WRONG_DEVICE
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Refused(Reason.NO_HELLO)
    assert centre.inbox.stored == {}


def test_another_protocol_is_refused(box: RawBox) -> None:
    box.say(Hello("box-1", "9.0", 99))
    refused = box.hears()
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.VERSION


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([b"garbage"], Reason.GARBAGE),
        ([b""], Reason.GARBAGE),
        ([b"a", b"b", b"c"], Reason.GARBAGE),
        ([b"x" * (MAX_HEADER_BYTES + 1)], Reason.OVERSIZE),
    ],
)
def test_garbage_is_refused_and_the_conversation_goes_on(box: RawBox, frames: list[bytes], reason: Reason) -> None:
    box.greets()
    box.throw(*frames)
    refused = box.hears()
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Ack(("e1",))


def test_an_oversize_frame_cuts_its_sender_off_and_nobody_else(centre: Centre, box: RawBox) -> None:
    box.greets()
    with RawBox(centre, name="box-9").connected() as rude:
        rude.throw(b"header", b"x" * (MAX_PAYLOAD_BYTES + 1024))
        assert rude.hears(300) is None
    box.say(Event("e1", 5), b"x" * MAX_PAYLOAD_BYTES)
    assert box.hears() == Ack(("e1",))
    assert centre.report.messages == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=3), max_size=10))
def test_no_noise_from_an_admitted_box_stops_the_intake(box: RawBox, noise: list[list[bytes]]) -> None:
    for frames in noise:
        box.throw(*frames)
    box.say(HELLO)
    while not isinstance(box.hears(), Welcome):
        pass


# ------------------------------------------------------------------ who may connect


def test_an_unknown_key_is_denied_counted_and_told_once(centre: Centre) -> None:
    with capture_logs() as log:
        for _ in range(3):
            with RawBox(centre, admitted=False).connected() as stranger:
                stranger.say(HELLO)
                assert stranger.hears(150) is None
        eventually(lambda: centre.report.denied >= 3, "three denials")
    assert centre.report.messages == 0
    assert len([line for line in log if line["event"] == "intake.denied"]) == 1


def test_a_plain_client_gets_nowhere(centre: Centre) -> None:
    with RawBox(centre, encrypted=False).connected() as plain:
        plain.say(HELLO)
        assert plain.hears(200) is None
        eventually(lambda: centre.report.broken_handshakes > 0, "a broken handshake")
    assert centre.report.messages == 0


def test_a_client_with_another_centres_key_gets_nowhere(centre: Centre) -> None:
    with RawBox(centre, centre_key=curve.make().public).connected() as lost:
        lost.say(HELLO)
        assert lost.hears(200) is None
        eventually(lambda: centre.report.broken_handshakes > 0, "a broken handshake")
    assert centre.report.messages == 0


def test_noise_on_the_port_harms_nobody(centre: Centre, box: RawBox) -> None:
    with zmq.Context() as context, context.socket(zmq.STREAM) as noise:
        noise.linger = 0
        noise.connect(centre.endpoint)
        noise.send_multipart([noise.recv_multipart()[0], b"GET / HTTP/1.1\r\n\r\n" * 100])
        box.greets()


def test_a_key_admitted_later_is_let_in_without_a_restart(centre: Centre) -> None:
    key = curve.make()
    with RawBox(centre, key=key, admitted=False).connected() as early:
        early.say(HELLO)
        assert early.hears(200) is None
    with RawBox(centre, key=key).connected() as admitted:
        admitted.greets()


def test_a_revoked_box_is_locked_out_at_once_on_its_open_connection(centre: Centre, box: RawBox) -> None:
    box.greets()
    del centre.roll.devices[box.key.public]
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Refused(Reason.NOT_ADMITTED)
    assert centre.inbox.stored == {}
    eventually(lambda: centre.report.peers == 0, "the box is forgotten")
    assert centre.report.denied == 1
    box.say(HELLO)
    assert box.hears() == Refused(Reason.NOT_ADMITTED)


def test_trouble_with_the_list_of_keys_lets_nobody_in_and_passes(centre: Centre, box: RawBox) -> None:
    box.greets()
    centre.roll.trouble = WorldError("the database is locked")
    box.say(Event("e1", 5), b"sealed")
    with RawBox(centre, name="box-2").connected() as other:
        other.say(Hello("box-2", ""))
        assert other.hears(200) is None
    assert box.hears(100) is None
    assert centre.report.failures == 1
    centre.roll.trouble = None
    box.say(Event("e1", 5), b"sealed")
    assert box.hears() == Ack(("e1",))


def test_the_newest_connection_of_a_box_counts(centre: Centre, box: RawBox) -> None:
    box.greets()
    with RawBox(centre, key=box.key).connected() as again:
        again.greets()
        box.say(Event("e1", 5), b"sealed")
        assert box.hears() == Refused(Reason.NO_HELLO)
        again.say(Event("e1", 5), b"sealed")
        assert again.hears() == Ack(("e1",))
        assert centre.report.peers == 1


def test_a_silent_box_is_forgotten(centre: Centre, box: RawBox) -> None:
    box.greets()
    assert centre.report.peers == 1
    eventually(lambda: centre.report.peers == 0, "the box is forgotten")
    box.say(Heartbeat(1))
    assert box.hears() == Refused(Reason.NO_HELLO)


# ------------------------------------------------------------------ the port


def test_a_port_in_use_is_named_with_what_to_do(centre: Centre) -> None:
    with pytest.raises(WorldError) as caught:
        centre.make().bind()
    assert centre.endpoint in caught.value.message
    assert "in use" in caught.value.message
    assert "ss -ltnp" in caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("endpoint", ["", "nonsense", "tcp://", "carrier://pigeon", "tcp://127.0.0.1:70000"])
def test_what_is_no_address_is_the_operators_to_correct(endpoint: str) -> None:
    with pytest.raises(OperatorError, match="not an address"):
        Centre(endpoint=endpoint).make().bind()


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(WorldError, match=r"cannot listen on tcp://192.0.2.1:5810: "):
        Centre(endpoint="tcp://192.0.2.1:5810").make().bind()


def test_no_log_line_carries_a_payload_or_a_secret(centre: Centre) -> None:
    with capture_logs() as log:
        with RawBox(centre).connected() as box:
            box.greets()
            box.say(Event("e1", 5), b"the sealed face")
            box.hears()
            box.throw(b"the sealed face", b"the sealed face", b"the sealed face")
            box.hears()
        with RawBox(centre, admitted=False).connected() as stranger:
            stranger.say(HELLO)
            stranger.hears(100)
    shown = str(log)
    assert "intake.connected" in shown
    assert "the sealed face" not in shown
    for secret in (box.key.secret, stranger.key.secret, centre.key.secret):
        assert secret.decode() not in shown
