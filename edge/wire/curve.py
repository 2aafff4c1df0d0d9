"""Key pairs of the link: CURVE, which both ends of every connection must hold.

The public half is written in z85, 40 characters, as ZeroMQ shows it. The sealing keys (sealing.py) are
others: whoever holds the link cannot open what travels over it.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from edge.errors import IntegrityError, OperatorError
from edge.wire.sealing import read_secret, write_secret

KEY_CHARACTERS = 40


@dataclass(frozen=True, repr=False)
class CurveKey:
    """A secret CURVE key, z85; its repr shows the public half alone."""

    secret: bytes

    @property
    def public(self) -> str:
        """Return the public half, 40 characters of z85."""
        return zmq.curve_public(self.secret).decode("ascii")

    def __repr__(self) -> str:
        return f"CurveKey(public={self.public!r})"


def make() -> CurveKey:
    """Make a new key pair."""
    return CurveKey(zmq.curve_keypair()[1])


def make_or_load(path: Path) -> CurveKey:
    """Load the secret key at `path`, or make one there, readable by its owner alone."""
    if not path.exists():
        write_secret(path, make().secret)
    secret = read_secret(path, KEY_CHARACTERS)
    if not _is_key(secret):
        raise IntegrityError(
            f"the key file {path} holds no CURVE key",
            hint="restore it; or move it away, and the new key made at the next start must be admitted anew",
        )
    return CurveKey(secret)


def checked_public(text: str) -> bytes:
    """Return a public key that a person wrote, as ZeroMQ takes it; raises `OperatorError`."""
    public = text.encode("utf-8", "replace")
    if not _is_key(public):
        raise OperatorError(
            f"not a public CURVE key: {text[:80]!r}",
            hint="it is 40 characters of z85, in quotes in YAML, and `sightline serve` prints the centre's",
        )
    return public


def _is_key(text: bytes) -> bool:
    """Tell whether 40 characters stand for 32 bytes."""
    if len(text) != KEY_CHARACTERS or any(character not in z85.Z85CHARS for character in text):
        return False
    try:
        return len(z85.decode(text)) == 32
    except (ValueError, struct.error):  # five characters can say more than four bytes hold
        return False
