"""What a push brings to a box: its part of the state, made for this box, and a watchlist where that has to follow.

A watchlist belongs to the model that its templates are of. So where another configuration or other models mean
another embedder, the watchlist is sealed for that one in the same state, and neither ever runs without the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import yaml

from central.store.rollouts import Plan, Published, What
from central.template import Own, embedder_of, fill
from central.watchlists import Embedder
from edge import durable
from edge.errors import OperatorError
from edge.faces.registry import ModelCard, ModelStore, Registry, Task, load_registry, verify
from edge.wire.push import CONFIG, MAX_MODEL_FILES, MODEL_FOLDER, MODELS, WATCHLIST, max_bytes

DEPLOYMENT = "deployment.json"
"""In the folder of what a roll-out brings: under which deployment watchlists are sealed."""
REPLACES = {What.CONFIG: (CONFIG,), What.WATCHLIST: (WATCHLIST,), What.MODEL: (MODELS, MODEL_FOLDER)}


@dataclass(frozen=True)
class Change:
    """What is published for one box in place of what."""

    files: dict[str, bytes]
    replaces: tuple[str, ...]
    embedder: str
    """The identity of the templates in its watchlist; empty: it has none."""
    deployment: str
    """Under which it may be used, as JSON."""


@dataclass(frozen=True)
class Workshop:
    """What parts are made with."""

    own: Own
    seal: Callable[[str, Embedder, str], bytes]
    """Make the watchlist of a box for the embedder that it runs, under a deployment (JSON)."""
    open: Callable[[ModelCard, ModelStore], Embedder]
    """Load an embedder; each is asked for once in a while and kept by whom that costs."""
    over: Callable[[str], bool]
    """Return whether a deployment (JSON) is over."""
    default_model: str = ""
    """The embedder of boxes whose state says nothing of it."""


def make(
    plan: Plan, payload: Path, device: str, held: dict[str, Path], before: Published | None, workshop: Workshop
) -> Change:
    """Make what a roll-out publishes for a box, given the files and the record of what it was told before."""
    files: dict[str, bytes] = {}
    if plan.what is What.CONFIG:
        files[CONFIG] = fill((payload / CONFIG).read_bytes(), device, workshop.own)
    if plan.what is What.MODEL:
        files |= _content(payload)
    has_list = before is not None and bool(before.watchlist)
    sealed_for = before.embedder if before else ""
    paper = payload / DEPLOYMENT
    deployment = before.deployment if before else ""
    if paper.exists():
        deployment = paper.read_text()
    elif plan.what is What.WATCHLIST and not has_list:
        raise OperatorError(f"no deployment is known for {device}", hint="say why and when: --deployment FILE")
    replaces = REPLACES[plan.what]
    if has_list and not paper.exists() and plan.what is not What.WATCHLIST and workshop.over(deployment):
        # Its box has destroyed it, and nobody may be looked for by it again.
        has_list, replaces, sealed_for, deployment = False, (*replaces, WATCHLIST), "", ""
    if plan.what is What.WATCHLIST or has_list or paper.exists():
        with TemporaryDirectory() as folder:
            card, store = _embedder(plan, files, held, Path(folder), workshop.default_model)
            if plan.what is What.WATCHLIST or paper.exists() or card.template_identity != sealed_for:
                files[WATCHLIST] = workshop.seal(device, workshop.open(*_openable(card, store)), deployment)
                replaces = (*replaces, WATCHLIST)
                sealed_for = card.template_identity
    return Change(files, replaces, sealed_for, deployment)


def pack_models(folder: Path, names: Sequence[str]) -> None:
    """Put models beside each other as a box gets them: cards, files, golden files; each verified."""
    cards: dict[str, ModelCard] = {}
    own, files = load_registry(), ModelStore.default()
    for name in names:
        path = Path(name)
        if path.suffix in {".yaml", ".yml"}:
            listed = load_registry(path).models
            cards |= {
                one: _packed(card, ModelStore(path.parent, shipped=path.parent), folder)
                for one, card in listed.items()
            }
        elif name in own.models:
            cards[name] = _packed(own.models[name], files, folder)
        else:
            raise OperatorError(
                f"no model {name[:80]!r}", hint="see: sightline models list; or give a file of cards, YAML"
            )
    defaults: dict[str, list[str]] = {}
    for name, card in cards.items():
        defaults.setdefault(card.task.value, []).append(name)
    tree = {"defaults": defaults, "models": {name: _entry(card) for name, card in cards.items()}}
    durable.write(folder / MODELS, yaml.safe_dump(tree, sort_keys=False).encode())
    count = len(list((folder / MODEL_FOLDER).iterdir()))
    if count > MAX_MODEL_FILES:
        raise OperatorError(f"{count} model files, a box takes at most {MAX_MODEL_FILES}")


def _packed(card: ModelCard, store: ModelStore, folder: Path) -> ModelCard:
    if not card.golden:
        raise OperatorError(
            f"model {card.name} has no golden file: a box could not tell whether it runs it rightly",
            hint="name one on its card (golden:)",
        )
    path = store.path(card)
    for file in (path, path.parent / card.golden):
        name = f"{MODEL_FOLDER}{file.name}"
        try:
            content = file.read_bytes()
        except OSError as error:
            raise OperatorError(f"model {card.name}: cannot read {file}: {error.strerror}") from error
        if len(content) > max_bytes(name):
            raise OperatorError(f"{file} has {len(content)} bytes, a box takes at most {max_bytes(name)}")
        durable.write(folder / name, content)
    verify(folder / MODEL_FOLDER / card.file, card)
    return card


def _content(folder: Path) -> dict[str, bytes]:
    files = {MODELS: (folder / MODELS).read_bytes()}
    return files | {f"{MODEL_FOLDER}{path.name}": path.read_bytes() for path in (folder / MODEL_FOLDER).iterdir()}


def _embedder(
    plan: Plan, files: dict[str, bytes], held: dict[str, Path], folder: Path, default: str
) -> tuple[ModelCard, ModelStore]:
    """Return the embedder that a box will run, and where its file is: of a pushed model, else of one that is here.

    The box finds it in the same way (edge/update.py).
    """
    config = files.get(CONFIG) or (held[CONFIG].read_bytes() if CONFIG in held else b"{}")
    name = embedder_of(config)
    pushed = _laid_out(files, held, folder) if plan.what is not What.MODEL else _laid_out(files, {}, folder)
    if pushed is not None and (name in pushed.models or (not name and Task.EMBED in pushed.defaults)):
        store = ModelStore(folder / MODEL_FOLDER, shipped=folder / MODEL_FOLDER)
        return pushed.wanted(name, Task.EMBED, store), store
    here = ModelStore.default()
    return load_registry().wanted(name or plan.model or default, Task.EMBED, here), here


def _laid_out(files: dict[str, bytes], held: dict[str, Path], folder: Path) -> Registry | None:
    """Lay out the models of a state under their plain names, and return their registry; None where it has none."""
    if MODELS not in files and MODELS not in held:
        return None
    (folder / MODEL_FOLDER).mkdir()
    if MODELS in files:
        for name, content in files.items():
            if name == MODELS or name.startswith(MODEL_FOLDER):
                (folder / name).write_bytes(content)
    else:
        for name, path in held.items():
            if name == MODELS or name.startswith(MODEL_FOLDER):
                (folder / name).symlink_to(path.resolve())
    return load_registry(folder / MODELS)


def _openable(card: ModelCard, store: ModelStore) -> tuple[ModelCard, ModelStore]:
    """Return a form of a network that runs here: of one with a second file form, the first where it is known."""
    here = ModelStore.default()
    for known in load_registry().models.values():
        if known.sha256 == card.template_identity and here.has(known):
            return known, here
    return card, store


def _entry(card: ModelCard) -> dict[str, Any]:
    """Return what a registry file says of a model: fields that are not at their default."""
    entry: dict[str, Any] = msgspec.to_builtins(card)
    defaults = {field.name: field.default for field in msgspec.structs.fields(ModelCard)}
    return {key: value for key, value in entry.items() if key != "name" and value != defaults[key]}
