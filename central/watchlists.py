"""The watchlist as boxes get it, and its templates when the model changes.

A template belongs to the model that made it. When the centre or a box runs another one, templates are made
again from the enrolled faces; those of two models are never compared.
"""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from central import pictures
from central.store.entries import EnrolledFace
from central.store.state import Store
from edge.errors import IntegrityError, OperatorError, WorldError
from edge.faces.align import align
from edge.wire.ids import new_id
from edge.wire.sealing import SealingKey, wrap
from edge.wire.watchlist import MAX_WATCHLIST_BYTES, Deployment, SealedWatchlist, encode


class Embedder(Protocol):
    """Makes templates."""

    model_sha256: str
    dimension: int

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (n,d) float32 unit vectors of (n,112,112,3) uint8 BGR chips."""


def renew(store: Store, embedder: Embedder) -> int:
    """Make the templates of another model again with this one, in the store; return how many."""
    enrolled = store.entries.all()
    stale = [row for row, model in enumerate(enrolled.models) if model != embedder.model_sha256]
    for row in stale:
        template = _template(store.entries.face(enrolled.ids[row]), embedder)
        store.entries.renew(enrolled.ids[row], template, embedder.model_sha256)
    return len(stale)


def seal_for(
    store: Store,
    device_id: str,
    key: SealingKey,
    embedder: Embedder,
    *,
    deployment: Deployment,
    now_ms: int,
    valid_ms: int,
) -> bytes:
    """Make the watchlist of one box, wrapped so that this box alone opens it and knows who made it.

    `embedder` is the one the box runs. It may be used within the deployment's window alone, and for `valid_ms`.
    """
    expires_at_ms = _expiry(deployment, now_ms, valid_ms)
    device = store.devices.find(device_id)
    if device is None or device.revoked:
        raise OperatorError(f"device {device_id} is not admitted", hint="see: sightline device list")
    enrolled = store.entries.all()
    if not len(enrolled):
        raise OperatorError("nobody is enrolled: the watchlist would be empty", hint="run: sightline enrol DIR")
    templates = np.stack(
        [
            template if model == embedder.model_sha256 else _template(store.entries.face(name), embedder)
            for name, model, template in zip(enrolled.ids, enrolled.models, enrolled.templates, strict=True)
        ]
    )
    entries = sorted(set(enrolled.entries))
    position = {entry: index for index, entry in enumerate(entries)}
    watchlist = encode(
        SealedWatchlist(
            watchlist=new_id(now_ms),
            device=device_id,
            made_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
            model_sha256=embedder.model_sha256,
            dimension=embedder.dimension,
            entries=tuple(entries),
            owners=np.array([position[entry] for entry in enrolled.entries], "<u4").tobytes(),
            templates=templates.astype("<f2").tobytes(),
            deployment=deployment,
        )
    )
    if len(watchlist) > MAX_WATCHLIST_BYTES:
        raise OperatorError(
            f"the watchlist has {len(watchlist)} bytes, more than the {MAX_WATCHLIST_BYTES} a box takes",
            hint="enrol fewer references",
        )
    return wrap(key, device.seal_public, watchlist)


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, durably, and move it there; a half one never shows."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise WorldError(f"cannot write {path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _expiry(deployment: Deployment, now_ms: int, valid_ms: int) -> int:
    """Return when the watchlist ends, refusing one that could never be used."""
    if deployment.until_ms <= now_ms:
        raise OperatorError(f"deployment {deployment.id} is over", hint="a new watchlist needs a new deployment")
    expires_at_ms = min(deployment.until_ms, now_ms + valid_ms)
    if expires_at_ms <= deployment.from_ms:
        raise OperatorError(
            f"the watchlist would expire before deployment {deployment.id} begins",
            hint="seal it nearer to its beginning, or raise watchlist_valid_h",
        )
    return expires_at_ms


def _template(face: EnrolledFace, embedder: Embedder) -> NDArray[np.float32]:
    image = pictures.decode(face.crop, pictures.MAX_PROBE_PIXELS, upright=False)
    if image is None:
        raise IntegrityError("an enrolled face is no picture any more", hint="restore the database from a backup")
    chip = align(image, face.landmarks)
    return np.asarray(embedder.embed(chip[None])[0], np.float32)
