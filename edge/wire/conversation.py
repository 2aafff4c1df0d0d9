"""Who may say what when, for both roles: no socket, no clock."""

from dataclasses import dataclass

from edge.wire.messages import Event, Tally


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An event or a tally of an authenticated box, for the centre to commit and only then acknowledge."""

    device: str
    """Known by the box's key, never by what it says."""
    message: Event | Tally
    payload: bytes
    """An event's sealed candidate; empty for a tally."""
    received_at_ms: int
    """Centre clock."""

    @property
    def id(self) -> str:
        """Return the id under which a repeat is known and the acknowledgement goes back."""
        return self.message.event_id if isinstance(self.message, Event) else self.message.tally_id
