"""The one place that knows which database it is: SQLite in a file today, PostgreSQL by URL.

SQLite runs in WAL with `synchronous=FULL`: what is committed, and so acknowledged, survives a power cut.
Deleted rows are overwritten (`secure_delete`). Writers take their turn at a lock of this process first,
since SQLite makes them poll; other processes (`sightline enrol` beside `serve`) wait at its busy timeout.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, insert, make_url, select, update

from central.store.cipher import Cipher
from central.store.tables import make_tables
from edge.errors import IntegrityError, OperatorError, SightlineError, WorldError
from edge.wire.sealing import read_secret, write_secret

SCHEMA = "3"
_MIGRATIONS = {
    "2": (
        "ALTER TABLE device_health ADD COLUMN applied VARCHAR(2048) NOT NULL DEFAULT ''",
        "ALTER TABLE device_health ADD COLUMN applied_since_ms BIGINT NOT NULL DEFAULT 0",
    ),
}
"""By the schema that is found: what makes the next one of it; new tables need nothing."""
BUSY_MS = 10_000
KEY_BYTES = 32
_CANARY = b"sightline"


class Database:
    """Tables, transactions and counters."""

    def __init__(self, engine: Engine, cipher: Cipher, name: str) -> None:
        self.cipher = cipher
        self.tables = make_tables(cipher)
        self.name = name
        self._engine = engine
        self._writing = engine.execution_options(writes=True)
        self._turn = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection on one consistent state."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose changes all happen, durably, or none."""
        with self._turn, self._translated(), self._writing.begin() as connection:
            yield connection

    def count(self, connection: Connection, **by: int) -> None:
        """Add to counters, within the caller's transaction."""
        counters = self.tables.counters
        for name, number in by.items():
            if not number:
                continue
            raised = update(counters).where(counters.c.name == name).values(value=counters.c.value + number)
            if not connection.execute(raised).rowcount:
                connection.execute(insert(counters).values(name=name, value=number))

    def counted(self, connection: Connection, name: str) -> int:
        """Return a counter; 0 if nothing was ever added."""
        counters = self.tables.counters
        return int(connection.scalar(select(counters.c.value).where(counters.c.name == name)) or 0)

    def next(self, connection: Connection, name: str) -> int:
        """Return the next number of a sequence, which deletion never turns back."""
        self.count(connection, **{name: 1})
        return self.counted(connection, name)

    def meta(self, name: str) -> str | None:
        """Return a fact about this database."""
        with self.read() as connection:
            meta = self.tables.meta
            value: str | None = connection.scalar(select(meta.c.value).where(meta.c.name == name))
        return value

    def settle(self) -> None:
        """Fold the write-ahead log into the file, so that what was deleted is gone from both."""
        if self._engine.dialect.name == "sqlite":
            with self._turn, self._translated(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def prepare(self) -> None:
        """Create the tables of a new database; check version and key of an old one."""
        with self.write() as connection:
            self.tables.metadata.create_all(connection)
            meta = self.tables.meta
            known = {row.name: row.value for row in connection.execute(select(meta.c.name, meta.c.value))}
            if not known:
                facts = {"schema": SCHEMA, "store": secrets.token_hex(4)}
                facts["canary"] = self.cipher.lock(_CANARY).hex()
                connection.execute(insert(meta), [{"name": name, "value": value} for name, value in facts.items()])
                return
            self._migrate(connection, known)
        self._check(known)

    def _migrate(self, connection: Connection, known: dict[str, str]) -> None:
        """Bring an older schema up to this program's, within the caller's transaction."""
        while (found := known.get("schema", "")) in _MIGRATIONS:
            for statement in _MIGRATIONS[found]:
                connection.exec_driver_sql(statement)
            known["schema"] = str(int(found) + 1)
            meta = self.tables.meta
            connection.execute(update(meta).where(meta.c.name == "schema").values(value=known["schema"]))

    def _check(self, known: dict[str, str]) -> None:
        if known.get("schema") != SCHEMA:
            raise IntegrityError(
                f"{self.name} has schema {known.get('schema', 'none')}, this program knows {SCHEMA}",
                hint="run the program that wrote it, or start with an empty state directory",
            )
        try:
            self.cipher.unlock(bytes.fromhex(known.get("canary", "")))
        except (IntegrityError, ValueError) as error:
            raise IntegrityError(
                f"{self.name} was written under another storage key",
                hint="restore the keys/storage.key that belongs to it",
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.OperationalError as error:
            raise WorldError(
                f"the database {self.name} cannot be used: {error.orig}", hint="check the disk and its permissions"
            ) from error
        except exc.IntegrityError:
            raise  # a broken constraint is our own mistake, not the file's
        except exc.DatabaseError as error:
            raise IntegrityError(
                f"the database {self.name} is damaged: {error.orig}", hint="restore it from a backup"
            ) from error


def open_database(url: str, key_path: Path) -> Database:
    """Open or create a database by URL, encrypted with the key at `key_path` (made if there is none)."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise OperatorError(f"not a database URL: {url[:80]!r}", hint="e.g. sqlite:////path/centre.db") from error
    fresh = _is_new(parsed)
    if not fresh and not key_path.exists():
        raise IntegrityError(
            f"there is a database but no {key_path}, the key it is encrypted with", hint="restore the key file"
        )
    if not key_path.exists():
        write_secret(key_path, secrets.token_bytes(KEY_BYTES))
    cipher = Cipher(read_secret(key_path, KEY_BYTES))
    database = Database(_engine(parsed), cipher, parsed.database or parsed.render_as_string())
    try:
        database.prepare()
    except SightlineError:
        database.close()
        raise
    return database


def _is_new(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists())


def _engine(url: URL) -> Engine:
    # Parameters never appear in an error's text: some are faces.
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: object) -> None:
    # The driver's own transactions begin too late and never IMMEDIATE; ours are begun by `_begin`.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A writer that began as a reader could not be upgraded while another one writes.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
