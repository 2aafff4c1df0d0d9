import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import IntegrityError
from edge.wire import watchlist
from edge.wire.codec import Garbled, Said, decode_from_centre, decode_from_device, encode
from edge.wire.messages import (
    MAX_HEADER_BYTES,
    MAX_IDS,
    MAX_PAYLOAD_BYTES,
    Ack,
    Announce,
    Announced,
    Applied,
    CameraHealth,
    Chunk,
    Event,
    Fetch,
    FromCentre,
    FromDevice,
    Heartbeat,
    Hello,
    Phase,
    Pulse,
    Reason,
    Refused,
    Tally,
    Welcome,
)

pack = msgspec.msgpack.encode

FROM_DEVICE: list[tuple[FromDevice, bytes]] = [
    (Hello("box-1", "0.1.0"), b""),
    (Event("e1", 17), b"sealed"),
    (Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8), b""),
    (Heartbeat(17, 3, 1, seeing=True, troubles=("no camera",)), b""),
    (Heartbeat(17, camera=CameraHealth(condition="blind", reason="timeout", frame_age_ms=7000, reconnects=2)), b""),
    (Heartbeat(17, applied=Applied(state="ab", phase=Phase.REFUSED, about="cd", refused="no room")), b""),
    (Fetch("metadata/1.box-gate%3A1.json", 262144), b""),
    (Announce("box-1", "0.1.0", "k" * 40, "a" * 64), b""),
]
FROM_CENTRE: list[tuple[FromCentre, bytes]] = [
    (Welcome(17, desired="ab"), b""),
    (Ack(("e1", "t1")), b""),
    (Pulse(17), b""),
    (Refused(Reason.OVERSIZE, "too big", "e1"), b""),
    (Chunk("targets/box-1/config.yaml", 0, eof=True), b"device:"),
    (Chunk("targets/box-1/config.yaml", 0, missing=True), b""),
    (Announced(admitted=False, clock_ms=17), b""),
]


@pytest.mark.parametrize(("message", "payload"), FROM_DEVICE)
def test_what_a_box_says_the_centre_reads(message: FromDevice, payload: bytes) -> None:
    assert decode_from_device(encode(message, payload)) == Said(message, payload)


@pytest.mark.parametrize(("message", "payload"), FROM_CENTRE)
def test_what_the_centre_says_a_box_reads(message: FromCentre, payload: bytes) -> None:
    assert decode_from_centre(encode(message, payload)) == Said(message, payload)


@pytest.mark.parametrize(("message", "payload"), FROM_DEVICE)
def test_neither_end_takes_its_own_words(message: FromDevice, payload: bytes) -> None:
    with pytest.raises(Garbled):
        decode_from_centre(encode(message, payload))
    with pytest.raises(Garbled):
        decode_from_device(encode(Welcome(17)))


def test_fields_of_a_later_version_are_ignored_and_unknown_reasons_read_as_unknown() -> None:
    later = pack({"type": "hello", "device": "box-1", "software": "9", "protocol": 1, "moods": [{"a": 1}]})
    assert decode_from_device([later]).message == Hello("box-1", "9")
    reason = pack({"type": "refused", "reason": "phase of the moon"})
    assert decode_from_centre([reason]).message == Refused(Reason.UNKNOWN)


