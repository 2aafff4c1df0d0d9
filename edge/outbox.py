"""What waits on the box for the centre: one SQLite file, the only seam between `watch` and `link`.

Theory of operation. `watch` puts, `link` reads and deletes, each process with its own `Outbox` on the same
path; SQLite's write-ahead log lets them work at once. A put has survived a power cut when it returns
(WAL, synchronous=FULL). A row leaves on the centre's acknowledgement, or when the file would outgrow its
bound: then the oldest tallies go first, then the oldest events, and each is counted in `shed`.

Trouble. A full or failing disk raises `WorldError`: nothing is half written, what was put before is still
there and can still be sent, and the caller may try again; acknowledged rows leave and make room. So that they
can, a put leaves the last megabytes of the disk alone. A damaged file raises `IntegrityError`; nothing is
repaired behind the operator's back.

Forensics. Payloads are sealed for the centre before they come here: this file never holds a face in the
clear. Deleted rows are overwritten with zeros in the database file (secure_delete), and `tidy` empties the
log they were written through. What a flash card keeps of overwritten blocks by itself is out of reach from
here, and is sealed.
"""

import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct

from edge.errors import IntegrityError, SightlineError, WorldError
from edge.wire.codec import encode
from edge.wire.messages import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES, CameraHealth, Count, Event, Tally, Text
from edge.wire.turns import subject_of

Kind = Literal["event", "tally"]

_FORMAT = 1
_ROW_BYTES = 128
"""What a row weighs beyond its header and payload: id, keys, its share of pages; measured, rounded up."""
_RESERVE_BYTES = 4 * 1024 * 1024
"""Room on the disk that a put leaves alone: deleting needs some too, for the log that deletions go through."""
_BUSY_S = 10.0
_RETRY_S = 0.02
_TIDY_BUSY_MS = 200

_SCHEMA = """
CREATE TABLE waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    header BLOB NOT NULL,
    payload BLOB NOT NULL,
    size INTEGER NOT NULL
);
CREATE INDEX oldest_of_kind ON waiting (kind, number);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('rows', 0), ('bytes', 0), ('shed', 0);
CREATE TRIGGER came AFTER INSERT ON waiting BEGIN
    UPDATE counters SET value = value + 1 WHERE name = 'rows';
    UPDATE counters SET value = value + new.size WHERE name = 'bytes';
END;
CREATE TRIGGER went AFTER DELETE ON waiting BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'rows';
    UPDATE counters SET value = value - old.size WHERE name = 'bytes';
END;
CREATE TABLE reports (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""


class OutboxSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may wait on the box."""

    max_bytes: Annotated[int, Meta(ge=8 * 1024 * 1024)] = 1536 * 1024 * 1024
    """Bytes of rows; the file itself grows to about a tenth more, and keeps its greatest size. The default holds four
    days of ten candidates a minute (docs/reliability.md)."""


class Ended(Struct, frozen=True, kw_only=True):
    """A watchlist that must not be on this box any more."""

    watchlist: str
    why: str
    """The gate's word for it."""
    at_ms: Count
    """Box clock, when watch overwrote it in memory."""
    state: Text = ""
    """The pushed state that brought it, whose file is link's to destroy; empty for a file put there by hand."""


