"""A new box, from the centre's invitation to its first heartbeat, and out again: real processes."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
import yaml

from edge.errors import OperatorError
from edge.faces.registry import ModelStore, Task, load_registry
from edge.telling import LinkReport
from tests.central.ports import eventually
from tests.central.test_serve import Centre

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
SAMPLE = CHECKOUT / "models" / "sample"


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
def running(*command: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def kept_running(*command: str) -> Iterator[None]:
    """Run a program, and again whenever it ends, as systemd does."""
    stop = threading.Event()

    def keep() -> None:
        while not stop.is_set():
            with running(*command) as process:
                while process.poll() is None and not stop.wait(0.1):
                    pass

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


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


def test_a_box_from_one_file_to_its_first_alert_and_to_the_end_of_its_watchlist(
    tmp_path: Path, centre: Centre
) -> None:
    """Everything by the verbs that an operator has; what the box runs comes over the link."""
    box, state = Box(tmp_path), ("--state", str(tmp_path / "centre"))
    run("central", "enrol", str(SAMPLE / "references"), *state)
    endpoint = centre.said["endpoint"]
    run("central", "device", "invite", "gate-1", "--admit", "--endpoint", endpoint, "--out", str(box.file), *state)
    box.provision()
    base = box.state / "provisioned.yaml"
    tried_quickly = {"update": {"trial": {"settle_s": 1.0}, "step_s": 0.1}}
    base.write_text(yaml.safe_dump(yaml.safe_load(base.read_text()) | tried_quickly))

    with ExitStack() as box_runs:
        for name in ("watch", "link"):
            box_runs.enter_context(kept_running("edge", name, *box.config))
        camera = {"id": "main-gate", "source": str(SAMPLE / "street.mp4"), "at_end": "loop"}
        tree = {"device": {"state": str(box.state)}, "camera": camera, "link": {"endpoints": [endpoint]}}
        template = written(tmp_path / "config.yaml", tree)
        run("central", "push", "config", template, "--to", "gate-1", *state)
        window = {"from": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC) + timedelta(hours=1)}
        sample = yaml.safe_load((CHECKOUT / "docs" / "deployment.yaml").read_text())
        deployment = written(tmp_path / "deployment.yaml", sample | window)
        run("central", "push", "watchlist", "--deployment", deployment, "--to", "all", *state)

        eventually(lambda: bool(alerts(centre)), "somebody is recognised", within_s=60)
        shown = json.loads(run("central", "device", "show", "gate-1", "--json", *state))
        assert (shown["desired"], shown["drift"], shown["troubles"]) == (shown["reported"]["state"], [], [])
        said = box.status()
        for process in ("watch", "link"):
            test = said[f"selftest-{process}"]
            assert isinstance(test, dict)
            assert [part for part in test["parts"] if not part["ok"]] == []
        assert list(box.state.rglob("*.sealed"))
        run("central", "device", "revoke", "gate-1", *state)
        eventually(lambda: not list(box.state.rglob("*.sealed")), "the watchlist is destroyed", within_s=30)
        eventually(lambda: "locked this box out" in str(box.status()["watch"]), "watch says why", within_s=10)


def written(path: Path, tree: dict[str, object]) -> str:
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def alerts(centre: Centre) -> object:
    """Return what the console shows."""
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(centre.said["console"])
        page = httpx.URL(centre.said["console"])
        return browser.get(page.copy_with(path="/api/alerts", query=None)).raise_for_status().json()
