"""The watchlist: entries, and the references that say what each looks like."""

import secrets
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, insert, select, update

from central.store.database import Database
from edge.wire.ids import new_id

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NewReference:
    """A photograph that passed, ready to be kept."""

    photo: bytes
    """The file as it was given."""
    crop: bytes
    """JPEG of the face with some surroundings."""
    landmarks: Floats
    """(5,2) in pixels of the crop."""
    template: Floats
    """(d,) unit vector."""
    model_sha256: str
    quality: float


@dataclass(frozen=True)
class Enrolled:
    """Templates of references (n), each with its id, its entry and its model."""

    ids: tuple[str, ...]
    entries: tuple[str, ...]
    models: tuple[str, ...]
    templates: tuple[Floats, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class EnrolledFace:
    """The picture of a reference."""

    crop: bytes
    """JPEG."""
    landmarks: Floats
    """(5,2) in pixels of the crop."""


class Kept(Enum):
    """What became of a reference that was to be kept."""

    NEW = "new"
    KNOWN = "known"
    """The entry has this very photograph already."""
    TAKEN = "taken"
    """Another entry has this very photograph."""


class Entries:
    """Who is looked for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = database.tables

    def keep(self, name: str, reference: NewReference, now_ms: int) -> Kept:
        """Add a reference to the entry of this name, which is made if there is none."""
        mark = self._database.cipher.mark(reference.photo)
        with self._database.write() as connection:
            known = self._owner(connection, mark)
            entry = self._entry(connection, name)
            if known is not None:
                return Kept.KNOWN if known == entry else Kept.TAKEN
            if entry is None:
                entry = self._open_entry(connection, name, now_ms)
            connection.execute(
                insert(self._tables.references).values(
                    id=new_id(now_ms),
                    entry=entry,
                    photo_mark=mark,
                    photo=reference.photo,
                    crop=reference.crop,
                    landmarks=np.ascontiguousarray(reference.landmarks, "<f4").tobytes(),
                    template=_stored(reference.template),
                    model_sha256=reference.model_sha256,
                    quality=reference.quality,
                    enrolled_at_ms=now_ms,
                )
            )
        return Kept.NEW

    def holder(self, name: str, photo: bytes) -> Kept:
        """Tell whether a photograph is enrolled already, under this name or another."""
        with self._database.read() as connection:
            known = self._owner(connection, self._database.cipher.mark(photo))
            if known is None:
                return Kept.NEW
            return Kept.KNOWN if known == self._entry(connection, name) else Kept.TAKEN

    def of(self, entry: str) -> Enrolled:
        """Return the references of one entry; none if it is not, or no longer, on the list."""
        return self._enrolled(entry)

    def all(self) -> Enrolled:
        """Return every reference, ordered by entry."""
        return self._enrolled(None)

    def face(self, reference: str) -> EnrolledFace:
        """Return the picture a reference's template is made from."""
        references = self._tables.references
        with self._database.read() as connection:
            row = connection.execute(
                select(references.c.crop, references.c.landmarks).where(references.c.id == reference)
            ).one()
        return EnrolledFace(row.crop, np.frombuffer(row.landmarks, "<f4").reshape(5, 2))

    def renew(self, reference: str, template: Floats, model_sha256: str) -> None:
        """Replace a reference's template by that of another model."""
        references = self._tables.references
        values = {"template": _stored(template), "model_sha256": model_sha256}
        with self._database.write() as connection:
            connection.execute(update(references).where(references.c.id == reference).values(**values))

    def counts(self) -> tuple[int, int]:
        """Return how many entries and how many references there are."""
        with self._database.read() as connection:
            tables = (self._tables.entries, self._tables.references)
            entries, references = (
                int(connection.scalar(select(func.count()).select_from(table)) or 0) for table in tables
            )
        return entries, references

    def _enrolled(self, entry: str | None) -> Enrolled:
        references = self._tables.references
        query = select(
            references.c.id, references.c.entry, references.c.model_sha256, references.c.template
        ).order_by(references.c.entry, references.c.id)
        if entry is not None:
            query = query.where(references.c.entry == entry)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return Enrolled(
            ids=tuple(row.id for row in rows),
            entries=tuple(row.entry for row in rows),
            models=tuple(row.model_sha256 for row in rows),
            templates=tuple(_unit(row.template) for row in rows),
        )

    def _owner(self, connection: Connection, mark: str) -> str | None:
        references = self._tables.references
        owner: str | None = connection.scalar(select(references.c.entry).where(references.c.photo_mark == mark))
        return owner

    def _entry(self, connection: Connection, name: str) -> str | None:
        entries = self._tables.entries
        mark = self._database.cipher.mark(name.encode())
        entry: str | None = connection.scalar(select(entries.c.id).where(entries.c.name_mark == mark))
        return entry

    def _open_entry(self, connection: Connection, name: str, now_ms: int) -> str:
        # Random rather than by time: it travels to boxes, and says nothing there, not even since when.
        entry = secrets.token_hex(16)
        connection.execute(
            insert(self._tables.entries).values(
                id=entry, name=name, name_mark=self._database.cipher.mark(name.encode()), created_at_ms=now_ms
            )
        )
        return entry


def _unit(template: bytes) -> Floats:
    """Return a stored float16 template as a float32 unit vector."""
    vector = np.frombuffer(template, "<f2").astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _stored(template: Floats) -> bytes:
    return np.ascontiguousarray(template, "<f2").tobytes()
