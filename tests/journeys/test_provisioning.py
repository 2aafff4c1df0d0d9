"""A new box, from the centre's invitation to its first heartbeat, and out again: real processes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from edge.errors import OperatorError
from edge.faces.registry import ModelStore, Task, load_registry
from edge.telling import LinkReport
from tests.central.ports import eventually
from tests.central.test_serve import Centre

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _models() -> None:
    try:
        store = ModelStore.default()
        store.path(load_registry().wanted("", Task.EMBED, store))
    except OperatorError as error:
        pytest.skip(str(error))


def run(*command: str, code: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def running(*command: str) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


class Box:
    """A box as its technician sees it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "box"
        self.file = folder / "sightline-provision.yaml"
        self.config = ("--config", str(self.state / "provisioned.yaml"))

    def provision(self, code: int = 0) -> str:
        return run("edge", "provision", str(self.file), "--state", str(self.state), code=code)

    def status(self) -> dict[str, object]:
        said: dict[str, object] = json.loads(run("edge", "status", *self.config))
        return said

    def link(self) -> LinkReport:
        return msgspec.convert(self.status().get("link", {}), LinkReport)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    run("central", "push", "root", "--out", str(tmp_path / "root.pem"), "--state", str(tmp_path / "centre"))
    started = Centre(tmp_path / "centre", tmp_path / "centre.yaml")
    yield started
    started.close()


def test_a_new_box_is_invited_provisioned_admitted_seen_and_revoked(tmp_path: Path, centre: Centre) -> None:
    box, state = Box(tmp_path), ("--state", str(tmp_path / "centre"))
    endpoint = centre.said["endpoint"]
    run("central", "device", "invite", "gate-1", "--endpoint", endpoint, "--out", str(box.file), *state)
    spare = box.file.read_bytes()
    said = box.provision()
    assert not box.file.exists()
    match = re.search(r"fingerprint +([0-9a-f ]{39})", said)
    assert match is not None, said
    assert match[1] in run("central", "device", "pending", *state)

    with running("edge", "link", *box.config), running("edge", "watch", *box.config):
        outbox = box.state / "outbox" / "outbox.db"
        eventually(lambda: outbox.exists() and "denied" in box.link().last_parting, "link is denied", within_s=30)
        assert match[1] in run("central", "device", "admit", "gate-1", *state)
        eventually(lambda: box.link().connected, "link is admitted", within_s=60)
        watch = box.status()["watch"]
        assert isinstance(watch, dict)
        assert watch["troubles"] == ["waiting for a configuration from the centre"]
        run("central", "device", "revoke", "gate-1", *state)
        eventually(lambda: not box.link().connected, "link is out", within_s=30)
        assert box.link().expelled_at_ms > 0

    # Whoever kept the file is not let in by it, on this box or on another.
    box.file.write_bytes(spare)
    (box.state / "keys" / "token.spent").unlink()
    assert "does not know this token" in box.provision(code=4)
    other = Box(tmp_path / "other")
    other.file = box.file
    assert "does not know this token" in other.provision(code=4)
    assert httpx.get(centre.said["console"], follow_redirects=True).status_code == 200