class WatchReport(Struct, frozen=True, kw_only=True):
    """What `watch` leaves under the name "watch" for `link` to carry to the centre; unknown fields pass."""

    at_ms: Count = 0
    """Box clock when it was written; 0 says nothing about its age."""
    seeing: bool = False
    """Whether the camera's newest frame is fresh."""
    troubles: tuple[str, ...] = ()
    camera: CameraHealth | None = None
    watchlist_over: Ended | None = None
    """The last watchlist that was destroyed; link destroys its file in what was pushed."""
    state: str = ""
    """The word of the pushed state that it runs, or could not run; empty: none, or it has only begun to start."""
    unfit: str = ""
    """Why it cannot run that state; empty where it does."""
    ended: bool = False
    """Whether `watch` has put its last row: the end of a replay. False from its very first report on."""


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message on its way to the centre: an encoded header and, for an event, a sealed payload."""

    id: str
    kind: Kind
    header: bytes
    payload: bytes = b""
    number: int = 0
    """Where it stands in the outbox, ascending; 0 before it is put."""

    def __post_init__(self) -> None:
        if len(self.header) > MAX_HEADER_BYTES or len(self.payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"{self.kind} {self.id}: {len(self.header)} + {len(self.payload)} bytes, "
                f"at most {MAX_HEADER_BYTES} + {MAX_PAYLOAD_BYTES} are allowed"
            )

    @classmethod
    def of(cls, message: Event | Tally, payload: bytes = b"") -> "Outgoing":
        """Encode a message for its way; an event comes with its sealed candidate, a tally with nothing."""
        header, *_ = encode(message, payload)
        kind: Kind = "event" if isinstance(message, Event) else "tally"
        return cls(id=subject_of(message), kind=kind, header=header, payload=payload)

    @property
    def size(self) -> int:
        """Return what it weighs in the outbox, bytes."""
        return len(self.header) + len(self.payload) + _ROW_BYTES


class Outbox:
    """The waiting rows, and the short reports that `watch` and `link` leave each other.

    Threads of one process may share one; processes open one each.
    """

    def __init__(
        self,
        path: Path,
        settings: OutboxSettings,
        database: sqlite3.Connection,
        free_bytes: Callable[[Path], int],
    ) -> None:
        self._path = path
        self._max_bytes = settings.max_bytes
        self._db = database
        self._free_bytes = free_bytes
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, settings: OutboxSettings, *, free_bytes: Callable[[Path], int] | None = None) -> Self:
        """Open the outbox at `path`, making it if it is not there; `free_bytes` says how much room a disk has."""
        with _translated(path), contextlib.ExitStack() as undo:
            _make(path)
            # Autocommit: transactions are written out below, so that every one is BEGIN IMMEDIATE.
            database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            undo.callback(database.close)
            _write_ahead(database)
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA secure_delete = ON")
            outbox = cls(path, settings, database, free_bytes or _free_bytes)
            outbox._prepare()
            undo.pop_all()
            return outbox

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the last process to do so empties the log."""
        with self._lock:
            self._db.close()

    @property
    def folder(self) -> Path:
        """Return where it lies."""
        return self._path.parent

    # -------------------------------------------------------------- rows

    def put(self, outgoing: Outgoing) -> None:
        """Keep this until the centre has it; a second put of an id that waits changes nothing."""
        if self._free_bytes(self._path.parent) < _RESERVE_BYTES + outgoing.size:
            raise _full(self._path)
        with self._transaction() as db:
            done = db.execute(
                "INSERT INTO waiting (id, kind, header, payload, size) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO NOTHING",
                (outgoing.id, outgoing.kind, outgoing.header, outgoing.payload, outgoing.size),
            )
            if done.rowcount:
                self._shed(db)

    def waiting(self, limit: int, *, after: int = 0, max_bytes: int = 1 << 62) -> list[Outgoing]:
        """Return the oldest rows behind number `after`: at most `limit`, together at most `max_bytes`.

        The first one is always among them, whatever it weighs.
        """
        rows: list[Outgoing] = []
        with self._reading() as db:
            cursor = db.execute(
                "SELECT number, id, kind, header, payload FROM waiting WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            )
            with contextlib.closing(cursor):
                for number, id_, kind, header, payload in cursor:
                    row = Outgoing(id=id_, kind=kind, header=header, payload=payload, number=number)
                    max_bytes -= row.size
                    if rows and max_bytes < 0:
                        break
                    rows.append(row)
        return rows

    def forget(self, ids: Iterable[str]) -> int:
        """Delete these rows, because the centre has them, and return how many were there."""
        gone = 0
        with self._transaction() as db:
            for id_ in ids:
                gone += db.execute("DELETE FROM waiting WHERE id = ?", (id_,)).rowcount
        return gone

    def tidy(self) -> bool:
        """Empty the log, which may still hold what was deleted; False if the other process is in the way."""
        with self._reading() as db:
            db.execute(f"PRAGMA busy_timeout = {_TIDY_BUSY_MS}")
            try:
                (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(_BUSY_S * 1000)}")
        return not busy

    def count(self) -> int:
        """Return how many rows wait."""
        return self._counter("rows")

    def weight(self) -> int:
        """Return what the waiting rows weigh, bytes."""
        return self._counter("bytes")

    def shed(self) -> int:
        """Return how many rows were ever dropped for want of room."""
        return self._counter("shed")

    def version(self) -> int:
        """Return a number that changes when another process or `Outbox` has written; costs microseconds."""
        with self._reading() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    # -------------------------------------------------------------- reports

    def report(self, name: str, body: bytes) -> None:
        """Leave a short report under a name, in place of the last one.

        Unlike a row it is not forced to disk: after a power cut an older one may be there, and every second
        of forcing would wear out a flash card.
        """
        with self._lock, _translated(self._path):
            self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                self._db.execute("INSERT OR REPLACE INTO reports VALUES (?, ?)", (name, body))
            finally:
                self._db.execute("PRAGMA synchronous = FULL")

    def reports(self) -> dict[str, bytes]:
        """Return all reports by name."""
        with self._reading() as db:
            return {name: bytes(body) for name, body in db.execute("SELECT name, body FROM reports").fetchall()}

    # -------------------------------------------------------------- below

    def _prepare(self) -> None:
        with self._transaction() as db:
            (found,) = db.execute("PRAGMA user_version").fetchone()
            if found not in (0, _FORMAT):
                raise IntegrityError(
                    f"the outbox {self._path} has format {found}, this program knows {_FORMAT}",
                    hint="run the program that made it until it is empty, or move it away",
                )
            if not found:
                for statement in _statements(_SCHEMA):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_FORMAT}")

    def _shed(self, db: sqlite3.Connection) -> None:
        for kind in ("tally", "event"):
            while self._counter("bytes") > self._max_bytes:
                gone = db.execute(
                    "DELETE FROM waiting WHERE number = (SELECT min(number) FROM waiting WHERE kind = ?)", (kind,)
                ).rowcount
                if not gone:
                    break
                db.execute("UPDATE counters SET value = value + 1 WHERE name = 'shed'")

    def _counter(self, name: str) -> int:
        with self._reading() as db:
            return int(db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()[0])

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated(self._path):
            yield self._db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # some errors, a full disk among them, have rolled back already
                    self._db.execute("ROLLBACK")
                raise


