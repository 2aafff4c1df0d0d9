"""The announcement as a dialogue."""

import pytest

from edge.wire.announcing import Announcing, GaveUp, Known
from edge.wire.messages import Announce, Announced, Pulse, Reason, Refused
from edge.wire.turns import Dial, HangUp, Heard, Instant, Lost, Opened, Parting, Say, Tick, Unreadable

ANNOUNCE = Announce("gate-1", "0.1.0", "k" * 40, "a" * 64)


def at(seconds: float) -> Instant:
    return Instant(seconds, 0)


def dialled(endpoints: int = 1) -> Announcing:
    announcing = Announcing(ANNOUNCE, endpoints=endpoints, answer_s=10)
    assert announcing.handle(Tick(), at(0)) == [Dial(0)]
    return announcing


def asked() -> Announcing:
    announcing = dialled()
    assert announcing.handle(Opened(), at(1)) == [Say(ANNOUNCE)]
    return announcing


@pytest.mark.parametrize("admitted", [True, False])
def test_keys_that_are_taken_end_it(admitted: bool) -> None:
    announcing = asked()
    assert announcing.handle(Heard(Announced(admitted, 7)), at(2)) == [Known(admitted, 7)]
    for event in (Tick(), Lost(), Opened(), Heard(Announced(not admitted, 8))):
        assert announcing.handle(event, at(99)) == []


@pytest.mark.parametrize(
    ("event", "why", "detail"),
    [
        (Heard(Refused(Reason.NOT_ADMITTED, "spent")), Parting.REFUSED, "spent"),
        (Heard(Refused(Reason.UNKNOWN)), Parting.REFUSED, "unknown"),
        (Heard(Refused(Reason.VERSION, "2")), Parting.VERSION, "2"),
        (Heard(Pulse(5)), Parting.OUT_OF_TURN, "pulse"),
        (Unreadable(Reason.GARBAGE, "noise"), Parting.GARBAGE, "noise"),
        (Lost(), Parting.LOST, ""),
    ],
)
def test_any_other_answer_ends_it_with_its_reason(
    event: Heard | Unreadable | Lost, why: Parting, detail: str
) -> None:
    assert asked().handle(event, at(2)) == [HangUp(why, detail), GaveUp(0, why, detail)]


@pytest.mark.parametrize("asking", [dialled, asked])
def test_silence_ends_it(asking: "type[object]") -> None:
    announcing = asking()
    assert isinstance(announcing, Announcing)
    assert announcing.handle(Tick(), at(9)) == []
    assert announcing.handle(Tick(), at(11)) == [
        HangUp(Parting.UNANSWERED, ""),
        GaveUp(0, Parting.UNANSWERED, ""),
    ]


def test_nothing_is_heard_before_the_centre_is_known_to_be_the_centre() -> None:
    announcing = dialled()
    assert announcing.handle(Heard(Announced(admitted=True, clock_ms=7)), at(1)) == []
    assert announcing.handle(Unreadable(Reason.GARBAGE), at(1)) == []


def test_every_address_is_tried_once_and_what_says_most_is_told() -> None:
    announcing = dialled(3)
    assert announcing.handle(Lost(Parting.ABSENT), at(1)) == [HangUp(Parting.ABSENT)]
    assert announcing.handle(Tick(), at(1)) == [Dial(1)]
    assert announcing.handle(Lost(Parting.DENIED), at(2)) == [HangUp(Parting.DENIED)]
    assert announcing.handle(Tick(), at(2)) == [Dial(2)]
    assert announcing.handle(Lost(Parting.LOST), at(3)) == [HangUp(Parting.LOST), GaveUp(1, Parting.DENIED, "")]
    assert announcing.handle(Tick(), at(30)) == []


def test_a_later_address_may_take_what_an_earlier_one_did_not() -> None:
    announcing = dialled(2)
    announcing.handle(Lost(Parting.ABSENT), at(1))
    announcing.handle(Tick(), at(1))
    announcing.handle(Opened(), at(2))
    assert announcing.handle(Heard(Announced(admitted=True, clock_ms=7)), at(3)) == [Known(admitted=True, clock_ms=7)]
