"""Biometric columns: encrypted on the way in, opened on the way out, with a key outside the database."""

import hashlib
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from edge.errors import IntegrityError


class Cipher:
    """Encrypts for the database (XSalsa20-Poly1305) and recognises what it has seen, by keyed digest."""

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)
        self._mark_key = hashlib.blake2b(b"sightline marks", key=key, digest_size=32).digest()

    def lock(self, value: bytes) -> bytes:
        """Encrypt bytes under a fresh nonce."""
        return bytes(self._box.encrypt(value))

    def unlock(self, value: bytes) -> bytes:
        """Open bytes, refusing what was changed or written under another key."""
        try:
            return self._box.decrypt(value)
        except (CryptoError, ValueError) as error:
            raise IntegrityError(
                "an encrypted column does not open: changed, or written under another keys/storage.key",
                hint="restore the key that belongs to this database",
            ) from error

    def mark(self, value: bytes) -> str:
        """Return a keyed digest: equal for equal values, and useless to who has the database alone."""
        return hashlib.blake2b(value, key=self._mark_key, digest_size=20).hexdigest()


class Locked(TypeDecorator[bytes]):
    """A column of bytes that only the holder of the storage key can read."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, cipher: Cipher) -> None:
        super().__init__()
        self.cipher = cipher

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (port)
        """Encrypt what is written."""
        return None if value is None else self.cipher.lock(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (port)
        """Open what is read."""
        return None if value is None else self.cipher.unlock(bytes(value))


class LockedText(TypeDecorator[str]):
    """A column of text that only the holder of the storage key can read."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, cipher: Cipher) -> None:
        super().__init__()
        self.cipher = cipher

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (port)
        """Encrypt what is written."""
        return None if value is None else self.cipher.lock(value.encode())

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (port)
        """Open what is read."""
        return None if value is None else self.cipher.unlock(bytes(value)).decode()
