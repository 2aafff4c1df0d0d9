"""Parts of the self-test that are about the box and not about its camera: disk, clock, what was pushed.

Each returns what it found in words, or raises it with the remedy.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge.errors import IntegrityError, WorldError
from edge.wire.push import WATCHLIST, role_of, state_id

LEAST_BYTES = 64 * 1024 * 1024
"""Room that a box needs to be called fit: the outbox leaves the last 4 MB alone, a push needs some."""
LEAST_FILES = 256
SLOW_S = 1.0
"""A write that takes longer to be safe belongs to a card that is dying: a sound one takes hundredths."""
_WRITES = 3
_DAY_MS = 24 * 3600 * 1000


def disk(folder: Path, *, least_bytes: int = LEAST_BYTES, slow_s: float = SLOW_S) -> str:
    """Try the disk of a folder: room, files, that it can be written, that a database works there, how fast it is."""
    try:
        room = os.statvfs(folder)
        free = room.f_bavail * room.f_frsize
        if free < least_bytes:
            raise WorldError(
                f"{free / 1e6:.0f} MB are free at {folder}, at least {least_bytes / 1e6:.0f} are needed",
                hint="free some: df and du say what fills it; or lower outbox.max_bytes",
            )
        # Some file systems make their entries as they need them and say 0 of 0.
        if room.f_files and room.f_favail < LEAST_FILES:
            raise WorldError(f"{room.f_favail} more files can be made at {folder}", hint="delete files: df -i")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".selftest-") as scratch:
            slowest_s = _slowest_write(Path(scratch))
            _database(Path(scratch))
    except OSError as error:
        raise WorldError(
            f"{folder} cannot be written: {error.strerror}",
            hint="check its owner and rights, and whether the disk has become read-only: dmesg",
        ) from error
    if slowest_s > slow_s:
        raise WorldError(
            f"a write to {folder} took {slowest_s:.1f} s to be safe", hint="the card may be failing: replace it"
        )
    return f"{free / 1e9:.1f} GB free at {folder}, a write is safe after {1000 * slowest_s:.0f} ms"


def clock(now_ms: int, built_ms: int, written: Iterable[Path]) -> str:
    """Try the clock against what cannot be later than now: the program itself, and files that this box wrote."""
    latest_ms = built_ms
    for path in written:
        with contextlib.suppress(OSError):
            latest_ms = max(latest_ms, round(path.stat().st_mtime * 1000))
    if now_ms < latest_ms - _DAY_MS:
        raise WorldError(
            f"the clock says {_day(now_ms)}, and files here are of {_day(latest_ms)}",
            hint="set it from a time server: timedatectl; a box without a battery needs one at every start",
        )
    return f"{_day(now_ms)}, later than everything written here"


def pushed(folder: Path, device: str) -> str:
    """Try whether the state that runs is still what was signed; `folder` is that of everything pushed.

    A state's name is made of its files' digests, so a bit that has changed on the disk shows without the centre.
    Which file it is comes from the signed metadata. A watchlist may be gone: its end destroys it.
    """
    link = folder / "current"
    if not link.exists():
        return "nothing was pushed"
    place = link.resolve()
    try:
        found = {path.relative_to(place).as_posix(): _digest(path) for path in place.rglob("*") if path.is_file()}
    except OSError as error:
        raise IntegrityError(
            f"the state {place.name} cannot be read: {error.strerror}", hint="replace the card, and push again"
        ) from error
    if state_id(found) == place.name:
        return f"state {place.name}: {len(found)} files, all as they were signed"
    signed = _signed(folder / "trust", device)
    if state_id(signed) == place.name:
        wrong = sorted(name for name, digest in signed.items() if found.get(name) != digest)
        if wrong == [WATCHLIST] and WATCHLIST not in found:
            return f"state {place.name}: as it was signed, its watchlist destroyed since"
        wrong += sorted(found.keys() - signed.keys())
        raise _damaged(place.name, ", ".join(wrong))
    if WATCHLIST not in found:
        return f"state {place.name}: its watchlist is gone, and the rest cannot be told without it"
    raise _damaged(place.name, "one of its files")


def _damaged(state: str, what: str) -> IntegrityError:
    return IntegrityError(
        f"the state {state} is not what was signed any more: {what}",
        hint="push again; if it happens again the card is failing: replace it",
    )


def _signed(trust: Path, device: str) -> Mapping[str, str]:
    """Return the digests by name that the kept metadata has for this box; link verified it when it was kept."""
    begin = f"{role_of(device)}/"
    for path in trust.rglob("*.json"):
        try:
            targets = json.loads(path.read_bytes())["signed"]["targets"]
            digests = {name: str(each["hashes"]["sha256"]) for name, each in targets.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        ours = {name.removeprefix(begin): digest for name, digest in digests.items() if name.startswith(begin)}
        if ours:
            return ours
    return {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _slowest_write(folder: Path) -> float:
    slowest_s = 0.0
    for number in range(_WRITES):
        began_s = time.perf_counter()
        with (folder / f"{number}").open("wb") as file:
            file.write(os.urandom(4096))
            file.flush()
            os.fsync(file.fileno())
        slowest_s = max(slowest_s, time.perf_counter() - began_s)
    return slowest_s


def _database(folder: Path) -> None:
    """Try what the outbox needs: a write-ahead log, which not every file system can do."""
    try:
        with contextlib.closing(sqlite3.connect(folder / "trial.db")) as database:
            (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
            database.execute("CREATE TABLE trial (number INTEGER)")
            database.execute("INSERT INTO trial VALUES (1)")
            database.commit()
    except sqlite3.Error as error:
        raise WorldError(f"a database does not work at {folder.parent}: {error}", hint="use another disk") from error
    if mode != "wal":
        raise WorldError(
            f"a database at {folder.parent} can have no write-ahead log",
            hint="device.state must lie on a disk of this box, not on a network share",
        )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
