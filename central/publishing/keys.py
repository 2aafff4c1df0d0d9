"""Signing keys in files: Ed25519, PEM of PKCS #8, mode 0600, the off-line one under a passphrase if wanted."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.wire.sealing import write_secret

MAX_KEY_BYTES = 4096


def make_or_load(path: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """Load the key at `path`, or make one there, readable by its owner alone."""
    if not path.exists():
        write_secret(path, _pem(Ed25519PrivateKey.generate(), passphrase))
    return load(path, passphrase)


def load(path: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """Load a key, refusing a file that others can read."""
    try:
        if path.stat().st_mode & 0o077:
            raise IntegrityError(f"the key file {path} can be read by others", hint=f"chmod 600 {path}")
        with path.open("rb") as file:
            pem = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise WorldError(f"cannot read the key file {path}: {error.strerror}") from error
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError):
        # The cause is left out: a parser's complaint may quote what it read.
        raise OperatorError(
            f"the key file {path} does not open", hint="give its passphrase, or none where it has none"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IntegrityError(f"the key file {path} holds no Ed25519 key")
    return CryptoSigner(key)


def _pem(key: Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption(),
    )
