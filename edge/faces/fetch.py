"""Models fetched: from a mirror where there is one, else from their public address; verified either way.

httpx is imported when something must come over the network, so that a box with a filled store needs none.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
    everything: bool = False,
    say: Callable[[str], None] = print,
    store: ModelStore | None = None,
    registry: Registry | None = None,
) -> None:
    """Fill a store, the user's by default, with models and say a line for each.

    Those that are named; or `everything` that has a public address; or without either what the defaults need,
    where a preferred model that cannot be reached is passed over if another default is here. `quiet` keeps still
    about models that are already there. With `optional`, any that cannot be reached is said and passed over; one
    that is not what was registered is an error all the same.
    """
    store = _with_mirror(store or ModelStore.default(), mirror)
    registry = registry or load_registry()
    for card, spare in _wanted(registry, store, names, everything=everything):
        if store.holds(card):
            if not quiet:
                say(_line(card, store, "comes with the program" if card.shipped else "already there"))
            continue
        try:
            way = obtain(card, store, progress=None if quiet else _on_terminal(card))
        except (WorldError, OperatorError) as error:
            if not optional and not spare:
                raise
            say(f"{card.name}: left out: {error}")
        else:
            say(_line(card, store, way))


def _wanted(
    registry: Registry, store: ModelStore, names: Sequence[str], *, everything: bool
) -> list[tuple[ModelCard, bool]]:
    """Return the models to bring, and of each whether there is another in its place."""
    if names:
        return [(_named(registry.models, name), False) for name in names]
    if everything:
        return [(card, False) for card in registry.models.values() if card.url]
    wanted = []
    for task in {card.task: None for card in registry.models.values()}:
        first, *others = registry.preferred(task)
        if first.made_from:
            continue
        wanted.append((first, any(store.holds(card) for card in others)))
    return wanted


def inventory(registry: Registry, store: ModelStore) -> list[str]:
    """Return a line for each registered model: what for, whether it is here, whether it is a default."""
    lines = []
    for card in registry.models.values():
        here = "shipped" if card.shipped else "in the store"
        place = here if store.holds(card) else "missing"
        default = "default" if registry.wanted("", card.task, store).name == card.name else card.role
        lines.append(
            f"{card.name:<26} {card.task.value:<7} {place:<13} {default:<8} {card.licence}; trained on "
            f"{card.training_data}"
        )
    return lines


def obtain(card: ModelCard, store: ModelStore, *, progress: Progress | None = None) -> str:
    """Bring a model into the store, mirrors first, and return the way it came."""
    if store.take_from_mirror(card):
        return "from mirror"
    if card.shipped:
        raise OperatorError(f"model {card.name} should have come with the program", hint="install Sightline again")
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
    return replace(store, mirrors=(mirror, *store.mirrors))


def _named(models: dict[str, ModelCard], name: str) -> ModelCard:
    if name not in models:
        raise OperatorError(f"no model {name!r} in the registry", hint=f"known: {', '.join(sorted(models))}")
    return models[name]


def _line(card: ModelCard, store: ModelStore, way: str) -> str:
    size = store.place(card).stat().st_size
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
