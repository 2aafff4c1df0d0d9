"""Files from the centre, believed only as TUF allows (python-tuf's client): signed for this box, newest, whole.

What was once believed is kept in `trust/`: that is what makes an older push a rollback. The library replaces
those files without syncing them, so it works on a copy, and what it came to believe is put in place durably
afterwards, file by file; a power cut then never takes the memory of a version away.

A download is kept in `parts/` as far as it came, under a name with its sha256, and goes on from there.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO
from urllib.parse import quote

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, Targets
from tuf.ngclient import FetcherInterface, TargetFile, Updater, UpdaterConfig

from edge import durable
from edge.errors import IntegrityError, PeerError, WorldError
from edge.state.carrier import Carrier
from edge.wire.push import CHUNK_BYTES, METADATA, TARGETS, max_bytes, role_of, state_id

_BASE = "push:"


class Reason(StrEnum):
    """Why a push was refused."""

    UNSIGNED = "not signed by the key that must sign it"
    ROLLBACK = "older than what this box has seen, or another version than was announced"
    EXPIRED = "too old: nobody signed it again in time"
    MISMATCH = "not the bytes that were signed for"
    OVERSIZE = "larger than it may be"
    MISSING = "announced and not there"
    MALFORMED = "not what it should be"


class PushError(IntegrityError):
    """The centre's state was not believed; the box goes on with what it has."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(
            f"the push was refused, {reason.value}: {what}",
            hint="the last good state stays; check the centre and the clocks of both",
        )
        self.reason = reason


# The first that fits, the narrow ones before their bases.
_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (exceptions.UnsignedMetadataError, Reason.UNSIGNED),
    (exceptions.BadVersionNumberError, Reason.ROLLBACK),
    (exceptions.ExpiredMetadataError, Reason.EXPIRED),
    (exceptions.LengthOrHashMismatchError, Reason.MISMATCH),
    (exceptions.DownloadLengthMismatchError, Reason.OVERSIZE),
    (exceptions.DownloadHTTPError, Reason.MISSING),
    (exceptions.RepositoryError, Reason.MALFORMED),
    (exceptions.DownloadError, Reason.MALFORMED),
)
_TROUBLE = (exceptions.RepositoryError, exceptions.DownloadError)


@dataclass(frozen=True)
class Announced:
    """A file that is signed for this box."""

    name: str
    bytes: int
    sha256: str


class Trust:
    """What this box believes of its centre."""

    def __init__(self, folder: Path, root: bytes, device: str, carrier: Carrier) -> None:
        self._kept = folder / "trust"
        self._parts = folder / "parts"
        self._root = root
        self._role = role_of(device)
        self._carrier = carrier

    @contextmanager
    def look(self) -> Iterator["Look"]:
        """Believe what is newest; leave through here to keep what was believed, also where it ends in a refusal."""
        with _translated("the repository"):
            self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=self._parts.parent, prefix=".trust-") as scratch:
                work = Path(scratch)
                if self._kept.exists():
                    shutil.copytree(self._kept, work, dirs_exist_ok=True)
                try:
                    updater = self._updater(work)
                    updater.refresh()
                    yield Look(updater, self._role, self._parts, work)
                finally:
                    self._keep(work)

    def _updater(self, work: Path) -> Updater:
        return Updater(
            str(work),
            _BASE + METADATA,
            target_base_url=_BASE + TARGETS,
            fetcher=_Fetcher(self._carrier, self._parts),
            config=UpdaterConfig(max_root_rotations=64, max_delegations=2),
            bootstrap=self._root,
        )

    def _keep(self, work: Path) -> None:
        """Put what was verified in place; `root.json` is a link that the library makes anew each time."""
        for path in sorted(work.rglob("*.json")):
            target = self._kept / path.relative_to(work)
            if path.is_symlink():
                continue
            content = path.read_bytes()
            if not target.exists() or target.read_bytes() != content:
                durable.write(target, content)


