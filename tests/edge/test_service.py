"""What watch does before it has anything to do."""

import threading
from pathlib import Path

import msgspec
import pytest
import yaml

from edge import durable
from edge.config import load
from edge.errors import OperatorError
from edge.outbox import Outbox, WatchReport
from edge.service import Home, run_watch
from tests.central.ports import eventually
from tests.edge.test_config import BASE, GOOD, written


def test_a_box_without_a_configuration_waits_for_one_and_says_so(tmp_path: Path) -> None:
    base = load(written(tmp_path, {**BASE, "device": {"id": "box-1", "state": str(tmp_path / "state")}}))
    home, stop = Home(tmp_path / "state"), threading.Event()
    troubles: list[OperatorError] = []

    def watch() -> None:
        try:
            run_watch(base, stop)
        except OperatorError as error:
            troubles.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        with Outbox.open(home.outbox, base.outbox) as outbox:

            def said() -> WatchReport:
                return msgspec.json.decode(outbox.reports().get("watch", b"{}"), type=WatchReport)

            eventually(lambda: bool(said().troubles), "watch has reported")
            assert said().troubles == ("waiting for a configuration from the centre",)
            assert (said().seeing, said().ended) == (False, False)
            assert thread.is_alive()
        # What comes is taken: this one is refused for its model, which shows that it was read.
        state = home.pushed / "states" / "word-1"
        state.mkdir(parents=True)
        tree = {**GOOD, "models": {"embedder": "no-such-model"}}
        (state / "config.yaml").write_text(yaml.safe_dump(tree))
        durable.point(home.pushed / "current", "states/word-1")
        thread.join(10)
    finally:
        stop.set()
        thread.join()
    assert "no-such-model" in troubles[0].message
    with Outbox.open(home.outbox, base.outbox) as outbox:
        last = msgspec.json.decode(outbox.reports()["watch"], type=WatchReport)
    assert last.state == "word-1"
    assert "no-such-model" in last.unfit


def test_a_box_that_waits_can_be_stopped(tmp_path: Path) -> None:
    base = load(written(tmp_path, {**BASE, "device": {"id": "box-1", "state": str(tmp_path / "state")}}))
    stop = threading.Event()
    stop.set()
    assert run_watch(base, stop).ended


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
