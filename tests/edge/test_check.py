"""What `edge check` says of the camera."""

from pathlib import Path

import pytest

from edge.check import _camera
from edge.config import load_config
from tests.edge.test_config import GOOD, written
from tests.simulator.pattern import write_video


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ({}, "no zone: faces are looked for in the whole picture"),
        (
            {"zone": [[0.25, 0.25], [0.75, 0.25], [0.75, 1], [0.25, 1]]},
            "zone of 38 % of the picture; searched with its margin: 200x200 at 60,40",
        ),
    ],
    ids=["none", "middle"],
)
def test_a_technician_is_told_how_much_of_the_picture_is_looked_at(
    tmp_path: Path, zone: dict[str, object], told: str
) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=2)
    camera = {"id": "gate", "source": str(clip), **zone}
    said = _camera(load_config(written(tmp_path, {**GOOD, "camera": camera})))
    assert "gate sees: 320x240" in said
    assert said.endswith(told)
