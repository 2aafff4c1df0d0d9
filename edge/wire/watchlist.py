"""The watchlist as it travels to one box: opaque ids and templates, no name, no picture.

Made at the centre, wrapped for the box's sealing key (sealing.py), opened by `edge watch` into memory only.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.errors import IntegrityError
from edge.wire.messages import Count, Digest, Id

MAX_WATCHLIST_BYTES = 512 * 1024 * 1024


class SealedWatchlist(Struct, frozen=True):
    """Whom a box looks for, until when, and by which model's templates."""

    watchlist: Id
    device: Id
    made_at_ms: int
    expires_at_ms: int
    model_sha256: Digest
    dimension: Annotated[int, Meta(ge=1, le=4096)]
    entries: tuple[Id, ...]
    """Entry ids; `owners` points into them."""
    owners: bytes
    """One little-endian uint32 per template: the index of its entry."""
    templates: bytes
    """Float16, little-endian, unit length, `dimension` numbers each, one row per reference."""
    format: Count = 1


def encode(watchlist: SealedWatchlist) -> bytes:
    """Write a watchlist as msgpack, ready to be wrapped."""
    return msgspec.msgpack.encode(watchlist)


def decode(data: bytes) -> SealedWatchlist:
    """Read a watchlist and check that its parts fit each other."""
    try:
        watchlist = msgspec.msgpack.decode(data, type=SealedWatchlist)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors; so is text that is no UTF-8
        raise IntegrityError(f"not a watchlist: {error}") from error
    rows, left = divmod(len(watchlist.owners), 4)
    if left or len(watchlist.templates) != rows * watchlist.dimension * 2:
        raise IntegrityError(
            f"watchlist {watchlist.watchlist}: {len(watchlist.templates)} template bytes "
            f"do not fit {rows} owners of {watchlist.dimension} numbers"
        )
    return watchlist
