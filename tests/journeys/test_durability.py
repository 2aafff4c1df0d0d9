"""Killed, absent, back again: nothing decided is lost, nothing is told twice."""

import signal

import pytest

from central.rig import Listener, Rig
from tests.journeys.conftest import decided, finished, heard_once, until

pytestmark = pytest.mark.slow


def alerts(rig: Rig) -> list[dict[str, object]]:
    found: list[dict[str, object]] = rig.ask("/api/alerts")["alerts"]
    return found


def test_a_centre_killed_in_mid_run_loses_nothing_and_repeats_nothing(ready: Rig) -> None:
    with Listener(ready) as listener:
        ready.start_link()
        ready.start_watch()
        until(lambda: heard_once(listener))
    centre = next(process for process in ready.processes if process.name == "centre")
    centre.signal(signal.SIGKILL)
    centre.wait(10)
    before = decided(ready)
    until(lambda: decided(ready) > before)
    ready.start_centre()
    totals = finished(ready)
    box = ready.box_status()
    assert box["waiting"] == 0
    assert box["shed"] == 0
    assert totals["events"] == box["watch"]["events"]
    assert totals["candidates"] == box["watch"]["candidates"]
    assert totals["tracks"] == box["watch"]["tracks"]
    assert totals["set_aside"] == 0
    tracks = [alert["track_id"] for alert in alerts(ready)]
    assert len(tracks) == len(set(tracks)) == totals["alerts"]


def test_a_box_whose_centre_is_absent_at_the_start_says_so_once_and_delivers_later(ready: Rig) -> None:
    centre = ready.processes[0]
    centre.signal(signal.SIGTERM)
    assert centre.wait(10) == 0
    link = ready.start_link()
    ready.start_watch()
    until(lambda: decided(ready))
    assert link.log.read_text().count("link.disconnected") == 1
    ready.start_centre()
    totals = finished(ready)
    assert totals["events"] == ready.box_status()["watch"]["events"] > 0


def test_what_watch_had_decided_when_it_was_killed_still_arrives(ready: Rig) -> None:
    ready.processes[0].signal(signal.SIGTERM)
    ready.processes[0].wait(10)
    watch = ready.start_watch()
    until(lambda: decided(ready))
    watch.signal(signal.SIGKILL)
    watch.wait(10)
    events = decided(ready)
    assert ready.box_status()["waiting"] >= events
    ready.start_centre()
    link = ready.start_link(drain=False)
    until(lambda: ready.box_status()["waiting"] == 0)
    link.signal(signal.SIGTERM)
    assert link.wait(10) == 0
    assert ready.ask("/api/tally")["events"] >= events


def test_a_revoked_box_is_locked_out_and_keeps_what_it_has(ready: Rig) -> None:
    ready.sightline("device", "revoke", "box-1")
    link = ready.start_link()
    ready.start_watch()
    until(lambda: decided(ready))
    until(lambda: "link.disconnected" in link.log.read_text())
    assert ready.ask("/api/tally")["events"] == 0
    assert link.running()
