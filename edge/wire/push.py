"""What a box is told to run, as files: their names, their limits, and one word for the whole.

The files of a box lie in the TUF repository under a role of its own, `box-ID`, delegated to it alone. The
prefix also keeps an id such as `..` from meaning a folder.
"""

import hashlib
import re
from collections.abc import Mapping

from edge.errors import OperatorError, PeerError
from edge.wire.watchlist import MAX_WATCHLIST_BYTES

CONFIG = "config.yaml"
WATCHLIST = "watchlist.sealed"
MODELS = "models.yaml"
"""The registry cards of the models that are pushed; it names their files."""
MODEL_FOLDER = "models/"
METADATA, TARGETS = "metadata/", "targets/"
CHUNK_BYTES = 256 * 1024
"""A box asks for no more at a time."""
MAX_MODEL_FILES = 64
_MAX_BYTES = {CONFIG: 1 << 20, MODELS: 1 << 20, WATCHLIST: MAX_WATCHLIST_BYTES + 4096}
_MAX_MODEL_BYTES = 512 * 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_MODEL = re.compile(r"models/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def role_of(device: str) -> str:
    """Return the role that signs for a box."""
    if not _ID.fullmatch(device):
        raise OperatorError(f"not a device id: {device[:80]!r}")
    return f"box-{device}"


def max_bytes(name: str) -> int:
    """Return how large a pushed file may be; a name that nothing is pushed under is refused."""
    if name in _MAX_BYTES:
        return _MAX_BYTES[name]
    if _MODEL.fullmatch(name):
        return _MAX_MODEL_BYTES
    raise PeerError(f"nothing is pushed under the name {name[:80]!r}")


def state_id(digests: Mapping[str, str]) -> str:
    """Return the word for a state, by the sha256 of each of its files: the same on box and centre."""
    listed = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]
