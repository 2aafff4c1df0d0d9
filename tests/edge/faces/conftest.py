from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.errors import OperatorError
from edge.faces.detect import Detector, open_detector
from edge.faces.embed import Embedder, open_embedder
from edge.faces.registry import ModelCard, ModelStore, Registry, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from tests.edge.faces.making import SHARED


@dataclass(frozen=True)
class Public:
    """The public models, as the registry ships them."""

    registry: Registry
    store: ModelStore
    settings: RuntimeSettings

    def cards(self, task: Task) -> Sequence[ModelCard]:
        """Return the public models of a task and what was made of them here."""
        return [card for card in self.registry.models.values() if card.task is task and not card.shipped]

    def detector(self) -> Detector:
        return open_detector(self.cards(Task.DETECT)[0], self.store, self.settings)

    def embedder(self) -> Embedder:
        return open_embedder(self.cards(Task.EMBED)[0], self.store, self.settings)


@pytest.fixture(scope="session")
def public() -> Public:
    store = ModelStore.default()
    if not store.mirrors and (SHARED / "mirror").is_dir():
        store = ModelStore(store.folder, (SHARED / "mirror",))
    registry = load_registry()
    try:
        for card in (card for card in registry.models.values() if card.url):
            store.path(card)
    except OperatorError as error:
        pytest.skip(f"no public models: {error}")
    return Public(registry, store, RuntimeSettings())


@pytest.fixture(scope="session")
def people() -> Path:
    folder = SHARED / "faces" / "lfw-dev"
    if not folder.is_dir():
        pytest.skip(f"no photographs of people: {folder} is absent")
    return folder
