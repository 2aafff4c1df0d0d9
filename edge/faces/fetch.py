"""Models fetched: from a mirror where there is one, else from their public address; verified either way.

httpx is imported when something must come over the network, so that a box with a filled store needs none.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.faces.registry import CHUNK_BYTES, ModelCard, ModelStore, Registry, load_registry

CONNECT_S = 10.0
SILENCE_S = 30.0
MAX_BYTES = 1 << 30
Progress = Callable[[int, int], None]
"""Told the bytes so far and the bytes in all, 0 where the server does not say."""


def pull(
    names: Sequence[str] = (),
    *,
    mirror: Path | None = None,
    quiet: bool = False,
    optional: bool = False,
    say: Callable[[str], None] = print,
    store: ModelStore | None = None,
    registry: Registry | None = None,
) -> None:
    """Fill a store, the user's by default, with models, all registered ones unless named; say a line for each.

    `quiet` keeps still about models that are already there. With `optional`, one that cannot be reached is
    said and passed over; one that is not what was registered is an error all the same.
    """
    store = _with_mirror(store or ModelStore.default(), mirror)
    registry = registry or load_registry()
    cards = [_named(registry.models, name) for name in names] or [c for c in registry.models.values() if c.url]
    for card in cards:
        if store.holds(card):
            if not quiet:
                say(_line(card, store, "already there"))
            continue
        try:
            way = obtain(card, store, progress=None if quiet else _on_terminal(card))
        except (WorldError, OperatorError) as error:
            if not optional:
                raise
            say(f"{card.name}: left out: {error}")
        else:
            say(_line(card, store, way))


def obtain(card: ModelCard, store: ModelStore, *, progress: Progress | None = None) -> str:
    """Bring a model into the store, mirrors first, and return the way it came."""
    if store.take_from_mirror(card):
        return "from mirror"
    if not card.url:
        raise OperatorError(
            f"model {card.name} has no public address", hint="it is made by: sightline models quantise"
        )
    fetch(card, store, progress=progress)
    return "fetched"


def fetch(card: ModelCard, store: ModelStore, *, progress: Progress | None = None) -> None:
    """Fetch a model from its public address into the store; what is not the registered file never shows there."""
    try:
        import httpx
    except ImportError as error:
        raise OperatorError(
            f"model {card.name} cannot be fetched: httpx is not installed", hint="pip install 'sightline[central]'"
        ) from error
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
    elsewhere = "check the network, or name a folder that has the file: sightline models pull --mirror DIR"
    try:
        with httpx.stream("GET", card.url, follow_redirects=True, timeout=timeout) as response:
            response.raise_for_status()
            total = int(response.headers.get("content-length", 0))
            store.put(card, _counted(response.iter_bytes(CHUNK_BYTES), total, card, progress), card.url)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise WorldError(f"model {card.name}: {card.url} answered {status}", hint=elsewhere) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise WorldError(f"model {card.name} cannot be fetched from {card.url}: {reason}", hint=elsewhere) from error


def _counted(chunks: Iterator[bytes], total: int, card: ModelCard, progress: Progress | None) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        if done > MAX_BYTES:
            raise IntegrityError(f"model {card.name}: {card.url} sends more than {MAX_BYTES} bytes")
        if progress:
            progress(done, total)
        yield chunk


def _with_mirror(store: ModelStore, mirror: Path | None) -> ModelStore:
    if mirror is None:
        return store
    if not mirror.is_dir():
        raise OperatorError(f"the mirror {mirror} is no folder")
    return ModelStore(store.folder, (mirror, *store.mirrors))


def _named(models: dict[str, ModelCard], name: str) -> ModelCard:
    if name not in models:
        raise OperatorError(f"no model {name!r} in the registry", hint=f"known: {', '.join(sorted(models))}")
    return models[name]


def _line(card: ModelCard, store: ModelStore, way: str) -> str:
    size = (store.folder / card.file).stat().st_size
    return f"{card.name}: {way}, {size / 1e6:.2f} MB, {card.licence}, trained on {card.training_data}"


def _on_terminal(card: ModelCard) -> Progress | None:
    """Return a progress line on standard error, where somebody sees it."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        share = f"{100 * done // total} %" if total else f"{done / 1e6:.1f} MB"
        sys.stderr.write(f"\r{card.name}: {share} " + ("\n" if done == total else ""))
        sys.stderr.flush()

    return show
