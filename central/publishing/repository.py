"""The repository on disk: read, changed and signed again under a lock, the timestamp last.

A box believes nothing that a timestamp does not lead to, so a change that is cut off half-way never
happened, and the next one writes over it. Every file but the timestamp has its version or its sha256 in its
name: a box in the middle of a download goes on with what it began.
"""

import fcntl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from central.publishing import keys
from central.publishing.ceremony import newest_root, read_root
from central.publishing.shelf import visible
from edge import durable
from edge.errors import IntegrityError, OperatorError
from edge.wire.push import METADATA, MODEL_FOLDER, TARGETS, max_bytes, role_of, state_id

Part = TypeVar("Part", Targets, Snapshot, Timestamp)


@dataclass(frozen=True, kw_only=True)
class Validity:
    """How long what is signed holds; it is renewed when half of that is over."""

    targets: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=1)


@dataclass(frozen=True)
class Publication:
    """What is published for a box: the sha256 of each file by its name."""

    digests: Mapping[str, str]

    @property
    def word(self) -> str:
        """Return the word for the whole."""
        return state_id(self.digests)

    def part(self, prefix: str) -> str:
        """Return a word for the files whose names begin like this; empty where there are none."""
        named = {name: digest for name, digest in self.digests.items() if name.startswith(prefix)}
        return state_id(named) if named else ""


class Repository:
    """What each box should run; any number of processes may hold one."""

    def __init__(
        self,
        folder: Path,
        key_folder: Path,
        validity: Validity | None = None,
        limit: Callable[[str], int] = max_bytes,
    ) -> None:
        self._folder = folder
        self._keys = key_folder
        self._limit = limit
        self._validity = validity or Validity()

    def publish(self, device: str, files: Mapping[str, bytes], *, now: datetime) -> str:
        """Say what a box should run from now on, all of it, and return the word for that state."""
        return self.change(device, files, replaces=("",), now=now).word

    def change(
        self, device: str, files: Mapping[str, bytes], *, replaces: Collection[str], now: datetime
    ) -> "Publication":
        """Say what a box should run from now on, keeping what it has but for names that begin with `replaces`."""
        role = role_of(device)
        for name, content in files.items():
            if len(content) > self._limit(name):
                raise OperatorError(f"{name} has {len(content)} bytes, a box takes at most {self._limit(name)}")
        with self._open(now) as book:
            targets = book.targets_of(role)
            gone = tuple(f"{role}/{prefix}" for prefix in replaces)
            targets.targets = {path: kept for path, kept in targets.targets.items() if not path.startswith(gone)}
            for name, content in files.items():
                target = TargetFile.from_data(f"{role}/{name}", content)
                targets.targets[target.path] = target
                durable.write(self._folder / TARGETS / target.get_prefixed_paths()[0], content)
            book.put_role(role, targets)
            book.commit()
        self._forget(role, targets)
        return Publication(_digests(role, targets))

    def published(self, device: str, *, now: datetime) -> dict[str, Path]:
        """Return where each file lies that is published for a box, by name."""
        role = role_of(device)
        with self._open(now) as book:
            targets = book.targets_of(role).targets
        paths = {path.removeprefix(f"{role}/"): target.get_prefixed_paths()[0] for path, target in targets.items()}
        return {name: self._folder / TARGETS / path for name, path in paths.items()}

    def root_expires(self) -> datetime | None:
        """Return until when boxes believe this centre without a new root; None where there is none."""
        root = newest_root(self._folder)
        return read_root(root).expires if root else None

    def withdraw(self, device: str, *, now: datetime) -> None:
        """Publish nothing for a box: its files go, its role stays, since a snapshot may lose nothing."""
        self.publish(device, {}, now=now)

    def renew(self, *, now: datetime) -> bool:
        """Sign again what has lived half of its life; return whether anything had. For the server, every hour."""
        with self._open(now) as book:
            return book.renew()

    def prune(self, *, now: datetime, keep: timedelta = timedelta(days=7)) -> int:
        """Delete signed files that newer ones replaced longer than `keep` ago; roots stay, boxes walk along them."""
        with self._open(now) as book:
            current = book.current()
            old = [
                path
                for path in (self._folder / METADATA).glob("*.json")
                if path.name not in current
                and not path.name.endswith(".root.json")
                and path.stat().st_mtime < (now - keep).timestamp()
            ]
            for path in old:
                path.unlink()
        return len(old)

    def desired(self, device: str, *, now: datetime) -> str | None:
        """Return the word for what a box should run; None where nothing was ever published for it."""
        role = role_of(device)
        with self._open(now) as book:
            return state_id(_digests(role, book.targets_of(role))) if book.knows(role) else None

    def visible(self, device: str, path: str) -> Path | None:
        """Return the file a box asks for, if it may have it."""
        return visible(self._folder, device, path)

    @contextmanager
    def _open(self, now: datetime) -> Iterator["_Book"]:
        root = newest_root(self._folder)
        if root is None:
            raise OperatorError(
                "nothing can be published yet: this centre has no root", hint="run: sightline push root"
            )
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            online = keys.load(self._keys / "online.pem")
            if online.public_key.keyid not in read_root(root).roles[Timestamp.type].keyids:
                raise OperatorError("the root does not name this on-line key", hint="run: sightline push root")
            yield _Book(self._folder / METADATA, self._keys, online, self._validity, now)

    def _forget(self, role: str, targets: Targets) -> None:
        """Delete files of a box that it should not run any more: an old watchlist is nobody's business."""
        wanted = {path for target in targets.targets.values() for path in target.get_prefixed_paths()}
        for path in (self._folder / TARGETS / role).rglob("*"):
            if path.is_file() and str(path.relative_to(self._folder / TARGETS)) not in wanted:
                path.unlink()


