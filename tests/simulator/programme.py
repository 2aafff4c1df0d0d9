"""What the camera shows when, and what is wrong with it; no sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.simulator.tape import CLOCK_HZ, Tape, Unit

_NTP_1970 = 2_208_988_800
# A key picture may be this old for somebody who joins, so that a slow start still begins with the first.
_JOIN_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A unit in its moment."""

    number: int
    """Counts on through the rounds of a loop."""
    unit: Unit
    shown_s: float
    """When it was captured, in seconds from the beginning of the first round."""


class Programme:
    """A tape that plays whether anybody looks or not, once it has begun."""

    def __init__(self, tape: Tape, *, loop: bool, clock_ahead_s: float = 0.0, reports: bool = True) -> None:
        self.tape, self.loop, self.reports = tape, loop, reports
        """The tape may be changed while it plays: another resolution, frame rate or codec."""
        self.clock_ahead_s = clock_ahead_s
        """How much the camera's clock is ahead of the true time."""
        self.stalled = False
        """Connections stay up and nothing comes."""
        self.garbled = False
        """Pictures come in the right packets and cannot be decoded."""
        self.sent: int | None = None
        """The number on the tape of what was sent last, in order of sending."""
        self.uneven = False
        """Pictures are cut into parts of ever other lengths."""
        self.loss = 0.0
        """Share of the datagrams that never arrive."""
        self.codec_said: str | None = None
        """What the session description calls the codec; None: what it is."""
        self.mute = False
        """Connections are accepted, and nothing is ever answered."""
        self.flowing = asyncio.Event()
        """Not set: the network holds everything back, and nothing is lost."""
        self.flowing.set()
        self.begun = asyncio.Event()
        self.began_at = 0.0

    def begin(self) -> None:
        """Start the tape, if it has not been started."""
        if not self.begun.is_set():
            self.began_at = time.monotonic()
            self.begun.set()

    def now_s(self) -> float:
        """Return seconds since the beginning."""
        return time.monotonic() - self.began_at

    def began_at_ms(self) -> int:
        """Return when the first frame was captured: ms since 1970 by the camera's clock."""
        return round((time.time() + self.clock_ahead_s - self.now_s()) * 1000)

    def rtp_time(self, at_s: float) -> int:
        """Return the RTP timestamp of a moment."""
        return round(at_s * CLOCK_HZ) & 0xFFFFFFFF

    def ntp_time(self, at_s: float) -> int:
        """Return the moment as NTP has it: seconds since 1900 in 32.32 bits, by the camera's clock."""
        return round((self.began_at_ms() / 1000 + at_s + _NTP_1970) * (1 << 32))

    async def units(self) -> AsyncIterator[Sending]:
        """Give each unit at its time, from a key picture on; a stall leaves a gap, as a hung camera does."""
        await self.begun.wait()
        patience_s = _JOIN_S
        while True:
            tape = self.tape
            async for sending in self._reel(tape, patience_s):
                yield sending
            if self.tape is tape:
                return
            patience_s = 0.0

    async def _reel(self, tape: Tape, patience_s: float) -> AsyncIterator[Sending]:
        """Give the units of one tape, as if it had run from the beginning, until it ends or is changed."""
        count, period_s = len(tape.units), tape.period_s
        number = max(0, int(self.now_s() / period_s) * count - count)
        waits_for_key = True
        while self.loop or number < count:
            unit, base_s = tape.units[number % count], number // count * period_s
            early_s = base_s + unit.sent_s - self.now_s()
            # What was sent well before somebody joined is over; what is late after that is still sent.
            missed = waits_for_key and early_s < -patience_s
            if early_s > 0:
                await asyncio.sleep(early_s)
            await self.flowing.wait()
            if self.tape is not tape:
                return
            waits_for_key = self.stalled or (waits_for_key and (missed or not unit.key))
            if not waits_for_key:
                self.sent = number % count
                yield Sending(number=number, unit=unit, shown_s=base_s + unit.shown_s)
            number += 1

    async def numbers(self) -> AsyncIterator[int]:
        """Give the number of the frame on show whenever it changes, in order of showing."""
        await self.begun.wait()
        shown = sorted(unit.shown_s for unit in self.tape.units)
        count, period_s = len(shown), self.tape.period_s
        number = int(self.now_s() / period_s * count)
        while self.loop or number < count:
            early_s = number // count * period_s + shown[number % count] - self.now_s()
            if early_s > 0:
                await asyncio.sleep(early_s)
            if not self.stalled:
                yield number % count
            number += 1

    async def over(self) -> None:
        """Wait for the end of a tape that plays once."""
        await self.begun.wait()
        last_s = max(unit.sent_s for unit in self.tape.units)
        await asyncio.sleep(max(self.tape.period_s, last_s) - self.now_s())
