"""Messages to frames and back: one msgpack header frame and, for an event or a piece, one raw payload frame.

What comes in is a stranger's until it has passed here. Sizes are checked before anything is decoded, and
the decoder allocates by what is there, never by what a length field claims.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from edge.errors import PeerError
from edge.wire.messages import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Chunk,
    Event,
    FromCentre,
    FromDevice,
    Reason,
)

Spoken_co = TypeVar("Spoken_co", bound=FromDevice | FromCentre, covariant=True)

_DETAIL_CHARACTERS = 200
_encoder = msgspec.msgpack.Encoder()
_from_device: msgspec.msgpack.Decoder[FromDevice] = msgspec.msgpack.Decoder(FromDevice)
_from_centre: msgspec.msgpack.Decoder[FromCentre] = msgspec.msgpack.Decoder(FromCentre)


class Garbled(PeerError):  # noqa: N818 - it is named by what the message is
    """What the peer sent cannot be read; `reason` is the word to refuse it with."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Said(Generic[Spoken_co]):
    """One message as it was read, with its payload (empty where it has none)."""

    message: Spoken_co
    payload: bytes = b""


def encode(message: FromDevice | FromCentre, payload: bytes = b"") -> list[bytes]:
    """Write a message as frames, refusing to make what the other end would refuse to read."""
    header = _encoder.encode(message)
    if len(header) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(header)} bytes, at most {MAX_HEADER_BYTES} are allowed")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload of {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are allowed")
    if not _belongs(message, payload):
        raise ValueError(f"{type(message).__name__} with {len(payload)} bytes of payload")
    return [header, payload] if payload else [header]


def decode_from_device(frames: Sequence[bytes]) -> Said[FromDevice]:
    """Read what a device said; raises `Garbled`."""
    return _decode(_from_device, frames)


def decode_from_centre(frames: Sequence[bytes]) -> Said[FromCentre]:
    """Read what the centre said; raises `Garbled`."""
    return _decode(_from_centre, frames)


def _decode(decoder: msgspec.msgpack.Decoder[Spoken_co], frames: Sequence[bytes]) -> Said[Spoken_co]:
    if not 1 <= len(frames) <= 2:
        raise Garbled(Reason.GARBAGE, f"{len(frames)} frames where one or two belong")
    header, payload = frames[0], frames[1] if len(frames) == 2 else b""
    if len(header) > MAX_HEADER_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        raise Garbled(Reason.OVERSIZE, f"frames of {len(header)} and {len(payload)} bytes")
    try:
        message = decoder.decode(header)
    except (ValueError, RecursionError) as error:
        # msgspec's errors are ValueErrors; so is bad UTF-8. Fields we do not know are skipped, however deep.
        detail = ascii(str(error))[1:-1][:_DETAIL_CHARACTERS]
        raise Garbled(Reason.GARBAGE, f"not a message: {detail}") from error
    if not _belongs(message, payload):
        raise Garbled(Reason.GARBAGE, f"{type(message).__name__} with {len(payload)} bytes of payload")
    return Said(message, payload)


def _belongs(message: FromDevice | FromCentre, payload: bytes) -> bool:
    """Say whether the payload is one for this message: an event has one, a piece may, nothing else has."""
    return isinstance(message, Chunk) or isinstance(message, Event) == bool(payload)