class Look:
    """One look at the repository: everything in it belongs together."""

    def __init__(self, updater: Updater, role: str, parts: Path, believed: Path) -> None:
        self._updater = updater
        self._role = role
        self._parts = parts
        self._believed = believed

    def version(self) -> int:
        """Return which version of what is signed for this box this is, after something was looked up; 0: none."""
        path = self._believed / f"{quote(self._role, '')}.json"
        with _translated(self._role):
            return Metadata[Targets].from_file(str(path)).signed.version if path.exists() else 0

    def announced(self, name: str) -> Announced | None:
        """Return what is signed under a name for this box, None where nothing is; refuse what is too large."""
        target = self._target(name)
        if target is None:
            return None
        if target.length > max_bytes(name):
            raise PushError(Reason.OVERSIZE, f"{name} of {target.length} bytes, at most {max_bytes(name)}")
        if "sha256" not in target.hashes:
            raise PushError(Reason.MALFORMED, f"{name} has no sha256")
        return Announced(name, target.length, target.hashes["sha256"])

    def bring(self, name: str, into: Path, *, held: Path | None = None) -> None:
        """Put a verified file below `into`, from `held`, an earlier state, where the same one is there already."""
        target, place = self._target(name), into / name
        if target is None:
            raise PushError(Reason.MISSING, name)
        with _translated(name):
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if held is not None and self._updater.find_cached_target(target, str(held / name)):
                os.link(held / name, place)
                return
            self._updater.download_target(target, str(place))
            place.chmod(0o600)
            durable.settle(place)

    def tidy(self) -> None:
        """Forget downloads that nobody goes on with; call it when everything is here."""
        for path in self._parts.iterdir():
            path.unlink()

    def _target(self, name: str) -> TargetFile | None:
        with _translated(name):
            return self._updater.get_targetinfo(f"{self._role}/{name}")


def check_root(root: bytes) -> None:
    """Refuse what is no root of trust, signed by the very keys that it names; its date is for `look` to judge."""
    try:
        metadata = Metadata[Root].from_bytes(root)
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    except (exceptions.RepositoryError, AttributeError, ValueError) as error:  # another role's has no such method
        raise PushError(Reason.MALFORMED, "the root of trust is none, or is not signed by its own keys") from error


def word_for(files: Mapping[str, Announced]) -> str:
    """Return the word for a state: the centre uses the same."""
    return state_id({name: each.sha256 for name, each in files.items()})


class _Fetcher(FetcherInterface):
    """Brings a file piece by piece; targets go on from where they were cut."""

    def __init__(self, carrier: Carrier, parts: Path) -> None:
        self._carrier = carrier
        self._parts = parts

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._pieces(url.removeprefix(_BASE), 0)

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Bring a file of at most `max_length` bytes; yield it for verification, and forget it after that."""
        path = url.removeprefix(_BASE)
        if not path.startswith(TARGETS):
            with super().download_file(url, max_length) as file:
                yield file
            return
        part = self._parts / path.rpartition("/")[2]
        with part.open("a+b") as file:
            if file.tell() > max_length:
                file.truncate(0)
            size = file.seek(0, os.SEEK_END)
            # Whole already: asking for what lies behind its end would be an odd question.
            for data in self._pieces(path, size) if size < max_length or max_length == 0 else ():
                size += len(data)
                if size > max_length:
                    part.unlink()
                    raise exceptions.DownloadLengthMismatchError(f"more than the {max_length} bytes signed for")
                file.write(data)
            file.flush()
            file.seek(0)
            try:
                yield file
            finally:
                part.unlink()

    def _pieces(self, path: str, offset: int) -> Iterator[bytes]:
        while True:
            piece = self._carrier.piece(path, offset, CHUNK_BYTES)
            if piece is None:
                raise exceptions.DownloadHTTPError(f"there is no {path}", 404)
            if len(piece.data) > CHUNK_BYTES or not (piece.data or piece.eof):
                raise PeerError(f"a piece of {len(piece.data)} bytes of {path}, between 1 and {CHUNK_BYTES} were due")
            yield piece.data
            if piece.eof:
                return
            offset += len(piece.data)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except _TROUBLE as error:
        reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
        raise PushError(reason, f"{what}: {error}") from error
    except OSError as error:
        raise WorldError(f"cannot keep {what}: {error.strerror}", hint="make room on the box's disk") from error
