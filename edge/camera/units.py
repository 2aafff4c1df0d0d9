"""Pictures put together from the pieces of an RTSP stream, so that they need not wait for the next one.

FFmpeg's reader hands over the payload of each RTP packet (RFC 6184, RFC 7798) and leaves it to a parser to join
them. The parser knows that a picture is whole when the next one begins: one frame period late, 40 ms at 25 a
second, which is most of the way from the lens to the detector. Of H.264 more is known. A NAL unit that was cut into
fragments ends with one that is shorter than the others, and the decoder gives a picture as soon as all its rows are
there (`flags2=chunks`). So the pieces are joined here and go to the decoder slice by slice. Where the lengths leave
a doubt (one in 1,400), the next piece settles it.

That all fragments but the last are of one length is custom, not law. A camera that does otherwise is found out by
the first piece that goes on where nothing should be left; from then on, for this connection, units wait for the next.
"""

from dataclasses import dataclass

START = b"\0\0\0\1"
_ANNEX_B = ("h264", "hevc")
_SLICES, _KEY_SLICE = (1, 5), 5
_KEYS_H265 = range(16, 22)
# The first fragment bears the unit's own header of a byte, which the others have in theirs of two.
_HEADER = len(START) + 1
# Four pictures of 1080p without any compression; no camera sends such a one.
_AT_MOST = 4 * 1920 * 1080 * 3 // 2


@dataclass(frozen=True)
class Unit:
    """What a decoder takes: one slice with what came before it, or the units of one picture."""

    data: bytes
    pts: int
    key: bool
    """It belongs to a key picture."""


class Assembler:
    """The pieces of one connection; `add` in order of coming."""

    def __init__(self, codec: str) -> None:
        """Begin; `codec` is FFmpeg's name: h264, or one that is given picture by picture when the next begins."""
        self._by_slice, self._codec = codec == "h264", codec
        self._held = bytearray()
        self._pts: int | None = None
        self._slice = self._key = False
        self._first = self._full = 0
        self._given = False
        self.broke = False
        """Whether the last piece showed that a unit had been given before its end."""

    def add(self, piece: bytes, pts: int) -> list[Unit]:
        """Take a piece; return the units that are whole now."""
        begins = piece.startswith(START) or (pts != self._pts and self._codec not in _ANNEX_B)
        units = []
        if begins and self._first:
            # A whole unit fitted in one packet; fragments are at most two bytes shorter than the longest packet.
            self._full = max(self._full, self._first - len(START) - 2)
        if pts != self._pts or (begins and self._by_slice and self._slice):
            units += self._take()
        self.broke = self._given and not begins and self._by_slice
        if self.broke:
            self._by_slice = False
        self._given = False
        if not begins and not self._held:
            return units  # the end of something whose beginning never came
        self._pts = pts
        self._note(piece, begins=begins)
        self._held += piece
        if len(self._held) > _AT_MOST:
            self._take()
        elif self._by_slice and self._slice and self._is_last(piece, begins=begins):
            units += self._take()
            self._given = True
        return units

    def end(self) -> list[Unit]:
        """Return what no next piece can complete, at the end of the stream."""
        return self._take()

    def _note(self, piece: bytes, *, begins: bool) -> None:
        if not begins:
            self._full = max(self._full, len(piece), self._first - _HEADER)
            self._first = 0
        elif len(piece) > len(START):
            # Of several units in one packet nothing can be said: each has a longer mark here than it had there.
            self._first = len(piece) if piece.find(START, len(START)) < 0 else 0
            header = piece[len(START)]
            if self._codec == "h264":
                self._slice = header & 31 in _SLICES
                self._key = self._key or header & 31 == _KEY_SLICE
            elif self._codec == "hevc":
                self._key = self._key or header >> 1 & 63 in _KEYS_H265

    def _is_last(self, piece: bytes, *, begins: bool) -> bool:
        return len(piece) < (self._full + _HEADER if begins else self._full)

    def _take(self) -> list[Unit]:
        data, key = bytes(self._held), self._key
        self._held.clear()
        self._slice = self._key = False
        if not data or self._pts is None or len(data) > _AT_MOST:
            return []
        return [Unit(data, self._pts, key)]
