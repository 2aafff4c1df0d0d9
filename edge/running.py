"""Which state this box runs: what the centre pushed, where `pushed/current` is; else the files of whoever set it up.

The one place that chooses, for watch, `edge check` and `edge status`. The link `current` is read once: a state
is one folder, and never half of it with half of another.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.config import Base, Config, load_config
from edge.errors import OperatorError
from edge.faces.registry import ModelCard, ModelStore, Registry, Task, load_registry
from edge.state.places import Places
from edge.wire.push import CONFIG, MODEL_FOLDER, MODELS, WATCHLIST


@dataclass(frozen=True)
class Chosen:
    """A model's card, and the store that its file lies in."""

    card: ModelCard
    store: ModelStore


@dataclass(frozen=True)
class Running:
    """One state, to be run whole."""

    config: Config
    word: str = ""
    """Its word; empty where nothing was pushed."""
    folder: Path | None = None
    """Where it lies; None where nothing was pushed."""

    def model(self, task: Task) -> Chosen:
        """Return the model for a task: one that was pushed, else one that came with the program."""
        models = self.config.models
        return chosen(models.detector if task is Task.DETECT else models.embedder, task, self.folder)


def running(base: Base, pushed: Path) -> Running:
    """Return the state that runs, given what this box was set up with and the folder of what is pushed."""
    folder = Places(pushed).current
    if folder is not None:
        return of_folder(folder)
    if isinstance(base, Config):
        return Running(base)
    raise OperatorError(
        "this box was told no camera yet", hint="the centre pushes a configuration: sightline push config"
    )


def of_folder(folder: Path) -> Running:
    """Return the state in a folder; it looks for whom its own watchlist names, where it has one."""
    config = load_config(folder / CONFIG)
    if (folder / WATCHLIST).exists():
        watchlist = msgspec.structs.replace(config.watchlist, file=str(folder / WATCHLIST))
        config = msgspec.structs.replace(config, watchlist=watchlist)
    return Running(config, folder.name, folder)


def current_word(pushed: Path) -> str:
    """Return the word of the state that should run; empty where nothing was pushed."""
    folder = Places(pushed).current
    return folder.name if folder else ""


def chosen(name: str, task: Task, folder: Path | None) -> Chosen:
    """Return the model of this name for a task, of a state in `folder`; without a name, the preferred one."""
    if folder is not None and (folder / MODELS).exists():
        registry = pushed_registry(folder)
        if name in registry.models or (not name and task in registry.defaults):
            store = model_store(folder)
            return Chosen(registry.wanted(name, task, store), store)
    store = ModelStore.default()
    return Chosen(load_registry().wanted(name, task, store), store)


def model_store(folder: Path) -> ModelStore:
    """Return the store of the models that a state brings."""
    return ModelStore(folder / MODEL_FOLDER, shipped=folder / MODEL_FOLDER)


def pushed_registry(folder: Path) -> Registry:
    """Return the cards of the models that a state brings."""
    return load_registry(folder / MODELS)
