"""Whom this box looks for: a wrapped file, opened into memory only.

Fail closed: a watchlist of another box, another model, another centre, or past its date is refused, and a
box without one matches nobody.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import Struct

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.faces.compare import Gallery
from edge.gate import Permit
from edge.wire.sealing import SealingKey, unwrap
from edge.wire.watchlist import MAX_WATCHLIST_BYTES, SealedWatchlist, decode


class WatchlistSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the watchlist lies."""

    file: str
    """The watchlist, wrapped by the centre for this box."""


@dataclass(frozen=True, repr=False)
class Watchlist:
    """An opened watchlist; its repr shows nothing of it."""

    id: str
    made_at_ms: int
    """Centre clock."""
    permit: Permit
    gallery: Gallery

    def over(self, now_ms: int) -> bool:
        """Return whether nobody may be matched against it any more."""
        return now_ms >= self.permit.expires_at_ms

    def __repr__(self) -> str:
        return f"Watchlist({self.id!r}, {len(self.gallery)} references)"


def open_watchlist(
    settings: WatchlistSettings, key: SealingKey, *, author: str, device: str, model_sha256: str, now_ms: int
) -> Watchlist:
    """Read a watchlist that may serve now or later; one that is over is refused."""
    watchlist = read_watchlist(settings, key, author=author, device=device, model_sha256=model_sha256)
    if watchlist is None:
        raise OperatorError(
            f"there is no watchlist {settings.file}: nobody is matched",
            hint=f"run: sightline watchlist seal --device {device} --deployment FILE --out {settings.file}",
        )
    if watchlist.over(now_ms):
        raise OperatorError(
            f"watchlist {settings.file} has expired: nobody is matched", hint="have the centre seal a new one"
        )
    return watchlist


def read_watchlist(
    settings: WatchlistSettings, key: SealingKey, *, author: str, device: str, model_sha256: str
) -> Watchlist | None:
    """Read the watchlist that `author`, the centre's public sealing key, made for this device and model.

    None where there is none. Whether it may serve now is the gate's to say.
    """
    path = Path(settings.file)
    try:
        size = path.stat().st_size
        wrapped = path.read_bytes() if size <= MAX_WATCHLIST_BYTES else b""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorldError(f"cannot read the watchlist {path}: {error.strerror}") from error
    if not wrapped:
        raise IntegrityError(f"the watchlist {path} has {size} bytes, the limit is {MAX_WATCHLIST_BYTES}")
    try:
        sealed = decode(unwrap(key, author, wrapped))
    except IntegrityError as error:
        raise IntegrityError(f"watchlist {path}: {error.message}", hint="have the centre seal it again") from error
    _suits(sealed, path, device, model_sha256)
    permit = Permit(deployment=sealed.deployment, expires_at_ms=sealed.expires_at_ms)
    return Watchlist(sealed.watchlist, sealed.made_at_ms, permit, _gallery(sealed))


def _suits(sealed: SealedWatchlist, path: Path, device: str, model_sha256: str) -> None:
    """Refuse a watchlist that was made for another box or another model."""
    if sealed.device != device:
        raise IntegrityError(f"watchlist {path} was made for device {sealed.device}, this is {device}")
    if sealed.model_sha256 != model_sha256:
        raise IntegrityError(
            f"watchlist {path} was made with model {sealed.model_sha256[:12]}…, this box runs {model_sha256[:12]}…",
            hint="templates of two models are never compared: have the centre seal it again for this model",
        )


def _gallery(sealed: SealedWatchlist) -> Gallery:
    templates = np.frombuffer(sealed.templates, "<f2").reshape(-1, sealed.dimension).astype(np.float32)
    owners = np.frombuffer(sealed.owners, "<u4")
    lengths = np.linalg.norm(templates, axis=1)
    if len(owners) and int(owners.max()) >= len(sealed.entries):
        raise IntegrityError(f"watchlist {sealed.watchlist}: a template belongs to an entry that is not in it")
    if not np.all(np.abs(lengths - 1) < 0.02):
        raise IntegrityError(f"watchlist {sealed.watchlist}: a template is not a unit vector")
    # Float16 rounds a unit vector by up to 5e-4; scores are cosines again after this.
    templates /= lengths[:, None]  # in place: the gallery's is the one copy in numbers, and it can be overwritten
    return Gallery(templates, [sealed.entries[i] for i in owners])
