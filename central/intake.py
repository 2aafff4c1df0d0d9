"""Frames, message, commit, acknowledge: the only importer of ZeroMQ at the centre.

What it needs from the rest of the centre are the three ports below.
"""

from collections.abc import Sequence
from typing import Protocol

from edge.wire.conversation import Arrival
from edge.wire.messages import Heartbeat


class Inbox(Protocol):
    """Where events and tallies are kept."""

    def commit(self, batch: Sequence[Arrival]) -> None:
        """Store the whole batch in one transaction and return once it would survive a power cut.

        Called from the intake's own thread. A repeat of (device, event id) or (device, tally id) changes
        nothing, within one batch too: repeats are how nothing is lost. Raises a `SightlineError` if it
        cannot store; then nothing is acknowledged and the boxes send all of it again.
        """


class Admissions(Protocol):
    """Who may connect."""

    def device(self, public_key: str) -> str | None:
        """Return the device that owns this CURVE public key (z85, 40 characters), None if not admitted.

        Asked at every handshake and again with every batch, so that a revoked box is locked out at once.
        """


class Heartbeats(Protocol):
    """Who hears that a box is alive."""

    def heard(self, device: str, heartbeat: Heartbeat, at_ms: int) -> None:
        """Take a box's newest heartbeat, received at this time."""
