"""`sightline push` and `sightline device`, as an operator types them: one line, the right exit code."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import update

from central.cli import main
from central.store.state import StateDir, open_store
from edge.wire.messages import Applied, CameraHealth, Heartbeat, Phase
from tests.central.fleet import TEMPLATE, Centre

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what the command line sets for its whole process: the log would go to a closed capture."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def centre(state: StateDir) -> Iterator[Centre]:
    made = Centre(state, open_store(state))
    made.sign_root()
    yield made
    made.store.close()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_bytes(TEMPLATE)
    return path


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, state: StateDir, code: int = 0) -> str:
    assert main([*map(str, words), "--state", str(state.folder)]) == code
    told = capsys.readouterr()
    return told.err if code else told.out


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path, state: StateDir, code: int = 2) -> str:
    line = said(capsys, *words, state=state, code=code)
    assert line.count("\n") == 1
    return line


def test_a_push_that_cannot_be_is_one_line_that_says_why(
    centre: Centre, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = centre.state
    config = ("push", "config", template, "--to")
    assert "no box and no group 'gate-9'" in refusal(capsys, *config, "gate-9", state=state)
    assert "no box is admitted in all" in refusal(capsys, *config, "all", state=state)
    centre.box("gate-1")
    said(capsys, "device", "group", "doors", "gate-1", state=state)
    said(capsys, "device", "revoke", "gate-1", state=state)
    assert "no box is admitted in doors" in refusal(capsys, *config, "doors", state=state)
    assert "gate-1 is revoked" in refusal(capsys, *config, "gate-1", state=state)
    centre.box("gate-2")
    broken = tmp_path / "broken.yaml"
    broken.write_text("camera: [")
    assert "is not YAML" in refusal(capsys, "push", "config", broken, "--to", "gate-2", state=state)
    missing = tmp_path / "missing.yaml"
    assert "cannot read" in refusal(capsys, "push", "config", missing, "--to", "gate-2", state=state)
    assert "do not end with all" in refusal(capsys, *config, "gate-2", "--stages", "1", state=state)
    assert "--patience" in refusal(capsys, *config, "gate-2", "--patience", "0", state=state)
    template.write_bytes(TEMPLATE + b"boxes: {gate-7: {}}\n")
    assert "boxes.gate-7 is no box" in refusal(capsys, *config, "gate-2", state=state)
    centre.configure("gate-2")
    assert "no model 'nosuch'" in refusal(capsys, "push", "model", "nosuch", "--to", "gate-2", state=state)
    assert "no roll-out 7" in refusal(capsys, "push", "stop", "7", state=state)
    assert "no roll-out 7" in refusal(capsys, "push", "status", "7", state=state)


def test_nothing_is_pushed_without_a_root(
    state: StateDir, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    centre = Centre(state, open_store(state))
    centre.box("gate-1")
    centre.store.close()
    told = refusal(capsys, "push", "config", template, "--to", "gate-1", state=state)
    assert "sightline push root" in told


def test_a_password_in_a_template_is_not_told(
    centre: Centre, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    centre.box("gate-1")
    broken = tmp_path / "broken.yaml"
    broken.write_text("camera: {id: door, source: rtsp://admin:sesame@192.0.2.9/, : ]\n")
    told = refusal(capsys, "push", "config", broken, "--to", "gate-1", state=centre.state)
    assert "line 1" in told
    assert "sesame" not in told


def test_an_operator_sees_how_a_roll_out_stands(
    centre: Centre, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = centre.box("gate-1", refuses="its camera does not open")
    begun = said(capsys, "push", "config", template, "--to", "gate-1", "--no-wait", state=centre.state)
    assert "roll-out 1: config to 1 of gate-1" in begun
    assert "sightline serve" in begun
    assert "stage 1 of 1" in said(capsys, "push", "status", state=centre.state)
    centre.turn(box, steps=3)
    status = said(capsys, "push", "status", "1", state=centre.state)
    assert "halted: gate-1 refused: its camera does not open" in status
    assert "stage 1  gate-1  refused: its camera does not open" in status
    shown = said(capsys, "device", "show", "gate-1", state=centre.state)
    assert "refused: its camera does not open, since 20" in shown
    assert "admitted, refused: its camera" in said(capsys, "device", "list", state=centre.state)


def test_the_verb_waits_for_the_end_of_a_roll_out(
    centre: Centre, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import threading

    centre.clock.at_ms -= 60_000  # boxes are heard after the real clock's publication
    box = centre.box("gate-1")
    ended = threading.Event()

    def carry() -> None:
        while not ended.wait(0.05):
            if centre.store.rollouts.all(running=True):
                centre.turn(box)

    worker = threading.Thread(target=carry)
    worker.start()
    try:
        told = said(capsys, "push", "config", template, "--to", "gate-1", state=centre.state)
    finally:
        ended.set()
        worker.join()
    assert "stage 1  gate-1  well" in told
    assert "roll-out 1 is done" in told


def test_a_box_is_shown_with_all_that_is_known(centre: Centre, capsys: pytest.CaptureFixture[str]) -> None:
    box = centre.box("gate-1")
    centre.push("gate-1")
    centre.turn(box, steps=3)
    camera = CameraHealth(condition="seeing", rate_fps=9.96, dropped=3, reconnects=1)
    at_ms = centre.clock()
    applied = Applied(state="0123", phase=Phase.BRINGING, about=box.runs)
    beat = Heartbeat(at_ms + 2_500, waiting=4, shed=1, seeing=True, troubles=("hot",), camera=camera, applied=applied)
    centre.store.devices.heard("gate-1", beat, at_ms)
    said(capsys, "device", "group", "doors", "gate-1", state=centre.state)
    told = said(capsys, "device", "show", "gate-1", state=centre.state)
    for words in (
        f"desired   {box.runs}",
        f"reported  0123, bringing {box.runs}",
        "drift     is bringing another state",
        "health    seeing, heard",
        "trouble   hot",
        "camera    seeing, 10.0 pictures a second, 3 dropped, 1 reconnects",
        "outbox    4 waiting, 1 shed",
        "clock     2.5 s ahead of the centre's",
        "groups    doors",
    ):
        assert words in told
    shown = json.loads(said(capsys, "device", "show", "gate-1", "--json", state=centre.state))
    assert (shown["desired"], shown["standing"], shown["clock_ahead_ms"]) == (box.runs, "bringing", 2_500)
    assert shown["reported"]["phase"] == "bringing"
    assert "no device 'gate-9'" in refusal(capsys, "device", "show", "gate-9", state=centre.state)


def test_what_was_published_for_a_revoked_box_is_withdrawn(
    centre: Centre, capsys: pytest.CaptureFixture[str]
) -> None:
    box = centre.box("gate-1")
    centre.push("gate-1")
    centre.turn(box, steps=3)
    assert [path for path in (centre.state.push / "targets").rglob("*") if path.is_file()]
    said(capsys, "device", "revoke", "gate-1", state=centre.state)
    assert not [path for path in (centre.state.push / "targets").rglob("*") if path.is_file()]
    assert "nothing is published" in said(capsys, "device", "show", "gate-1", state=centre.state)


def test_a_database_of_the_version_before_is_brought_up_to_date(
    state: StateDir, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(state)
    box = Centre(state, store).box("gate-1")
    meta = store.database.tables.meta
    with store.database.write() as connection:
        for column in ("applied", "applied_since_ms"):
            connection.exec_driver_sql(f"ALTER TABLE device_health DROP COLUMN {column}")
        for table in ("published", "rollout_boxes", "rollouts", "device_groups"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.execute(update(meta).where(meta.c.name == "schema").values(value="2"))
    store.close()
    assert "gate-1: admitted" in said(capsys, "device", "show", "gate-1", state=state)
    store = open_store(state)
    assert store.devices.health()[0].applied is None
    box.beat(Centre(state, store))
    assert store.devices.health()[0].applied == Applied()
    store.close()
