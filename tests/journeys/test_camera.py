"""A camera that goes away: the box says so to whoever asks it, and to the centre."""

from pathlib import Path

import pytest

from central.rig import Rig
from tests.journeys.conftest import Scene, until
from tests.simulator.background import running

pytestmark = pytest.mark.slow


def test_a_camera_that_goes_away_is_told_on_the_box_and_at_the_centre(rig: Rig, scene: Scene) -> None:
    with running(Path(scene.video), clock_ahead_s=-3600.0) as camera:
        rig.start_centre()
        rig.sightline("enrol", str(scene.references))
        rig.make_box({"source": camera.rtsp_url, "retry_cap_s": 0.5})
        rig.start_watch()
        rig.start_link(drain=False)
        until((rig.home / "box" / "outbox" / "outbox.db").exists)

        def at_the_centre(*words: str) -> bool:
            told = str(rig.ask("/api/health"))
            return all(word in told for word in words)

        until(
            lambda: at_the_centre("seeing", "is -36", " s off this box's, so its pictures are dated by their arrival")
        )
        camera.do("refuse")
        until(lambda: at_the_centre("blind", "does not see, refused: camera rtsp://127.0.0.1"))
        blind = rig.box_status()["watch"]["camera"]
        assert (blind["condition"], blind["reason"]) == ("blind", "refused")
        assert blind["frame_age_ms"] > 0
        camera.do("accept")
        until(lambda: at_the_centre("seeing"))
        again = rig.box_status()["watch"]["camera"]
    assert (again["condition"], again["reason"]) == ("seeing", "")
    assert again["reconnects"] >= 1
    assert again["rate_fps"] > 1
    assert (again["clock_source"], round(again["clock_ahead_ms"] / 1e5)) == ("arrival", -36)