class _Book:
    """The signed files as they stand; changed in memory, and written by `commit`."""

    def __init__(
        self, folder: Path, key_folder: Path, online: CryptoSigner, validity: Validity, now: datetime
    ) -> None:
        self._folder, self._keys, self._online, self._validity = folder, key_folder, online, validity
        self._now = now.replace(microsecond=0)
        self._foreign = False
        if (folder / "timestamp.json").exists():
            self._timestamp = self._read("timestamp", Timestamp)
            self._snapshot = self._read(f"{self._timestamp.snapshot_meta.version}.snapshot", Snapshot)
            self._targets = self._read(f"{self._version(Targets.type)}.targets", Targets)
        else:
            self._timestamp, self._snapshot = Timestamp(), Snapshot(meta={})
            self._timestamp.version = self._snapshot.version = 0
            self._targets = Targets(expires=self._now, delegations=Delegations(keys={}, roles={}))

    def knows(self, role: str) -> bool:
        """Return whether a role was ever published."""
        return f"{role}.json" in self._snapshot.meta

    def targets_of(self, role: str) -> Targets:
        """Return what a role signs; nothing yet for a new one."""
        return self._read(f"{self._version(role)}.{quote(role, '')}", Targets) if self.knows(role) else Targets()

    def current(self) -> set[str]:
        """Return the names of the files that the timestamp leads to."""
        named = {f"{meta.version}.{quote(name, '')}" for name, meta in self._snapshot.meta.items()}
        return named | {"timestamp.json", f"{self._snapshot.version}.snapshot.json"}

    def put_role(self, role: str, targets: Targets) -> None:
        """Sign what a role says now, with a key that signs for it alone, delegating to it first where it is new."""
        signer = keys.make_or_load(self._keys / f"{role}.pem")
        delegations = self._delegations()
        known = delegations.roles.get(role) if delegations.roles else None
        if known is None or known.keyids != [signer.public_key.keyid]:
            self._delegate(delegations, role, signer)
        self._sign(role, targets, self._validity.targets, signer)

    def commit(self) -> None:
        """Sign the snapshot of all this, and last the timestamp, which makes it so."""
        if self._foreign or not self.knows(Targets.type):
            self._sign_targets()
        self._snapshot.version += 1
        self._snapshot.expires = self._now + self._validity.snapshot
        signed = self._signed(self._snapshot, self._online)
        durable.write(self._folder / f"{self._snapshot.version}.snapshot.json", signed)
        self._timestamp.snapshot_meta = MetaFile.from_data(self._snapshot.version, signed, ["sha256"])
        self._stamp()

    def renew(self) -> bool:
        """Sign again whatever has lived half of its life, and everything after another on-line key."""
        stale = self._foreign
        if not stale and self._old(self._targets, self._validity.targets):
            self._sign_targets()
            stale = True
        for role in list(self._delegations().roles or {}):
            targets = self.targets_of(role)
            if self._old(targets, self._validity.targets):
                self.put_role(role, targets)
                stale = True
        if stale or self._old(self._snapshot, self._validity.snapshot):
            self.commit()
        elif self._old(self._timestamp, self._validity.timestamp):
            self._stamp()
        else:
            return False
        return True

    def _old(self, part: Targets | Snapshot | Timestamp, validity: timedelta) -> bool:
        return part.expires - self._now <= validity / 2

    def _delegate(self, delegations: Delegations, role: str, signer: CryptoSigner) -> None:
        """Let a role sign for the paths of one box, and have no other role asked about them."""
        roles = delegations.roles if delegations.roles is not None else {}
        for keyid in roles[role].keyids if role in roles else ():
            delegations.keys.pop(keyid, None)
        paths = [f"{role}/*", f"{role}/{MODEL_FOLDER}*"]
        roles[role] = DelegatedRole(role, [signer.public_key.keyid], 1, terminating=True, paths=paths)
        delegations.keys[signer.public_key.keyid] = signer.public_key
        self._sign_targets()

    def _delegations(self) -> Delegations:
        if self._targets.delegations is None:
            raise IntegrityError("the repository's targets delegate to nobody", hint="restore it from a backup")
        return self._targets.delegations

    def _sign_targets(self) -> None:
        self._sign(Targets.type, self._targets, self._validity.targets, self._online)

    def _sign(self, role: str, targets: Targets, validity: timedelta, signer: CryptoSigner) -> None:
        targets.version = self._version(role) + 1
        targets.expires = self._now + validity
        signed = self._signed(targets, signer)
        durable.write(self._folder / f"{targets.version}.{quote(role, '')}.json", signed)
        # With the hash, not the version alone: what one role signed never passes for another's.
        self._snapshot.meta[f"{role}.json"] = MetaFile.from_data(targets.version, signed, ["sha256"])

    def _version(self, role: str) -> int:
        meta = self._snapshot.meta.get(f"{role}.json")
        return meta.version if meta else 0

    def _stamp(self) -> None:
        self._timestamp.version += 1
        self._timestamp.expires = self._now + self._validity.timestamp
        durable.write(self._folder / "timestamp.json", self._signed(self._timestamp, self._online))

    @staticmethod
    def _signed(part: Part, signer: CryptoSigner) -> bytes:
        metadata = Metadata(part)
        metadata.sign(signer)
        return metadata.to_bytes()

    def _read(self, name: str, kind: type[Part]) -> Part:
        path = self._folder / f"{name}.json"
        try:
            metadata = Metadata[Part].from_bytes(path.read_bytes())
        except (OSError, RepositoryError) as error:
            raise IntegrityError(
                f"the repository's {path.name} cannot be read", hint="restore it from a backup"
            ) from error
        part = metadata.signed
        if not isinstance(part, kind):
            raise IntegrityError(f"the repository's {path.name} is no {kind.type}", hint="restore it from a backup")
        common = name.rpartition(".")[2] in {"timestamp", "snapshot", "targets"}
        self._foreign |= common and self._online.public_key.keyid not in metadata.signatures
        return part


def _digests(role: str, targets: Targets) -> dict[str, str]:
    return {path.removeprefix(f"{role}/"): target.hashes["sha256"] for path, target in targets.targets.items()}
