"""Real processes in a deployment: before its window, in it, after it, and by a clock that cannot be believed."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from central.rig import DEVICE, Rig
from edge.errors import SightlineError
from edge.outbox import Outbox, OutboxSettings
from tests.journeys.conftest import Scene, decided, until

pytestmark = pytest.mark.slow


@pytest.fixture
def street(rig: Rig, scene: Scene) -> Rig:
    """A centre and a box before a street where people never stop walking by."""
    rig.start_centre()
    rig.sightline("enrol", str(scene.references))
    rig.make_box({"source": str(scene.video), "pace": "real", "at_end": "loop"})
    return rig


def seal(rig: Rig, begins_s: float, ends_s: float) -> Path:
    """Seal the box's watchlist anew, for a window that begins and ends so many seconds from now."""
    paper, file = rig.home / "deployment.yaml", rig.home / "box" / "watchlist.sealed"
    tree = yaml.safe_load(paper.read_text())
    now = datetime.now(UTC)
    tree |= {name: (now + timedelta(seconds=s)).isoformat() for name, s in (("from", begins_s), ("until", ends_s))}
    paper.write_text(yaml.safe_dump(tree))
    rig.sightline("watchlist", "seal", "--device", DEVICE, "--deployment", str(paper), "--out", str(file))
    return file


def watch_says(rig: Rig) -> dict[str, Any]:
    try:
        said: dict[str, Any] = rig.box_status().get("watch", {})
    except SightlineError:
        return {}
    return said


def health(rig: Rig) -> str:
    return json.dumps(rig.ask("/api/health"))


def test_a_box_keeps_to_the_window_of_its_deployment(street: Rig) -> None:
    file = seal(street, 14, 34)
    begins_s = time.monotonic() + 13  # sealing took a moment too
    street.start_link(drain=False)
    watch = street.start_watch()
    until(lambda: watch_says(street).get("tracks"))
    before = watch_says(street)
    if time.monotonic() < begins_s:
        assert before["matching"] == "before-window"
        assert before["events"] == 0
    until(lambda: watch_says(street).get("matching") == "matching")
    until(lambda: decided(street))
    until(lambda: not file.exists())
    until(lambda: watch_says(street).get("matching") == "no-watchlist")
    after = watch_says(street)
    assert after["watchlist_over"]["why"] == "after-window"
    assert any("destroyed at" in trouble for trouble in after["troubles"])
    until(lambda: "destroyed at" in health(street))
    until(lambda: watch_says(street)["tracks"] >= after["tracks"] + 3)
    assert watch_says(street)["events"] == after["events"], "it sees and counts, and matches nobody"
    assert watch.running()
    street.stop()

    again = street.start_watch()
    until(lambda: watch_says(street).get("tracks") and watch_says(street)["at_ms"] > after["at_ms"])
    assert again.running()
    assert watch_says(street)["matching"] == "no-watchlist"
    assert watch_says(street)["events"] == 0


def test_a_clock_off_the_centre_s_stops_matching_and_a_box_locked_out_destroys_its_watchlist(street: Rig) -> None:
    file = seal(street, -60, 3600)
    box = street.home / "box" / "outbox" / "outbox.db"
    with Outbox.open(box, OutboxSettings()) as outbox:

        def link_says(ahead_ms: int, *, expelled: bool = False) -> None:
            now_ms = time.time_ns() // 1_000_000
            said = {
                "centre_clock_ms": now_ms + ahead_ms,
                "centre_clock_monotonic_s": time.monotonic(),
                "expelled": expelled,
            }
            outbox.report("link", msgspec.json.encode(said))

        link_says(60_000)
        street.start_watch()
        until(lambda: watch_says(street).get("tracks", 0) >= 5)
        said = watch_says(street)
        assert said["matching"] == "clock-implausible"
        assert said["events"] == 0
        assert any("behind the centre's" in trouble for trouble in said["troubles"])
        assert file.exists()
        link_says(0)
        until(lambda: decided(street))
        link_says(0, expelled=True)
        until(lambda: not file.exists())
        until(lambda: any("locked this box out" in trouble for trouble in watch_says(street)["troubles"]))
