"""A camera that goes away: the box says so to whoever asks it, and to the centre."""

from pathlib import Path
from typing import Any

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
        until((rig.home / "box" / "outbox.db").exists)

        def health() -> dict[str, Any]:
            told: dict[str, Any] = rig.box_status().get("watch", {}).get("camera") or {}
            return told

        def troubles() -> str:
            return str(rig.ask("/api/health"))

        until(lambda: health().get("condition") == "seeing" and health()["frame_age_ms"] < 2000)
        assert health()["rate_fps"] > 1
        until(lambda: abs((health()["clock_ahead_ms"] or 0) + 3_600_000) < 2000)
        until(lambda: "is -3600 s off this box's, so its pictures are dated by their arrival" in troubles())
        camera.do("refuse")
        until(lambda: (health()["condition"], health()["reason"]) == ("blind", "refused"), within_s=10)
        until(lambda: "does not see, refused: camera rtsp://127.0.0.1" in troubles())
        camera.do("accept")
        until(lambda: health()["condition"] == "seeing", within_s=10)
        assert health()["reconnects"] == 1
