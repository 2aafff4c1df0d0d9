"""Both ends of the link as dialogues: what happens, when, and what is to be done about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.wire.codec import decode_from_centre, decode_from_device, encode
from edge.wire.conversation import CentreSide, DeviceSide
from edge.wire.messages import (
    MAX_IDS,
    PROTOCOL,
    Ack,
    Chunk,
    Event,
    Fetch,
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
from edge.wire.turns import (
    CENTRE_TURNS,
    DEVICE_TURNS,
    Arrival,
    Beat,
    Brought,
    CentreAction,
    CentreEvent,
    Commit,
    Committed,
    Cut,
    Declined,
    DeviceAction,
    DeviceEvent,
    Dial,
    Expelled,
    Forget,
    HangUp,
    Heard,
    Instant,
    Leave,
    Letter,
    Lost,
    Met,
    Note,
    Offered,
    Opened,
    Pace,
    Parting,
    Say,
    Serve,
    Served,
    State,
    Tick,
    Told,
    Unreadable,
    Wanted,
)

HELLO = Hello("box-1", "0.1.0")
WELCOME = Welcome(clock_ms=1_000_000)


PACE = Pace()


def at(seconds: float) -> Instant:
    return Instant(seconds, int(seconds * 1000))


def letter(name: str, size: int = 10) -> Letter:
    return Letter(Event(name, 1), b"x" * size)


def a_box(pace: Pace = PACE, *, endpoints: int = 1, random: float = 1.0) -> DeviceSide:
    return DeviceSide(HELLO, pace, endpoints=endpoints, random=lambda: random, now=at(0))


def a_talking_box(pace: Pace = PACE) -> DeviceSide:
    """Dial and be welcomed, all at second 0."""
    box = a_box(pace)
    for event in (Tick(), Opened(), Heard(WELCOME)):
        box.handle(event, at(0))
    assert box.state is State.TALKING
    return box


def told(actions: Sequence[DeviceAction | CentreAction]) -> list[object]:
    """Return actions in a form that compares: a beat is like any other."""
    return [type(action) if isinstance(action, Beat | Cut) else action for action in actions]


def said(name: str, size: int = 10) -> Say:
    return Say(Event(name, 1), b"x" * size)


@dataclass(frozen=True)
class Turn:
    """At this second this happens, and this is what is to be done."""

    at_s: float
    event: DeviceEvent
    then: list[object] = field(default_factory=list)


OFFER_AB = Turn(0, Offered([letter("a"), letter("b")]), [said("a"), said("b")])

DIALOGUES: dict[str, list[Turn]] = {
    "an ack lets the box forget": [
        OFFER_AB,
        Turn(1, Heard(Ack(("a", "b"))), [Forget(("a", "b"))]),
        Turn(1, Heard(Ack(("a",)))),
    ],
    "a late ack is harmless": [
        OFFER_AB,
        Turn(5, Tick(), [Beat]),
        Turn(5, Heard(Pulse(1)), [Told(1)]),
        Turn(10, Tick(), [Beat, said("a"), said("b")]),
        Turn(11, Heard(Ack(("a", "b"))), [Forget(("a", "b"))]),
        Turn(12, Heard(Ack(("a", "b")))),
    ],
    "an ack for an unknown id is ignored": [
        OFFER_AB,
        Turn(1, Heard(Ack(("stranger", "b"))), [Forget(("b",))]),
    ],
    "the same id named twice in one ack is forgotten once": [
        OFFER_AB,
        Turn(1, Heard(Ack(("a", "a"))), [Forget(("a",))]),
    ],
    "what was overtaken by the ack of something later is sent again": [
        OFFER_AB,
        Turn(4, Heard(Ack(("b",))), [Forget(("b",))]),
        Turn(9.9, Tick(), [Beat]),
        Turn(10, Tick(), [said("a")]),
        Turn(10.1, Tick()),
    ],
    "a slow link that moves is not burdened with repeats": [
        OFFER_AB,
        Turn(9, Heard(Ack(("a",))), [Forget(("a",))]),
        Turn(18.9, Tick(), [Beat]),
        Turn(19, Tick(), [said("b")]),
    ],
    "what is offered twice goes out once": [
        OFFER_AB,
        Turn(1, Offered([letter("b"), letter("c")]), [said("c")]),
    ],
    "a centre that cannot take one thing leaves the others alone": [
        OFFER_AB,
        Turn(
            1,
            Heard(Refused(Reason.OVERSIZE, "too big", "a")),
            [Declined("a", Reason.OVERSIZE, "too big")],
        ),
        Turn(1, Heard(Refused(Reason.OVERSIZE, "too big", "a"))),
        Turn(2, Heard(Ack(("b",))), [Forget(("b",))]),
    ],
    "a silent centre is given up": [
        Turn(5, Tick(), [Beat]),
        Turn(10, Tick(), [Beat]),
        Turn(15, Tick(), [HangUp(Parting.SILENT)]),
        Turn(15.4, Tick()),
        Turn(15.5, Tick(), [Dial(0)]),
    ],
    "any word keeps the centre alive": [
        Turn(14, Heard(Pulse(1, "state-b")), [Told(1, "state-b")]),
        Turn(28, Tick(), [Beat]),
        Turn(29, Tick(), [HangUp(Parting.SILENT)]),
    ],
    "a lost connection starts over, and everything unacknowledged goes out again": [
        OFFER_AB,
        Turn(1, Heard(Ack(("a",))), [Forget(("a",))]),
        Turn(2, Lost(), [HangUp(Parting.LOST)]),
        Turn(2, Lost()),
        Turn(2, Heard(Ack(("b",)))),
        Turn(2.5, Tick(), [Dial(0)]),
        Turn(2.6, Opened(), [Say(HELLO)]),
        Turn(2.7, Heard(WELCOME), [Met(0, 1_000_000), Beat]),
        Turn(2.8, Offered([letter("b")]), [said("b")]),
        Turn(2.9, Heard(Ack(("b",))), [Forget(("b",))]),
    ],
    "a box that is expelled hangs up and asks again later": [
        Turn(1, Heard(Refused(Reason.NOT_ADMITTED)), [HangUp(Parting.EXPELLED, "not-admitted")]),
        Turn(1.5, Tick(), [Dial(0)]),
    ],
    "a centre that forgot the hello is greeted anew": [
        OFFER_AB,
        Turn(1, Heard(Refused(Reason.NO_HELLO)), [HangUp(Parting.REFUSED, "no-hello")]),
        Turn(1.5, Tick(), [Dial(0)]),
        Turn(1.5, Opened(), [Say(HELLO)]),
    ],
    "garbage ends the conversation": [
        Turn(1, Unreadable(Reason.GARBAGE, "not a message"), [HangUp(Parting.GARBAGE, "not a message")]),
    ],
    "a word out of turn ends the conversation": [
        Turn(1, Heard(WELCOME), [HangUp(Parting.OUT_OF_TURN, "welcome")]),
    ],
    "a piece is asked for and brought": [
        Turn(1, Wanted("a/b", 0), [Say(Fetch("a/b", 0))]),
        Turn(2, Heard(Chunk("a/b", 0), b"xyz"), [Brought("a/b", 0, b"xyz", eof=False)]),
        Turn(3, Wanted("a/b", 3), [Say(Fetch("a/b", 3))]),
        Turn(4, Heard(Chunk("a/b", 3, eof=True)), [Brought("a/b", 3, b"", eof=True)]),
    ],
    "a file that is not there is told": [
        Turn(1, Wanted("a", 0), [Say(Fetch("a", 0))]),
        Turn(1, Heard(Chunk("a", 0, missing=True)), [Brought("a", 0, b"", eof=False, missing=True)]),
    ],
    "a piece that stays out is asked for again, and its second answer is passed over": [
        Turn(1, Wanted("a", 0), [Say(Fetch("a", 0))]),
        Turn(10.9, Tick(), [Beat]),
        Turn(11, Tick(), [Say(Fetch("a", 0))]),
        Turn(12, Heard(Chunk("a", 0, eof=True), b"x"), [Brought("a", 0, b"x", eof=True)]),
        Turn(12, Heard(Chunk("a", 0, eof=True), b"x")),
        Turn(13, Heard(Chunk("a", 0, eof=True), b"x"), [HangUp(Parting.OUT_OF_TURN, "chunk")]),
    ],
    "a later wish takes the place of an earlier one": [
        Turn(1, Wanted("a", 0), [Say(Fetch("a", 0))]),
        Turn(2, Wanted("b", 0), [Say(Fetch("b", 0))]),
        Turn(3, Heard(Chunk("a", 0), b"x")),
        Turn(3, Heard(Chunk("b", 0), b"y"), [Brought("b", 0, b"y", eof=False)]),
    ],
    "a piece that nobody asked for ends the conversation": [
        Turn(1, Heard(Chunk("a", 0), b"x"), [HangUp(Parting.OUT_OF_TURN, "chunk")]),
    ],
    "a lost connection ends the wish, and nothing can be wished for without one": [
        Turn(1, Wanted("a", 0), [Say(Fetch("a", 0))]),
        Turn(2, Lost(), [HangUp(Parting.LOST), Cut]),
        Turn(2, Wanted("a", 0), [Cut]),
    ],
    "the centre may not speak like a box": [
        Turn(1, Heard(HELLO), [HangUp(Parting.OUT_OF_TURN, "hello")]),
    ],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_on_the_box(name: str) -> None:
    box = a_talking_box()
    for turn in DIALOGUES[name]:
        assert told(box.handle(turn.event, at(turn.at_s))) == turn.then, turn


def test_the_box_dials_says_hello_and_is_welcomed() -> None:
    box = a_box()
    assert box.handle(Tick(), at(0)) == [Dial(0)]
    assert box.handle(Opened(), at(0.1)) == [Say(HELLO)]
    assert box.room == 0
    assert told(box.handle(Heard(WELCOME), at(0.2))) == [Met(0, 1_000_000), Beat]
    assert box.room == Pace().window


@pytest.mark.parametrize("steps", [[], [Opened()]])
def test_a_centre_that_does_not_answer_in_time_is_given_up(steps: list[DeviceEvent]) -> None:
    box = a_box()
    for event in [Tick(), *steps]:
        box.handle(event, at(0))
    assert box.handle(Tick(), at(9.9)) == []
    assert box.handle(Tick(), at(10)) == [HangUp(Parting.UNANSWERED)]


def test_another_version_of_the_centre_is_not_talked_to() -> None:
    box = a_box()
    box.handle(Tick(), at(0))
    box.handle(Opened(), at(0))
    (action,) = box.handle(Heard(Welcome(1, PROTOCOL + 1)), at(0))
    assert isinstance(action, HangUp)
    assert action.why is Parting.VERSION


def failing_dials(box: DeviceSide, many: int) -> tuple[list[int], list[float]]:
    """Let every attempt fail at once; return the endpoints dialled and the waits before the next, seconds."""
    now_s, endpoints, waits = 0.0, [], []
    for _ in range(many):
        (dial,) = box.handle(Tick(), at(now_s))
        assert isinstance(dial, Dial)
        endpoints.append(dial.endpoint)
        box.handle(Lost(Parting.ABSENT), at(now_s))
        waits.append(box.wakes_at_s - now_s)
        now_s = box.wakes_at_s
    return endpoints, waits


def test_attempts_back_off_to_a_cap() -> None:
    _, waits = failing_dials(a_box(), 9)
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30])


def test_every_endpoint_has_its_turn_before_the_box_waits_longer() -> None:
    endpoints, waits = failing_dials(a_box(endpoints=3), 7)
    assert endpoints == [0, 1, 2, 0, 1, 2, 0]
    assert waits == pytest.approx([0.5, 0.5, 0.5, 1, 1, 1, 2])


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_spreads_the_boxes_over_half_the_wait(random: float) -> None:
    _, waits = failing_dials(a_box(random=random), 3)
    assert waits == pytest.approx([share * (0.5 + random / 2) for share in (0.5, 1, 2)])


def test_a_year_without_a_centre_overflows_nothing() -> None:
    _, waits = failing_dials(a_box(), 5000)
    assert waits[-1] == 30


def test_a_welcome_makes_the_next_loss_a_first_one() -> None:
    box = a_box()
    failing_dials(box, 6)
    now = at(box.wakes_at_s)
    for event in (Tick(), Opened(), Heard(WELCOME), Lost()):
        box.handle(event, now)
    assert box.wakes_at_s - now.monotonic_s == pytest.approx(0.5)


def test_the_window_is_bounded_in_number_and_in_bytes() -> None:
    box = a_talking_box(Pace(window=4, window_bytes=1000))
    box.handle(Offered([letter("a", 600)]), at(0))
    assert (box.room, box.room_bytes) == (3, 400)
    box.handle(Offered([letter("b", 600)]), at(0))
    assert box.room == 0
    box.handle(Heard(Ack(("a",))), at(0))
    assert box.room == 3
    with pytest.raises(ValueError, match="have room"):
        box.handle(Offered([letter(name) for name in "cdefg"]), at(0))


def test_nothing_may_be_offered_before_the_welcome() -> None:
    with pytest.raises(ValueError, match="have room"):
        a_box().handle(Offered([letter("a")]), at(0))


# ------------------------------------------------------------------ the centre's half

EVENT = Event("e1", 1)
TALLY = Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8)


def arrived(message: Event | Tally, payload: bytes, at_ms: int) -> Commit:
    return Commit(Arrival(device="box-1", message=message, payload=payload, received_at_ms=at_ms))


@dataclass(frozen=True)
class Reply:
    """At this second the centre meets this, and this is what is to be done."""

    at_s: float
    event: CentreEvent
    then: list[object] = field(default_factory=list)


GREETING = Reply(0, Heard(HELLO), [Say(Welcome(0))])

CENTRE_DIALOGUES: dict[str, list[Reply]] = {
    "an event is acknowledged only once it is committed": [
        GREETING,
        Reply(1, Heard(EVENT, b"sealed"), [arrived(EVENT, b"sealed", 1000)]),
        Reply(2, Heard(TALLY), [arrived(TALLY, b"", 2000)]),
        Reply(3, Committed(["e1", "t1"]), [Say(Ack(("e1", "t1")))]),
    ],
    "a duplicate is committed and acknowledged again": [
        GREETING,
        Reply(1, Heard(EVENT, b"sealed"), [arrived(EVENT, b"sealed", 1000)]),
        Reply(1, Committed(["e1"]), [Say(Ack(("e1",)))]),
        Reply(2, Heard(EVENT, b"sealed"), [arrived(EVENT, b"sealed", 2000)]),
        Reply(2, Committed(["e1"]), [Say(Ack(("e1",)))]),
    ],
    "nothing is taken before the hello": [
        Reply(0, Heard(EVENT, b"sealed"), [Say(Refused(Reason.NO_HELLO))]),
        Reply(0, Heard(Heartbeat(1)), [Say(Refused(Reason.NO_HELLO))]),
        GREETING,
    ],
    "a heartbeat is noted and answered with the time": [
        GREETING,
        Reply(5, Heard(Heartbeat(1, 7)), [Note(Heartbeat(1, 7)), Say(Pulse(5000))]),
    ],
    "a second hello is welcomed again": [GREETING, GREETING],
    "a piece is read and then said": [
        GREETING,
        Reply(1, Heard(Fetch("a", 7)), [Serve("a", 7)]),
        Reply(2, Served(Chunk("a", 7, eof=True), b"x"), [Say(Chunk("a", 7, eof=True), b"x")]),
    ],
    "nobody fetches before the hello": [Reply(0, Heard(Fetch("a", 0)), [Say(Refused(Reason.NO_HELLO))])],
    "another version is refused": [
        Reply(
            0,
            Heard(Hello("box-1", "9", PROTOCOL + 1)),
            [
                Say(Refused(Reason.VERSION, f"the box speaks {PROTOCOL + 1}, the centre {PROTOCOL}")),
                Leave(Parting.VERSION, f"the box speaks {PROTOCOL + 1}, the centre {PROTOCOL}"),
            ],
        ),
        Reply(0, Heard(HELLO)),
    ],
    "a box that says it is another is refused": [
        Reply(
            0,
            Heard(Hello("box-2", "0.1.0")),
            [
                Say(Refused(Reason.WRONG_DEVICE, "the key belongs to another device")),
                Leave(Parting.REFUSED, "the key belongs to another device"),
            ],
        ),
    ],
    "garbage is refused and the conversation goes on": [
        GREETING,
        Reply(1, Unreadable(Reason.GARBAGE, "no"), [Say(Refused(Reason.GARBAGE, "no"))]),
        Reply(2, Heard(Heartbeat(1)), [Note(Heartbeat(1)), Say(Pulse(2000))]),
    ],
    "a box may not speak like the centre": [
        GREETING,
        Reply(1, Heard(WELCOME), [Say(Refused(Reason.NO_HELLO))]),
    ],
    "a silent box is forgotten": [
        GREETING,
        Reply(14.9, Tick()),
        Reply(15, Tick(), [Leave(Parting.SILENT)]),
        Reply(16, Heard(EVENT, b"sealed")),
    ],
    "any word keeps the box alive": [
        GREETING,
        Reply(14, Heard(EVENT, b"sealed"), [arrived(EVENT, b"sealed", 14_000)]),
        Reply(28.9, Tick()),
        Reply(29, Tick(), [Leave(Parting.SILENT)]),
    ],
    "a box that is no longer admitted is told so and forgotten": [
        GREETING,
        Reply(1, Expelled(), [Say(Refused(Reason.NOT_ADMITTED)), Leave(Parting.DENIED)]),
        Reply(2, Heard(EVENT, b"sealed")),
    ],
}


@pytest.mark.parametrize("name", CENTRE_DIALOGUES)
def test_at_the_centre(name: str) -> None:
    centre = CentreSide("box-1", Pace(), now=at(0))
    for reply in CENTRE_DIALOGUES[name]:
        assert centre.handle(reply.event, at(reply.at_s)) == reply.then, reply


def test_the_centre_says_what_a_box_should_run_as_it_is_at_that_moment() -> None:
    words = iter(["state-a", "state-b"])
    centre = CentreSide("box-1", Pace(), now=at(0), desired=lambda: next(words))
    assert centre.handle(Heard(HELLO), at(0)) == [Say(Welcome(0, desired="state-a"))]
    assert centre.handle(Heard(Heartbeat(1)), at(1))[-1] == Say(Pulse(1000, "state-b"))


def test_acks_never_outgrow_a_message() -> None:
    centre = CentreSide("box-1", Pace(), now=at(0))
    centre.handle(Heard(HELLO), at(0))
    ids = [f"e{number}" for number in range(2 * MAX_IDS + 1)]
    sizes = []
    for action in centre.handle(Committed(ids), at(1)):
        assert isinstance(action, Say)
        assert isinstance(action.message, Ack)
        sizes.append(len(action.message.ids))
        encode(action.message)
    assert sizes == [MAX_IDS, MAX_IDS, 1]


def test_every_state_of_either_role_is_in_its_table() -> None:
    assert set(DEVICE_TURNS) | set(CENTRE_TURNS) == set(State)
    for table in (DEVICE_TURNS, CENTRE_TURNS):
        for turns in table.values():
            assert set(turns.values()) <= set(table)


# ------------------------------------------------------------------ any order at all

NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f"])
FROM_CENTRE: st.SearchStrategy[FromCentre] = st.one_of(
    st.builds(Welcome, st.just(1), st.sampled_from([PROTOCOL, PROTOCOL, 7])),
    st.builds(Ack, st.lists(NAMES, max_size=6).map(tuple)),
    st.just(Pulse(1)),
    st.builds(Chunk, NAMES, st.integers(0, 1)),
    st.builds(Refused, st.sampled_from(Reason), st.just(""), st.sampled_from(["", "a", "b", "z"])),
)
FROM_DEVICE: st.SearchStrategy[FromDevice] = st.sampled_from(
    [HELLO, Hello("box-2", ""), EVENT, TALLY, Heartbeat(1), Fetch("a", 0)]
)
ANYTHING: st.SearchStrategy[DeviceEvent] = st.one_of(
    st.just(Tick()),
    st.just(Opened()),
    st.builds(Lost, st.sampled_from(Parting)),
    st.builds(Heard, FROM_CENTRE),
    st.builds(Heard, FROM_DEVICE),
    st.just(Unreadable(Reason.GARBAGE)),
    st.builds(Offered, st.lists(NAMES.map(letter), max_size=3)),
    st.builds(Wanted, NAMES, st.integers(0, 1)),
)


@given(st.lists(st.tuples(ANYTHING, st.floats(0, 20)), max_size=60))
def test_no_order_of_events_brings_the_box_down_or_makes_it_grow(events: list[tuple[DeviceEvent, float]]) -> None:
    pace = Pace(window=4)
    box = a_box(pace)
    now_s, on_the_way, wanted = 0.0, set[str](), 0
    for event, later_s in events:
        now_s += later_s
        if isinstance(event, Offered) and len(event.letters) > box.room:
            continue
        wanted += isinstance(event, Wanted)
        for action in box.handle(event, at(now_s)):
            match action:
                case Brought() | Cut():
                    wanted -= 1
                    assert wanted >= 0, "nothing comes that was not wanted, and nothing twice"
                case Say(Event(event_id)):
                    on_the_way.add(event_id)
                case Forget(ids):
                    assert set(ids) <= on_the_way, "only what was sent can be forgotten"
                    on_the_way -= set(ids)
                case HangUp():
                    on_the_way.clear()
                case Declined(id_):
                    on_the_way.discard(id_)
        assert box.unacked == len(on_the_way) <= pace.window
        box.handle(Tick(), at(now_s))
        assert box.wakes_at_s > now_s, "after a tick there is nothing left to do at once"


CENTRE_ANYTHING: st.SearchStrategy[CentreEvent] = st.one_of(
    st.just(Tick()),
    st.just(Expelled()),
    st.builds(Heard, FROM_CENTRE),
    st.builds(Heard, FROM_DEVICE, st.just(b"x")),
    st.just(Unreadable(Reason.GARBAGE)),
    st.builds(Committed, st.lists(NAMES)),
    st.builds(Served, st.builds(Chunk, NAMES, st.just(0)), st.just(b"x")),
)


@given(st.lists(st.tuples(CENTRE_ANYTHING, st.floats(0, 20)), max_size=60))
def test_no_order_of_events_makes_the_centre_take_from_a_stranger(events: list[tuple[CentreEvent, float]]) -> None:
    centre = CentreSide("box-1", Pace(), now=at(0))
    now_s, greeted = 0.0, False
    for event, later_s in events:
        now_s += later_s
        gone = centre.state is State.GONE
        actions = centre.handle(event, at(now_s))
        greeted = greeted or any(
            isinstance(action, Say) and isinstance(action.message, Welcome) for action in actions
        )
        assert greeted or not any(isinstance(action, Commit | Note | Serve) for action in actions)
        assert not (gone and actions)


# ------------------------------------------------------------------ both ends and a bad network


class World:
    """A box with its outbox, a centre with its store, and a network between them that does its worst."""

    def __init__(self, letters: Iterable[Letter], pace: Pace) -> None:
        self.now_s = 0.0
        self.pace = pace
        self.outbox = {letter.id: letter for letter in letters}
        self.stored: dict[str, bytes] = {}
        self.box = a_box(pace)
        self.centre: CentreSide | None = None
        self.to_centre: list[list[bytes]] = []
        self.to_box: list[list[bytes]] = []
        self.connected = False
        self.storing = True

    def happen(self, event: DeviceEvent) -> None:
        for action in self.box.handle(event, at(self.now_s)):
            match action:
                case Dial():
                    self.connected = True
                    self.centre = CentreSide("box-1", self.pace, now=at(self.now_s))
                case HangUp():
                    self.connected = False
                    self.to_centre.clear()
                    self.to_box.clear()
                case Say(message, payload):
                    self.to_centre.append(encode(message, payload))
                case Beat():
                    self.to_centre.append(encode(Heartbeat(1)))
                case Forget(ids):
                    for id_ in ids:
                        assert id_ in self.stored, "the box forgot what the centre does not have"
                        del self.outbox[id_]

    def meet(self, event: CentreEvent) -> None:
        assert self.centre is not None
        for action in self.centre.handle(event, at(self.now_s)):
            match action:
                case Say(message):
                    self.to_box.append(encode(message))
                case Commit(arrival) if self.storing:
                    self.stored[arrival.id] = arrival.payload
                    self.meet(Committed([arrival.id]))

    def step(self, trouble: str) -> None:
        self.now_s += 0.7
        if trouble == "cut" and self.connected:
            self.happen(Lost())
        if trouble == "restart" and self.connected:
            self.centre = CentreSide("box-1", self.pace, now=at(self.now_s))
        self.storing = trouble != "full disk"
        self.happen(Tick())
        if self.connected and self.box.state is State.DIALLING:
            self.happen(Opened())
        room = self.box.room
        self.happen(Offered(list(self.outbox.values())[:room]))
        if trouble == "replay" and self.to_centre:
            self.to_centre.append(self.to_centre[0])
        sent, self.to_centre = self.to_centre, []
        for frames in [] if trouble == "lost up" else sent:
            heard = decode_from_device(frames)
            self.meet(Heard(heard.message, heard.payload))
        answered, self.to_box = self.to_box, []
        for frames in [] if trouble == "lost down" else answered:
            self.happen(Heard(decode_from_centre(frames).message))


TROUBLES = ["", "cut", "restart", "full disk", "replay", "lost up", "lost down"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(TROUBLES), max_size=40), st.integers(0, 12))
def test_whatever_the_network_does_everything_arrives_once_it_stops(troubles: list[str], many: int) -> None:
    letters = [letter(f"e{number}", number + 1) for number in range(many)]
    world = World(letters, Pace(window=3))
    for trouble in troubles:
        world.step(trouble)
        assert {each.id for each in letters} == set(world.outbox) | set(world.stored), "lost"
    for _ in range(120):
        world.step("")
    assert world.outbox == {}
    assert world.stored == {each.id: each.payload for each in letters}
