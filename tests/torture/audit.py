"""What must be so after every death, read from copies of the files that the dead left.

Copies, so that the programs themselves, and not this, are the first to open what a death left behind.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Box:
    """What the outbox holds."""

    waiting: set[str] = field(default_factory=set)
    ever: int = 0
    """Rows ever put."""
    shed: int = 0


@dataclass
class Centre:
    """What the centre has."""

    events: dict[str, str] = field(default_factory=dict)
    """Outcome by id."""
    tallies: set[str] = field(default_factory=set)
    alerts: int = 0
    repeats: int = 0
    """Events that came again and changed nothing."""

    @property
    def ids(self) -> set[str]:
        """Return everything it ever took."""
        return set(self.events) | self.tallies


@dataclass
class Ledger:
    """What the writer was about to put, and what the outbox promised to keep."""

    intended: set[str] = field(default_factory=set)
    promised: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        """Read one; a line cut short by a death promises nothing."""
        ledger = cls()
        for line in path.read_text().splitlines() if path.exists() else ():
            mark, _, id_ = line.partition(" ")
            (ledger.promised if mark == "!" else ledger.intended).add(id_)
        return ledger


@dataclass
class Audit:
    """What was found, and what is wrong with it; nothing is, or the proof has failed."""

    box: Box
    centre: Centre
    promised: set[str]
    """Rows of which the outbox had said that they would survive."""
    wrong: list[str]


def audit(home: Path, *, complete: bool, drained: bool = False) -> Audit:
    """Look at the files under a rig's folder; `complete` if every row was put by a writer with a ledger."""
    wrong: list[str] = []
    box, centre = Box(), Centre()
    try:
        box = _box(home / "box" / "outbox" / "outbox.db", wrong)
        centre = _centre(home / "centre" / "centre.db", wrong)
    except sqlite3.DatabaseError as error:
        wrong.append(f"a database cannot be read: {error}")
    ledger = Ledger.read(home / "ledger")
    held = centre.ids | box.waiting
    if lost := ledger.promised - held:
        wrong.append(f"{len(lost)} of {len(ledger.promised)} promised rows are nowhere: {sorted(lost)[:3]}")
    if complete and (strange := held - ledger.intended):
        wrong.append(f"{len(strange)} rows that nobody put: {sorted(strange)[:3]}")
    # The outbox numbers its rows without gaps, so this holds for every row, whoever put it.
    gone, delivered = box.ever - len(box.waiting), len(centre.ids - box.waiting)
    if gone != delivered:
        wrong.append(f"{gone} rows have left the outbox, {delivered} of them are at the centre")
    if box.shed:
        wrong.append(f"{box.shed} rows were shed")
    if drained and box.waiting:
        wrong.append(f"{len(box.waiting)} rows still wait after the drain")
    if drained and (open_ := [id_ for id_, outcome in centre.events.items() if outcome == "waiting"]):
        wrong.append(f"{len(open_)} events are not judged after the drain")
    return Audit(box, centre, ledger.promised, wrong)


def _box(path: Path, wrong: list[str]) -> Box:
    with _copy(path) as db:
        if db is None or not _tables(db):
            return Box()  # killed before it was made
        _check("the outbox", db, wrong)
        box = Box(waiting={str(row[0]) for row in db.execute("SELECT id FROM waiting")})
        box.ever = int(_one(db, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'waiting'"))
        counters = dict(db.execute("SELECT name, value FROM counters").fetchall())
        box.shed = int(counters["shed"])
        bytes_ = _one(db, "SELECT coalesce(sum(size), 0) FROM waiting")
        if (counters["rows"], counters["bytes"]) != (len(box.waiting), bytes_):
            wrong.append(f"the outbox counts {counters}, and holds {len(box.waiting)} rows of {bytes_} bytes")
        return box


def _centre(path: Path, wrong: list[str]) -> Centre:
    with _copy(path) as db:
        if db is None or not _tables(db):
            wrong.append("the centre has no database")
            return Centre()
        _check("the centre", db, wrong)
        rows = db.execute("SELECT event_id, outcome FROM candidates").fetchall()
        centre = Centre(events=dict(rows))
        centre.tallies = {str(row[0]) for row in db.execute("SELECT tally_id FROM tallies")}
        centre.alerts = int(_one(db, "SELECT count(*) FROM alerts"))
        counters = dict(db.execute("SELECT name, value FROM counters").fetchall())
        centre.repeats = int(counters.get("duplicates", 0))
        if len(rows) != len(centre.events) or counters.get("events", 0) != len(rows):
            wrong.append(f"the centre counts {counters.get('events', 0)} events and knows {len(rows)}")
        faces = _one(db, "SELECT coalesce(sum(faces), 0) FROM tallies")
        if counters.get("tallied_faces", 0) != faces:
            wrong.append(f"the centre counts {counters.get('tallied_faces')} faces, its tallies say {faces}")
        sealed = _one(db, "SELECT count(*) FROM inbox WHERE set_aside IS NULL")
        open_ = sum(outcome == "waiting" for outcome in centre.events.values())
        if sealed != open_ or _one(db, "SELECT count(DISTINCT event_id) FROM inbox") < sealed:
            wrong.append(f"{open_} events wait to be judged, {sealed} are there")
        if centre.alerts != _one(db, "SELECT count(*) FROM (SELECT DISTINCT device, track_id FROM alerts)"):
            wrong.append("one track has two alerts")
        return centre


def _check(name: str, db: sqlite3.Connection, wrong: list[str]) -> None:
    found = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        wrong.append(f"{name} is damaged: {found[:3]}")
    if broken := db.execute("PRAGMA foreign_key_check").fetchall():
        wrong.append(f"{name} has rows that point nowhere: {broken[:3]}")


def _tables(db: sqlite3.Connection) -> bool:
    return bool(_one(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table'"))


def _one(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])


@contextmanager
def _copy(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Give a copy of a database with its log, as the dead left both."""
    if not path.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sightline-audit-") as folder:
        for suffix in ("", "-wal", "-journal"):
            if (part := path.with_name(path.name + suffix)).exists():
                shutil.copy(part, Path(folder) / part.name)
        with closing(sqlite3.connect(Path(folder) / path.name)) as db:
            yield db
