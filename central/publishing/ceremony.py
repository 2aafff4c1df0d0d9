"""The one act that takes the off-line key: to say which on-line key signs for this centre."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from central.publishing import keys
from edge import durable
from edge.errors import IntegrityError, OperatorError
from edge.wire.push import METADATA

ROOT_VALID = timedelta(days=365)


@dataclass(frozen=True)
class Ceremony:
    """What came of it: the public root, as a box is provisioned with it."""

    version: int
    path: Path
    root_key: str
    expires: datetime


def sign_root(folder: Path, root_key: Path, online_key: Path, passphrase: bytes | None, *, now: datetime) -> Ceremony:
    """Write the next root of the repository in `folder`, making the keys that are missing."""
    newest = newest_root(folder)
    if newest is not None and not root_key.exists():
        raise OperatorError(
            f"this centre has a root already, and {root_key} is not its key",
            hint="give the key that it was made with: boxes know no other",
        )
    signer = keys.make_or_load(root_key, passphrase)
    online = keys.make_or_load(online_key).public_key
    root = _next(newest, signer, online)
    root.expires = (now + ROOT_VALID).replace(microsecond=0)
    signed = Metadata(root)
    signed.sign(signer)
    path = folder / METADATA / f"{root.version}.root.json"
    durable.write(path, signed.to_bytes())
    return Ceremony(root.version, path, signer.public_key.keyid, root.expires)


def newest_root(folder: Path) -> Path | None:
    """Return the file of the newest root, if there is any."""
    roots = (folder / METADATA).glob("*.root.json")
    return max(roots, key=lambda path: int(path.name.split(".")[0]), default=None)


def read_root(path: Path) -> Root:
    """Read a root of this centre."""
    try:
        return Metadata[Root].from_bytes(path.read_bytes()).signed
    except RepositoryError as error:
        raise IntegrityError(f"{path} is no root of a repository", hint="restore it from a backup") from error


def _next(newest: Path | None, signer: CryptoSigner, online: Key) -> Root:
    """Return the next root: the same off-line key, and this on-line key alone for all else."""
    root = Root(version=1)
    if newest is not None:
        before = read_root(newest)
        if signer.public_key.keyid not in before.roles[Root.type].keyids:
            raise OperatorError("this is not the key that boxes know as the root of this centre")
        root.version = before.version + 1
    root.add_key(signer.public_key, Root.type)
    for role in (Targets.type, Snapshot.type, Timestamp.type):
        root.add_key(online, role)
    return root