HELLO = pack(Hello("box-1", "0.1.0"))
EVENT = pack(Event("e1", 17))


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], Reason.GARBAGE),
        ([b""], Reason.GARBAGE),
        ([b"GET / HTTP/1.1\r\n\r\n"], Reason.GARBAGE),
        ([HELLO, b"", b""], Reason.GARBAGE),
        ([HELLO + b"x"], Reason.GARBAGE),
        ([HELLO[:-1]], Reason.GARBAGE),
        ([HELLO, b"a payload that does not belong"], Reason.GARBAGE),
        ([EVENT], Reason.GARBAGE),
        ([EVENT, b""], Reason.GARBAGE),
        ([EVENT, b"x" * (MAX_PAYLOAD_BYTES + 1)], Reason.OVERSIZE),
        ([b"x" * (MAX_HEADER_BYTES + 1)], Reason.OVERSIZE),
        ([pack({"type": "hello", "device": "box 1\n", "software": ""})], Reason.GARBAGE),
        ([pack({"type": "hello", "device": "box-1\n", "software": ""})], Reason.GARBAGE),
        ([pack({"type": "hello", "device": "b" * 65, "software": ""})], Reason.GARBAGE),
        ([pack({"type": "hello", "device": "box-1", "software": "x" * 513})], Reason.GARBAGE),
        ([pack({"type": "hello", "software": "x"})], Reason.GARBAGE),
        ([pack({"type": "farewell"})], Reason.GARBAGE),
        ([pack({"type": "heartbeat", "sent_at_ms": -1})], Reason.GARBAGE),
        ([pack({"type": "heartbeat", "sent_at_ms": 2**63})], Reason.GARBAGE),
        ([pack({"type": "heartbeat", "sent_at_ms": 1, "waiting": 2**53})], Reason.GARBAGE),
        ([pack({"type": "heartbeat", "sent_at_ms": 1, "troubles": ["x"] * 33})], Reason.GARBAGE),
        ([b"\x82" + pack("type") + b"\xa3\xff\xff\xff"], Reason.GARBAGE),
        ([b"\x81" + pack("more") + b"\x91" * 60_000], Reason.GARBAGE),
    ],
)
def test_garbage_is_refused_with_its_reason(frames: list[bytes], reason: Reason) -> None:
    with pytest.raises(Garbled) as caught:
        decode_from_device(frames)
    assert caught.value.reason is reason
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


def test_too_many_acks_at_once_are_garbage() -> None:
    assert decode_from_centre([pack({"type": "ack", "ids": ["e"] * MAX_IDS})]).message == Ack(("e",) * MAX_IDS)
    with pytest.raises(Garbled):
        decode_from_centre([pack({"type": "ack", "ids": ["e"] * (MAX_IDS + 1)})])


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 65_000,
        b"\xdd\x00\x00\xf0\x00" + b"\xa1a" * 30_000,
    ],
)
def test_a_length_field_that_lies_costs_no_memory(bomb: bytes) -> None:
    frames = [
        [b"\x82" + pack("type") + pack("heartbeat") + pack("troubles") + bomb],
        [b"\x82" + pack("type") + pack("ack") + pack("ids") + bomb],
        [b"\x81" + pack("unknown") + bomb],
        [bomb],
    ]
    tracemalloc.start()
    try:
        for header in frames:
            with pytest.raises(Garbled):
                decode_from_device(header)
            with pytest.raises(Garbled):
                decode_from_centre(header)
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_HEADER_BYTES
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(max_size=400), max_size=4))
def test_any_bytes_at_all_are_a_message_or_garbage(frames: list[bytes]) -> None:
    for decode in (decode_from_device, decode_from_centre):
        try:
            decode(frames)
        except Garbled:
            continue


@given(st.sampled_from(FROM_DEVICE), st.data())
def test_a_message_cut_short_or_with_a_bit_flipped_never_crashes_the_reader(
    spoken: tuple[FromDevice, bytes], data: st.DataObject
) -> None:
    header, *rest = encode(*spoken)
    cut = data.draw(st.integers(0, len(header) - 1))
    with pytest.raises(Garbled):
        decode_from_device([header[:cut], *rest])
    flipped = bytearray(header)
    flipped[cut] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decode_from_device([bytes(flipped), *rest])
    except Garbled:
        return


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (Event("e1", 1), b""),
        (Hello("box-1", "x"), b"payload"),
        (Event("e1", 1), b"x" * (MAX_PAYLOAD_BYTES + 1)),
        (Hello("box-1", "x" * MAX_HEADER_BYTES), b""),
    ],
)
def test_what_the_other_end_would_refuse_is_not_sent(message: FromDevice, payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"payload|header"):
        encode(message, payload)


@pytest.mark.parametrize("data", [b"\x82\xa6format\x02\xa9watchlist\xa1\xff", b"\x81\xa1x" + b"\x91" * 100_000, b""])
def test_a_watchlist_that_cannot_be_read_is_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="not a watchlist"):
        watchlist.decode(data)
