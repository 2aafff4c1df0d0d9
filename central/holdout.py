"""Who is kept out of training, so that figures about the shipped models are about people they never saw."""

import hashlib

SHARE = 5
"""One identity of this many is held out."""


def held_out(identity: str) -> bool:
    """Return whether an identity is held out.

    By the second byte of the sha256 of its name: the first byte has already chosen which half of the set this is.
    """
    return hashlib.sha256(identity.encode()).digest()[1] % SHARE == 0