def _make(path: Path) -> None:
    """Make an empty file that its owner alone may use, and where a group shares the folder (set-group-ID), the group.

    SQLite gives the log and the index beside it the same rights, whatever the umask is.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        if path.parent.stat().st_mode & stat.S_ISGID:
            os.fchmod(descriptor, 0o660)
    finally:
        os.close(descriptor)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one: `executescript` would commit before it starts."""
    statement = ""
    for line in script.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _write_ahead(database: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite does not wait by itself where watch and link do so at the same moment."""
    until_s = time.monotonic() + _BUSY_S  # noqa: TID251 - a door's clock
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:  # noqa: TID251 - likewise
                raise
            time.sleep(_RETRY_S)
        else:
            return


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Tell SQLite's and the disk's troubles in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise _trouble(path, error) from error
    except OSError as error:
        raise WorldError(f"cannot open the outbox {path}: {error.strerror}") from error


def _free_bytes(folder: Path) -> int:
    """Return how much room there is on the disk of a folder for this user."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _full(path: Path) -> WorldError:
    return WorldError(f"no room for the outbox {path}: the disk is full", hint="free some, or lower outbox.max_bytes")


def _trouble(path: Path, error: sqlite3.Error) -> SightlineError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return IntegrityError(
            f"the outbox {path} is damaged: {error}",
            hint=f"move it away with its -wal and -shm, and a new one is made; "
            f"`sqlite3 {path.name} .recover` may save what waited in it",
        )
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return WorldError(
            f"the outbox {path} stayed locked for {_BUSY_S:.0f} s", hint="see which program holds it: `fuser`"
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return WorldError(f"cannot write the outbox {path}: {error}", hint="check its folder's owner and rights")
    return WorldError(f"the outbox {path} fails: {error}", hint="check the disk: `dmesg` tells of its errors")
