"""The watchlist as it travels to one box: opaque ids and templates, no name, no picture.

Made at the centre, wrapped for the box's sealing key (sealing.py), opened by `edge watch` into memory only. The
deployment for which it may be used travels inside it (docs/adr/0009): one cannot be had without the other, and
nobody but this box's watch can read either.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.errors import IntegrityError
from edge.wire.messages import Count, Digest, Id, Moment

MAX_WATCHLIST_BYTES = 512 * 1024 * 1024
FORMAT = 2
MAX_CAMERAS = 256

Words = Annotated[str, Meta(min_length=1, max_length=512)]


class Deployment(Struct, frozen=True, kw_only=True):
    """Why, by whose authority, where and when people may be looked for."""

    id: Id
    purpose: Words
    legal_basis: Words
    authorised_by: Words
    """The officer who answers for it."""
    place: Words
    from_ms: Moment
    """Nobody is matched before."""
    until_ms: Moment
    """Nobody is matched from here on, and the watchlist is destroyed."""
    cameras: Annotated[tuple[Id, ...], Meta(max_length=MAX_CAMERAS)] = ()
    """Ids of the cameras it covers; none: every camera of a box that is given it."""
    two_person: bool = False
    """Whether an alert needs two people's agreement; a recorded fact, the centre's to keep."""
    retention_h: Annotated[float, Meta(gt=0)] = 24.0
    """How long alerts are kept, hours; a recorded fact, the centre's to keep."""


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
    deployment: Deployment
    format: Count = FORMAT


class _Format(Struct, frozen=True):
    """What is read of a watchlist before anything else of it is believed to be known."""

    format: Count = 1


def encode(watchlist: SealedWatchlist) -> bytes:
    """Write a watchlist as msgpack, ready to be wrapped."""
    return msgspec.msgpack.encode(watchlist)


def decode(data: bytes) -> SealedWatchlist:
    """Read a watchlist and check that its parts fit each other."""
    try:
        found = msgspec.msgpack.decode(data, type=_Format).format
        if found != FORMAT:
            raise IntegrityError(f"the watchlist has format {found}, this program knows {FORMAT}")
        watchlist = msgspec.msgpack.decode(data, type=SealedWatchlist)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors; so is text that is no UTF-8
        raise IntegrityError(f"not a watchlist: {error}") from error
    rows, left = divmod(len(watchlist.owners), 4)
    if left or len(watchlist.templates) != rows * watchlist.dimension * 2:
        raise IntegrityError(
            f"watchlist {watchlist.watchlist}: {len(watchlist.templates)} template bytes "
            f"do not fit {rows} owners of {watchlist.dimension} numbers"
        )
    deployment = watchlist.deployment
    if not deployment.from_ms < deployment.until_ms or watchlist.expires_at_ms > deployment.until_ms:
        raise IntegrityError(
            f"watchlist {watchlist.watchlist}: it outlives deployment {deployment.id}, or that ends before it begins"
        )
    return watchlist
