"""Sealed boxes: what only one reader can open (libsodium, X25519 with XSalsa20-Poly1305).

Two kinds. *Seal* is anonymous: the box seals each candidate for the centre and cannot open it again, so a
stolen box gives nothing away. *Wrap* is authenticated: the centre wraps a watchlist for one box, which
knows by opening it that this centre made it.

The sealing key pair is not the CURVE pair of the link: `edge watch` holds this one, `edge link` that one.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey, SealedBox

from edge import durable, given
from edge.errors import IntegrityError, OperatorError, WorldError

KEY_BYTES = 32


@dataclass(frozen=True, repr=False)
class SealingKey:
    """A secret sealing key; its repr shows nothing."""

    secret: bytes

    @property
    def public(self) -> str:
        """Return the public half as 64 hex digits."""
        return bytes(PrivateKey(self.secret).public_key).hex()

    def __repr__(self) -> str:
        return f"SealingKey(public={self.public!r})"


def make_or_load(path: Path) -> SealingKey:
    """Load the secret key at `path`, or make one there, readable by its owner alone."""
    if not path.exists():
        write_secret(path, bytes(PrivateKey.generate()))
    return SealingKey(read_secret(path, KEY_BYTES))


def write_secret(path: Path, secret: bytes) -> None:
    """Create a file of mode 0600 with these bytes, whole or not at all; one that is there is left alone."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(part)  # unlike a rename, this never takes the place of a key that is in use
        except FileExistsError:
            return
        finally:
            part.unlink()
        durable.settle(path.parent)
    except OSError as error:
        raise WorldError(f"cannot write the key file {path}: {error.strerror}") from error


def read_secret(path: Path, size: int) -> bytes:
    """Read a secret of `size` bytes, refusing a file that others can read."""
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes()
    except OSError as error:
        raise WorldError(f"cannot read the key file {path}: {error.strerror}") from error
    # What systemd gives may bear the service's right in an access list, which shows in the group's bits.
    if mode & (stat.S_IRWXO if path.parent == given.folder() else stat.S_IRWXG | stat.S_IRWXO):
        raise IntegrityError(f"the key file {path} can be read by others", hint=f"chmod 600 {path}")
    if len(secret) != size:
        raise IntegrityError(f"the key file {path} has {len(secret)} bytes rather than {size}")
    return secret


def seal(public: str, message: bytes) -> bytes:
    """Seal a message so that only the holder of the key can open it, its maker included."""
    try:
        return SealedBox(_public(public)).encrypt(message)
    except CryptoError as error:  # 64 hex digits for which no shared secret exists: all zeros, and a few more
        raise OperatorError(
            f"not a public sealing key: {public[:80]!r}", hint="nothing can be sealed for it"
        ) from error


def unseal(key: SealingKey, sealed: bytes) -> bytes:
    """Open what was sealed for this key."""
    try:
        return SealedBox(PrivateKey(key.secret)).decrypt(sealed)
    except (CryptoError, ValueError) as error:
        raise IntegrityError("a sealed payload does not open: damaged, or sealed for another key") from error


def wrap(key: SealingKey, public: str, message: bytes) -> bytes:
    """Encrypt for one reader who will know that the holder of `key` wrote it."""
    return bytes(Box(PrivateKey(key.secret), _public(public)).encrypt(message))


def unwrap(key: SealingKey, author: str, wrapped: bytes) -> bytes:
    """Open what `author` wrapped for this key."""
    try:
        return Box(PrivateKey(key.secret), _public(author)).decrypt(wrapped)
    except (CryptoError, ValueError) as error:
        raise IntegrityError(
            "a wrapped file does not open: damaged, for another box, or not from this centre"
        ) from error


def _public(public: str) -> PublicKey:
    try:
        return PublicKey(bytes.fromhex(public))
    except (ValueError, TypeError, CryptoError) as error:
        raise OperatorError(f"not a public sealing key: {public[:80]!r}", hint="it is 64 hex digits") from error
