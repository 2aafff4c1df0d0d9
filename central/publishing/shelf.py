"""What lies published, as boxes see it: read without the lock, the keys or the signatures of who writes it.

Files but the timestamp never change under their name, and the timestamp is replaced whole and last. So what
it leads to belongs together, and a box checks all of it anyway. A thousand boxes ask every few seconds: the
snapshot is read once for each timestamp, and what one box should run once for each version of its role.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from edge.errors import IntegrityError, WorldError
from edge.wire.push import CHUNK_BYTES, METADATA, MODEL_FOLDER, TARGETS, role_of, state_id

Part = TypeVar("Part")


@dataclass(frozen=True, repr=False)
class Piece:
    """Bytes of a file."""

    data: bytes
    eof: bool
    """Whether they are its last."""


class _Version(Struct, frozen=True):
    version: int


class _Listing(Struct, frozen=True):
    meta: dict[str, _Version]


class _List(Struct, frozen=True):
    signed: _Listing


class _Target(Struct, frozen=True):
    hashes: dict[str, str]


class _Role(Struct, frozen=True):
    targets: dict[str, _Target]


class _RoleFile(Struct, frozen=True):
    signed: _Role


class Shelf:
    """The repository in a folder, for reading; where there is none yet, nothing is published. One thread's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, int, int] | None = None
        self._versions: dict[str, _Version] = {}
        self._words: dict[str, tuple[int, str]] = {}

    def desired(self, device: str) -> str:
        """Return the word for what a box should run; empty where nothing is published for it."""
        self._refresh()
        role = role_of(device)
        meta = self._versions.get(f"{role}.json")
        if meta is None:
            return ""
        known = self._words.get(role)
        if known is None or known[0] != meta.version:
            known = (meta.version, self._word(role, meta.version))
            self._words[role] = known
        return known[1]

    def piece(self, device: str, path: str, offset: int) -> Piece | None:
        """Return at most `CHUNK_BYTES` from `offset` on; None where there is no such file for this box."""
        file = visible(self._folder, device, path)
        if file is None:
            return None
        try:
            with file.open("rb") as opened:
                opened.seek(offset)
                data = opened.read(CHUNK_BYTES)
                return Piece(data, eof=opened.tell() >= file.stat().st_size)
        except FileNotFoundError:  # replaced by another push between two looks
            return None
        except OSError as error:
            raise WorldError(f"cannot read {file}: {error.strerror}") from error

    def _refresh(self) -> None:
        path = self._folder / METADATA / "timestamp.json"
        try:
            found = path.stat()
        except OSError:
            self._stamp, self._versions = None, {}
            return
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp == self._stamp:
            return
        snapshot = self._read("timestamp", _List).signed.meta.get("snapshot.json")
        name = f"{snapshot.version}.snapshot" if snapshot else "snapshot"
        self._versions = self._read(name, _List).signed.meta
        self._stamp = stamp

    def _word(self, role: str, version: int) -> str:
        targets = self._read(f"{version}.{quote(role, '')}", _RoleFile).signed.targets
        if not targets:
            return ""
        return state_id(
            {path.removeprefix(f"{role}/"): target.hashes.get("sha256", "") for path, target in targets.items()}
        )

    def _read(self, name: str, kind: type[Part]) -> Part:
        path = self._folder / METADATA / f"{name}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (OSError, ValueError) as error:
            raise IntegrityError(
                f"the repository's {path.name} cannot be read", hint="restore it from a backup"
            ) from error


def visible(folder: Path, device: str, path: str) -> Path | None:
    """Return the file a box asks for, if it may have it: the common metadata, and what is its own."""
    role = role_of(device)
    if path.startswith(METADATA):
        name = path.removeprefix(METADATA)
        version, _, rest = name.partition(".")
        common = {"root.json", "snapshot.json", "targets.json", f"{quote(role, '')}.json"}
        allowed = name == "timestamp.json" or (version.isascii() and version.isdigit() and rest in common)
    else:
        own = f"{TARGETS}{role}/"
        inner = path.removeprefix(own).removeprefix(MODEL_FOLDER)
        allowed = path.startswith(own) and "/" not in inner and inner not in {"", ".", ".."}
    file = folder / path
    return file if allowed and file.is_file() else None
