"""The centre's command line: one line, the right exit code."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from central.cli import main
from edge.wire import curve, sealing
from edge.wire.provisioning import problems, read


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what the command line sets for its whole process: the log would go to a closed capture."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a file of public keys as `edge keys` prints it on a box."""
    file = tmp_path / "gate-1.json"
    public = {
        "device": "gate-1",
        "curve": curve.make_or_load(tmp_path / "curve.key").public,
        "seal": sealing.make_or_load(tmp_path / "seal.key").public,
    }
    file.write_text(json.dumps(public))
    return file


def test_a_box_is_admitted_by_the_file_that_it_printed(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ("--state", str(tmp_path / "centre"))
    assert main(["device", "admit", "gate-1", "--keys", str(keys), *state]) == 0
    assert main(["device", "list", *state]) == 0
    said = capsys.readouterr().out
    assert "admitted gate-1" in said
    assert json.loads(keys.read_text())["curve"] in said


@pytest.mark.parametrize("content", ["[]", "{}", "not json", '{"curve": 1, "seal": 2}'])
def test_a_file_without_keys_is_refused_with_the_remedy(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    assert main(["device", "admit", "gate-1", "--keys", str(file), "--state", str(tmp_path / "centre")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "edge keys > FILE" in told


def test_a_box_cannot_be_admitted_without_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "admit", "gate-1", "--state", str(tmp_path / "centre")]) == 2
    told = capsys.readouterr().err
    assert "'gate-1' is not invited" in told
    assert "--keys FILE" in told


def test_inviting_a_box_writes_a_file_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, file = ("--state", str(tmp_path / "centre")), tmp_path / "sightline-provision.yaml"
    invite = ["device", "invite", "gate-1", "--endpoint", "tcp://192.0.2.1:5810", "--out", str(file), *state]
    assert main(invite) == 2
    assert "sightline push root" in capsys.readouterr().err
    assert main(["push", "root", "--out", str(tmp_path / "root.pem"), *state]) == 0
    assert main(invite) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    written = read(file)
    assert list(problems(written)) == []
    assert (written.device, written.endpoints) == ("gate-1", ("tcp://192.0.2.1:5810",))
    assert main(["device", "pending", *state]) == 0
    assert "gate-1  invited  until" in (said := capsys.readouterr().out)
    assert written.token not in said
    assert main(invite) == 2
    assert "is there already" in capsys.readouterr().err
