"""A box becomes the centre's: invited for once, announced by its own keys, admitted by a person or by policy."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zmq
from structlog.testing import capture_logs

from central.fleet import admit, revoke
from central.invitations import Centre as Told
from central.invitations import Reception, admit_announced, invite, judge
from central.publishing.ceremony import sign_root
from central.store.invitations import Invitation
from central.store.state import StateDir, Store
from edge.errors import OperatorError
from edge.wire import curve, sealing
from edge.wire.codec import decode_from_centre, encode
from edge.wire.curve import CurveKey
from edge.wire.messages import (
    PROTOCOL,
    Announce,
    Announced,
    Event,
    Fetch,
    FromCentre,
    FromDevice,
    Heartbeat,
    Hello,
    Reason,
    Refused,
    Tally,
    Welcome,
)
from edge.wire.provisioning import Provisioning, problems
from tests.central.ports import Centre, eventually
from tests.central.stand_ins import NOON_MS

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOUR_MS = 3_600_000
DIAL = "tcp://192.0.2.1:5810"


@dataclass(frozen=True)
class Box:
    """The keys that a box makes for itself."""

    name: str = "gate-1"
    link: CurveKey = field(default_factory=curve.make)
    seal: sealing.SealingKey = field(default_factory=lambda: sealing.SealingKey(bytes(curve.make().secret[:32])))

    @property
    def announce(self) -> Announce:
        return Announce(self.name, "sightline 0.1.0", self.link.public, self.seal.public)


@pytest.fixture
def told(state: StateDir) -> Told:
    sign_root(state.push, state.folder / "root.pem", state.push_keys / "online.pem", None, now=NOW)
    return Told(curve_public=curve.make().public, seal_public=Box().seal.public, push=state.push)


def invited(store: Store, told: Told, device: str = "gate-1", *, admit: bool = False) -> Provisioning:
    return invite(store, told, device, [DIAL], now_ms=NOON_MS, valid_h=72, admit=admit)


def say(store: Store, file: Provisioning, message: FromDevice, *, at_ms: int = NOON_MS + 1) -> FromCentre | None:
    payload = b"sealed" if isinstance(message, Event) else b""
    return Reception(store).hear(file.key.public, encode(message, payload), at_ms)


def reason(answer: FromCentre | None) -> Reason:
    assert isinstance(answer, Refused), answer
    return answer.reason


# ------------------------------------------------------------------ inviting


def test_what_a_box_is_given_is_whole_and_the_centre_keeps_no_token(
    store: Store, told: Told, state: StateDir
) -> None:
    file = invited(store, told)
    assert list(problems(file)) == []
    assert file.root_bytes == (state.push / "metadata" / "1.root.json").read_bytes()
    assert (file.device, file.endpoints) == ("gate-1", (DIAL,))
    assert (file.centre_key, file.sealing_key) == (told.curve_public, told.seal_public)
    kept = store.invitations.find(file.key.public)
    assert kept is not None
    assert kept.expires_at_ms == NOON_MS + 72 * HOUR_MS
    for path in state.folder.rglob("*"):
        assert not path.is_file() or file.token.encode() not in path.read_bytes(), path
    assert file.token not in repr(file)


def test_every_box_gets_a_token_of_its_own(store: Store, told: Told) -> None:
    assert invited(store, told, "gate-1").token != invited(store, told, "gate-2").token


def test_another_invitation_takes_the_place_of_the_first(store: Store, told: Told) -> None:
    first, second = invited(store, told), invited(store, told)
    assert not Reception(store).expects(first.key.public, NOON_MS)
    assert Reception(store).expects(second.key.public, NOON_MS)


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5810", "tcp://*:5810", "tcp://centre:*", "centre:5810"])
def test_an_address_that_nobody_can_dial_is_refused(store: Store, told: Told, endpoint: str) -> None:
    with pytest.raises(OperatorError, match="no box can dial"):
        invite(store, told, "gate-1", [endpoint], now_ms=NOON_MS, valid_h=72, admit=False)


def test_nobody_is_invited_without_a_root_of_trust(store: Store, told: Told, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no root of trust") as caught:
        invited(store, replace(told, push=tmp_path))
    assert "push root" in caught.value.hint


def test_a_box_that_is_admitted_is_not_invited_again(store: Store, told: Told) -> None:
    box = Box()
    admit(store, "gate-1", box.link.public, box.seal.public, NOON_MS)
    with pytest.raises(OperatorError, match="admitted already"):
        invited(store, told)
    revoke(store, "gate-1")
    invited(store, told)


# ------------------------------------------------------------------ announcing


def test_an_announced_box_waits_until_a_person_admits_it(store: Store, told: Told) -> None:
    file, box = invited(store, told), Box()
    assert say(store, file, box.announce) == Announced(admitted=False, clock_ms=NOON_MS + 1)
    assert store.devices.device(box.link.public) is None
    admit_announced(store, "gate-1", NOON_MS)
    assert store.devices.device(box.link.public) == "gate-1"
    assert say(store, file, box.announce) == Announced(admitted=True, clock_ms=NOON_MS + 1)


def test_a_box_is_admitted_at_once_where_its_invitation_says_so(store: Store, told: Told) -> None:
    file, box = invited(store, told, admit=True), Box()
    assert say(store, file, box.announce) == Announced(admitted=True, clock_ms=NOON_MS + 1)
    assert store.devices.device(box.link.public) == "gate-1"


def test_nobody_is_admitted_who_has_not_announced_anything(store: Store, told: Told) -> None:
    with pytest.raises(OperatorError, match="is not invited"):
        admit_announced(store, "gate-1", NOON_MS)
    invited(store, told)
    with pytest.raises(OperatorError, match="has not announced its keys yet"):
        admit_announced(store, "gate-1", NOON_MS)


def test_a_spent_token_takes_the_same_keys_again_and_no_others(store: Store, told: Told) -> None:
    file, box = invited(store, told), Box()
    for _ in range(3):  # a power cut before the box knew: it says the same again
        assert isinstance(say(store, file, box.announce), Announced)
    answer = say(store, file, Box().announce)
    assert answer == Refused(Reason.NOT_ADMITTED, "the invitation of gate-1 was spent before, on other keys")
    kept = store.invitations.of("gate-1")
    assert kept is not None
    assert kept.curve_public == box.link.public


def test_of_two_boxes_with_one_token_only_the_first_is_kept(store: Store, told: Told) -> None:
    file, first, second = invited(store, told), Box(), Box()
    spend = store.invitations.spend
    assert spend(file.key.public, first.link.public, first.seal.public, NOON_MS)
    assert not spend(file.key.public, second.link.public, second.seal.public, NOON_MS)


def test_an_expired_token_is_good_for_nothing(store: Store, told: Told) -> None:
    file, late_ms = invited(store, told), NOON_MS + 72 * HOUR_MS
    with capture_logs() as log:
        reception = Reception(store)
        assert reception.expects(file.key.public, late_ms - 1)
        assert not reception.expects(file.key.public, late_ms)
        assert not reception.expects(file.key.public, late_ms)
    assert [(line["event"], line["device"]) for line in log] == [("invitation.expired", "gate-1")]
    answer = say(store, file, Box().announce, at_ms=late_ms)  # on a connection that was open before
    assert answer == Refused(Reason.NOT_ADMITTED, "the invitation of gate-1 has expired")


def test_the_token_of_another_box_does_not_announce_this_one(store: Store, told: Told) -> None:
    invited(store, told, "gate-1")
    other = invited(store, told, "gate-2")
    assert reason(say(store, other, Box("gate-1").announce)) is Reason.WRONG_DEVICE


@pytest.mark.parametrize(
    "message",
    [
        Hello("gate-1", ""),
        Event("e1", 5),
        Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8),
        Heartbeat(5),
        Fetch("metadata/1.root.json", 0),
    ],
)
def test_an_invitation_is_for_announcing_alone(store: Store, told: Told, message: FromDevice) -> None:
    answer = say(store, invited(store, told), message)
    assert answer == Refused(Reason.NOT_ADMITTED, "the invitation of gate-1 is for announcing alone")


def test_noise_by_an_invitation_is_refused_and_does_not_spend_it(store: Store, told: Told) -> None:
    file = invited(store, told)
    reception = Reception(store)
    for frames in ([b"noise"], [b""], [b"a", b"b", b"c"]):
        assert reason(reception.hear(file.key.public, frames, NOON_MS)) is Reason.GARBAGE
    assert isinstance(say(store, file, Box().announce), Announced)


def test_a_withdrawn_invitation_is_no_invitation(store: Store, told: Told) -> None:
    file = invited(store, told)
    revoke(store, "gate-1")
    assert not Reception(store).expects(file.key.public, NOON_MS)
    assert say(store, file, Box().announce) is None


def test_a_revoked_box_does_not_come_back_by_its_token(store: Store, told: Told) -> None:
    file, box = invited(store, told, admit=True), Box()
    say(store, file, box.announce)
    revoke(store, "gate-1")
    assert store.devices.device(box.link.public) is None
    assert not Reception(store).expects(file.key.public, NOON_MS)
    assert say(store, file, box.announce) is None
    assert store.devices.device(box.link.public) is None
    with pytest.raises(OperatorError):
        admit_announced(store, "gate-1", NOON_MS)


def test_a_box_revoked_while_it_announces_itself_stays_out(
    store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, box = invited(store, told, admit=True), Box()
    spend = store.invitations.spend

    def spend_and_lose(token: str, curve_public: str, seal_public: str, at_ms: int) -> bool:
        spent = spend(token, curve_public, seal_public, at_ms)
        revoke(store, "gate-1")  # another process, between the two steps
        return spent

    monkeypatch.setattr(store.invitations, "spend", spend_and_lose)
    assert say(store, file, box.announce) == Announced(admitted=False, clock_ms=NOON_MS + 1)
    assert store.devices.device(box.link.public) is None


OPEN = Invitation(
    device="gate-1", token=curve.make().public, invited_at_ms=NOON_MS, expires_at_ms=NOON_MS + 1, admit=False
)
GOOD = Box()


@pytest.mark.parametrize(
    ("announce", "reason"),
    [
        (GOOD.announce, None),
        (Announce("gate-1", "", GOOD.link.public, GOOD.seal.public, PROTOCOL + 1), Reason.VERSION),
        (Announce("gate-1", "", OPEN.token, GOOD.seal.public), Reason.GARBAGE),  # the token as the box's own key
        (Announce("gate-1", "", "~" * 40, GOOD.seal.public), Reason.GARBAGE),
        (Announce("gate-1", "", GOOD.link.public, "0" * 64), Reason.GARBAGE),
        (Announce("gate-2", "", GOOD.link.public, GOOD.seal.public), Reason.WRONG_DEVICE),
    ],
)
def test_what_may_be_announced(announce: Announce, reason: Reason | None) -> None:
    refused = judge(OPEN, announce, [], NOON_MS)
    assert (refused.reason if refused else None) is reason


def test_the_keys_of_another_box_are_refused(store: Store, told: Told) -> None:
    other = Box("gate-2")
    admit(store, "gate-2", other.link.public, other.seal.public, NOON_MS)
    stolen = Announce("gate-1", "", other.link.public, other.seal.public)
    assert say(store, invited(store, told), stolen) == Refused(
        Reason.NOT_ADMITTED, "gate-1 announced the keys of another box"
    )


def test_a_box_admitted_by_hand_meanwhile_is_not_replaced_by_an_announcement(store: Store, told: Told) -> None:
    file, by_hand = invited(store, told, admit=True), Box()
    admit(store, "gate-1", by_hand.link.public, by_hand.seal.public, NOON_MS)
    assert reason(say(store, file, Box().announce)) is Reason.NOT_ADMITTED
    assert store.devices.device(by_hand.link.public) == "gate-1"


# ------------------------------------------------------------------ on the port


@dataclass
class Dialled:
    """A connection under some key, with no conversation behind it."""

    socket: "zmq.Socket[bytes]"

    def say(self, message: FromDevice) -> None:
        self.socket.send_multipart(encode(message, b"sealed" if isinstance(message, Event) else b""))

    def hears(self, within_ms: int = 5000) -> FromCentre | None:
        return decode_from_centre(self.socket.recv_multipart()).message if self.socket.poll(within_ms) else None


@contextmanager
def dialled(centre: Centre, key: curve.CurveKey) -> Iterator[Dialled]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.curve_serverkey = centre.key.public.encode()
        socket.curve_publickey = key.public.encode()
        socket.curve_secretkey = key.secret
        socket.connect(centre.endpoint)
        yield Dialled(socket)


@pytest.fixture
def port(store: Store) -> Iterator[Centre]:
    centre = Centre(reception=Reception(store))
    with centre.running():
        yield centre


def now_invited(store: Store, told: Told, *, valid_h: float = 1.0) -> Provisioning:
    return invite(store, told, "gate-1", [DIAL], now_ms=time.time_ns() // 1_000_000, valid_h=valid_h, admit=False)


def test_a_token_opens_the_port_for_an_announcement_and_nothing_else(port: Centre, store: Store, told: Told) -> None:
    file, box = now_invited(store, told), Box()
    with dialled(port, file.key) as line:
        line.say(Hello("gate-1", ""))
        assert reason(line.hears()) is Reason.NOT_ADMITTED
        line.say(Event("e1", 5))
        assert reason(line.hears()) is Reason.NOT_ADMITTED
        line.say(box.announce)
        assert isinstance(line.hears(), Announced)
        line.say(Hello("gate-1", ""))
        assert reason(line.hears()) is Reason.NOT_ADMITTED
    assert port.inbox.stored == {}
    assert port.report.peers == 0
    assert port.refused("not-admitted") == 3


def test_keys_that_are_announced_and_not_admitted_open_nothing(port: Centre, store: Store, told: Told) -> None:
    file, box = now_invited(store, told), Box()
    assert isinstance(Reception(store).hear(file.key.public, encode(box.announce), 1), Announced)
    with dialled(port, box.link) as line:
        line.say(Hello("gate-1", ""))
        assert line.hears(150) is None
        eventually(lambda: port.report.denied > 0, "a denial")


def test_an_expired_token_and_an_unknown_key_do_not_open_the_port(port: Centre, store: Store, told: Told) -> None:
    expired = now_invited(store, told, valid_h=0.0)
    for number, key in enumerate((expired.key, curve.make()), 1):
        with dialled(port, key) as line:
            line.say(Box().announce)
            assert line.hears(150) is None
            eventually(lambda many=number: port.report.denied >= many, "a denial")  # type: ignore[misc]
    assert port.report.messages == 0


def test_a_withdrawn_invitation_is_shut_on_its_open_connection(port: Centre, store: Store, told: Told) -> None:
    file = now_invited(store, told)
    with dialled(port, file.key) as line:
        line.say(Hello("gate-1", ""))
        assert reason(line.hears()) is Reason.NOT_ADMITTED
        revoke(store, "gate-1")
        line.say(Box().announce)
        assert line.hears() == Refused(Reason.NOT_ADMITTED)
    assert port.report.denied == 1


def test_an_admitted_box_announces_nothing(port: Centre) -> None:
    box = Box()
    port.roll.devices[box.link.public] = "gate-1"
    with dialled(port, box.link) as line:
        line.say(box.announce)
        assert reason(line.hears()) is Reason.NO_HELLO
        line.say(Hello("gate-1", ""))
        assert isinstance(line.hears(), Welcome)
        line.say(Announce("gate-1", "", curve.make().public, box.seal.public))
        assert isinstance(line.hears(), Refused)
