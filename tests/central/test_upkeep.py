"""What the server does by itself to what it publishes."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from central.publishing.repository import Repository
from central.upkeep import Upkeep
from edge.wire.push import CONFIG
from tests.central.fleet import Clock
from tests.pushing import CONFIG_A, CONFIG_B, Pusher, centre


@pytest.fixture
def pusher(tmp_path: Path) -> Pusher:
    made = centre(tmp_path / "centre")
    made.publish({CONFIG: CONFIG_A})
    return made


def expiry(pusher: Pusher) -> datetime:
    signed = json.loads(pusher.metadata("timestamp.json").read_text())["signed"]
    return datetime.fromisoformat(signed["expires"])


def test_what_is_published_is_signed_again_before_boxes_would_disbelieve_it(pusher: Pusher) -> None:
    clock = Clock()
    upkeep = Upkeep(pusher.repository, clock)
    for _ in range(48):
        clock.pass_(timedelta(hours=1))
        upkeep.look()
        assert expiry(pusher) > datetime.fromtimestamp(clock() / 1000, UTC) + timedelta(hours=11)
    assert upkeep.notices == ()


def test_the_end_of_the_root_is_told_a_month_before(pusher: Pusher) -> None:
    clock = Clock()
    upkeep = Upkeep(pusher.repository, clock)
    clock.pass_(timedelta(days=334))
    upkeep.look()
    assert upkeep.notices == ()
    clock.pass_(timedelta(days=2))
    with capture_logs() as logs:
        upkeep.look()
    assert "ends in 28 days" in " ".join(upkeep.notices)
    assert next((line["event"], line["log_level"]) for line in logs) == ("push.root_expires", "warning")
    clock.pass_(timedelta(days=30))
    upkeep.look()
    assert "has ended" in " ".join(upkeep.notices)


def test_a_centre_without_a_root_has_nothing_to_look_after(tmp_path: Path) -> None:
    upkeep = Upkeep(Repository(tmp_path / "push", tmp_path / "keys"), Clock())
    with capture_logs() as logs:
        upkeep.look()
    assert (upkeep.notices, logs) == ((), [])


def test_a_centre_that_cannot_sign_says_so_and_goes_on(pusher: Pusher) -> None:
    upkeep = Upkeep(pusher.repository, Clock())
    (pusher.keys / "online.pem").chmod(0o644)
    upkeep.look()
    assert "cannot be signed again" in " ".join(upkeep.notices)
    (pusher.keys / "online.pem").chmod(0o600)
    upkeep.look()
    assert upkeep.notices == ()


def test_what_newer_files_replaced_goes_after_a_week_and_roots_stay(pusher: Pusher) -> None:
    pusher.sign_root()
    word = pusher.publish({CONFIG: CONFIG_B})
    replaced = {"1.snapshot.json", "1.box-box-1.json"}
    assert replaced <= {path.name for path in pusher.metadata("").iterdir()}
    assert pusher.repository.prune(now=datetime.now(UTC)) == 0
    for path in pusher.metadata("").iterdir():
        then = (datetime.now(UTC) - timedelta(days=8)).timestamp()
        os.utime(path, (then, then))
    assert pusher.repository.prune(now=datetime.now(UTC)) >= len(replaced)
    left = {path.name for path in pusher.metadata("").iterdir()}
    assert not replaced & left
    assert {"1.root.json", "2.root.json"} <= left
    with pusher.box(pusher.folder / "box").look() as look:
        assert look.announced(CONFIG)
    assert pusher.repository.desired("box-1", now=datetime.now(UTC)) == word
