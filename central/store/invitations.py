"""Boxes that may announce themselves, and what they announced."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from central.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """Leave for one box to say its keys, once."""

    device: str
    token: str
    """The public half of the token, z85: all that the centre keeps of it."""
    invited_at_ms: int
    expires_at_ms: int
    admit: bool
    """Whether the box is admitted as soon as it has said its keys."""
    curve_public: str = ""
    seal_public: str = ""
    announced_at_ms: int | None = None
    """When it was spent; None while it is open."""


class Invitations:
    """The open invitations and the spent ones, one for each id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table = database.tables.invitations

    def find(self, token: str) -> Invitation | None:
        """Return the invitation whose token has this public half."""
        return next(iter(self._where(self._table.c.token == token)), None)

    def of(self, device: str) -> Invitation | None:
        """Return the invitation of a box."""
        return next(iter(self._where(self._table.c.device == device)), None)

    def all(self) -> list[Invitation]:
        """Return every invitation, by id."""
        return self._where(self._table.c.device != "")

    def put(self, invitation: Invitation) -> None:
        """Keep an invitation in the place of any other of that box."""
        with self._database.write() as connection:
            connection.execute(delete(self._table).where(self._table.c.device == invitation.device))
            connection.execute(insert(self._table).values(**vars(invitation)))

    def spend(self, token: str, curve_public: str, seal_public: str, at_ms: int) -> bool:
        """Keep the keys that were announced; False where the invitation is gone, or spent on other keys."""
        table = self._table
        same = {"curve_public": curve_public, "seal_public": seal_public}
        mine = table.c.token == token
        with self._database.write() as connection:
            spent = connection.execute(
                update(table).where(mine, table.c.announced_at_ms.is_(None)).values(announced_at_ms=at_ms, **same)
            ).rowcount
            repeated = select(table.c.device).where(
                mine, table.c.curve_public == curve_public, table.c.seal_public == seal_public
            )
            return bool(spent) or connection.scalar(repeated) is not None

    def withdraw(self, device: str) -> bool:
        """Forget the invitation of a box; False where there was none."""
        with self._database.write() as connection:
            return bool(connection.execute(delete(self._table).where(self._table.c.device == device)).rowcount)

    def _where(self, condition: Any) -> list[Invitation]:
        with self._database.read() as connection:
            rows = connection.execute(select(self._table).where(condition).order_by(self._table.c.device))
            return [Invitation(**row._mapping) for row in rows]  # noqa: SLF001 - how a row is told as names and values
