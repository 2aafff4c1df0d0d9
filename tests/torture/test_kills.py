"""Some twenty deaths of watch, link and centre; `make torture` dies a thousand."""

import os
from pathlib import Path

import pytest

from edge.errors import SightlineError
from edge.faces.registry import ModelStore, Task, load_registry
from tests.torture import stage
from tests.torture.audit import audit
from tests.torture.fault import compiler, library
from tests.torture.kills import run_chapter

pytestmark = pytest.mark.slow

SEED = os.environ.get("TORTURE_SEED", "20")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the stage, or skip where the models are not here."""
    registry, store = load_registry(), ModelStore.default()
    try:
        for task in Task:
            store.path(registry.wanted("", task, store))
    except SightlineError as error:
        pytest.skip(f"the default models are not here: {error}")
    if compiler() is not None:
        library()
    home = tmp_path_factory.mktemp("torture") / "stage"
    stage.make(home)
    return home


def test_twenty_deaths_lose_nothing_and_repeat_nothing(made: Path, tmp_path: Path) -> None:
    result = run_chapter(made, tmp_path, SEED, 0, 20)
    assert not result["wrong"], f"seed {SEED}: {result}"
    assert int(str(result["kills"])) >= 20


def test_the_audit_sees_a_row_that_was_promised_and_is_nowhere(made: Path, tmp_path: Path) -> None:
    rig = stage.copied(made, tmp_path / "rig")
    (rig.home / "ledger").write_text("? lost\n! lost\n")
    assert any("promised rows are nowhere" in what for what in audit(rig.home, complete=True).wrong)


def test_the_audit_sees_a_damaged_centre(made: Path, tmp_path: Path) -> None:
    rig = stage.copied(made, tmp_path / "rig")
    assert not audit(rig.home, complete=True).wrong
    database = rig.centre_state / "centre.db"
    content = bytearray(database.read_bytes())
    content[3 * 4096 : 3 * 4096 + 200] = bytes(200)
    database.write_bytes(content)
    assert audit(rig.home, complete=True).wrong
