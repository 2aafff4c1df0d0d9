from collections.abc import Iterator
from pathlib import Path

import pytest

from central.store.state import StateDir, Store, open_store
from edge.wire.sealing import make_or_load
from tests.central.stand_ins import Desk


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "centre")


@pytest.fixture
def store(state: StateDir) -> Iterator[Store]:
    opened = open_store(state)
    yield opened
    opened.close()


@pytest.fixture
def desk(store: Store, state: StateDir) -> Desk:
    return Desk(store, make_or_load(state.seal_key))
