import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from edge.config import load_config
from edge.errors import OperatorError
from edge.faces.pixels import Area, Bgr
from edge.zone import MARGIN, Corner, Zone
from tests.edge.test_config import GOOD, written

SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
# A path around a corner: the right lower part of its own width and height is outside.
HOOK = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.4), (0.4, 0.4), (0.4, 0.9), (0.1, 0.9))


def picture(width: int = 1000, height: int = 500) -> Bgr:
    return Bgr(np.zeros((height, width, 3), np.uint8))


def boxes_around(*points: Corner, width: int = 1000, height: int = 500) -> NDArray[np.float32]:
    """Return boxes of 40 x 60 pixels whose middles are at these shares of a picture."""
    return np.array([[x * width - 20, y * height - 30, 40, 60] for x, y in points], np.float32)


@pytest.mark.parametrize("corners", [HOOK, HOOK[::-1], (*HOOK[2:], *HOOK[:2])], ids=["", "other way round", "turned"])
def test_a_face_is_in_the_zone_when_the_middle_of_its_box_is(corners: tuple[Corner, ...]) -> None:
    inside = [(0.15, 0.15), (0.85, 0.35), (0.15, 0.85), (0.39, 0.39), (0.39, 0.41)]
    outside = [(0.05, 0.5), (0.95, 0.2), (0.41, 0.41), (0.6, 0.6), (0.85, 0.85), (0.5, 0.05), (1.2, 0.2)]
    held = Zone(corners).holds(boxes_around(*inside, *outside), picture())
    assert held.tolist() == [True] * len(inside) + [False] * len(outside)


def test_another_resolution_does_not_move_the_zone() -> None:
    for width, height in ((640, 360), (1920, 1080), (480, 640)):
        boxes = boxes_around((0.3, 0.3), (0.6, 0.6), width=width, height=height)
        assert Zone(HOOK).holds(boxes, picture(width, height)).tolist() == [True, False]


def test_no_face_is_in_no_zone() -> None:
    assert Zone(SQUARE).holds(np.zeros((0, 4), np.float32), picture()).shape == (0,)


def test_the_share_of_the_picture_is_the_polygons_own() -> None:
    assert Zone(SQUARE).share == pytest.approx(0.36)
    assert Zone(HOOK).share == pytest.approx(0.8 * 0.3 + 0.3 * 0.5)
    assert Zone(HOOK[::-1]).share == pytest.approx(0.39)
    assert Zone(((0, 0), (1, 0), (1, 1))).share == pytest.approx(0.5)


def test_what_is_searched_is_as_wide_and_high_as_the_zone_with_a_margin_and_ends_at_the_picture() -> None:
    margin = MARGIN * 1000
    assert Zone(SQUARE).searched(picture()) == Area(int(200 - margin), int(100 - margin), 860, 460)
    assert Zone(HOOK).searched(picture()) == Area(40, 0, 960, 500)
    assert Zone(((0, 0), (1, 0), (1, 1), (0, 1))).searched(picture(1001, 501)) == Area(0, 0, 1001, 501)
    for width, height in ((1919, 1079), (641, 479), (33, 17)):
        area = Zone(SQUARE).searched(picture(width, height))
        assert (area.left % 2, area.top % 2) == (0, 0)


@pytest.mark.parametrize(
    ("corners", "told"),
    [
        ((), "has 0 corners"),
        (SQUARE[:2], "has 2 corners"),
        (((0.5, 0.5),) * 65, "has 65 corners"),
        ((*SQUARE[:2], (0.8, 1.2), SQUARE[3]), r"has corner 3 outside the picture, at \[0\.8, 1\.2\]"),
        ((*SQUARE[:3], (-0.01, 0.8)), "has corner 4 outside the picture"),
        (((640, 360), *SQUARE[1:]), "has corner 1 outside the picture"),
        ((SQUARE[0], (math.nan, 0.2), *SQUARE[2:]), "has corner 2 outside the picture"),
        ((*SQUARE, SQUARE[3]), "has corners 4 and 5 in the same place"),
        ((*SQUARE, SQUARE[0]), "has corners 5 and 1 in the same place"),
        ((SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]), "crosses itself: the side after corner 1 .* after corner 3"),
        (((0.1, 0.1), (0.9, 0.1), (0.3, 0.1), (0.3, 0.9)), "crosses itself: the side after corner 1 .* corner 2"),
        (((0.1, 0.1), (0.5, 0.5), (0.9, 0.9)), "crosses itself"),
        (((0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.5, 0.1), (0.2, 0.9)), "crosses itself"),
        (((0.1, 0.1), (0.12, 0.1), (0.12, 0.12), (0.1, 0.12)), r"covers less than 0\.1 % of the picture"),
    ],
)
def test_what_is_no_zone_is_refused_with_what_is_wrong(corners: tuple[Corner, ...], told: str) -> None:
    with pytest.raises(ValueError, match=f"^the zone {told}"):
        Zone(corners)


@pytest.mark.parametrize(
    "corners",
    [
        ((0, 0), (1, 0), (1, 1), (0, 1)),
        ((0, 0), (0.5, 0), (1, 0), (1, 1)),  # a corner on a straight side
        ((0.5, 0.1), (0.9, 0.9), (0.5, 0.5), (0.1, 0.9)),  # an arrowhead
    ],
)
def test_polygons_of_all_forms_are_zones(corners: tuple[Corner, ...]) -> None:
    assert Zone(corners).share > 0


def configured(folder: Path, zone: str) -> Path:
    camera = {"id": "gate", "source": "rtsp://192.0.2.10/", "zone": yaml.safe_load(zone)}
    return written(folder, {**GOOD, "camera": camera})


def test_a_zone_in_the_configuration_is_read(tmp_path: Path) -> None:
    config = load_config(configured(tmp_path, "[[0, 0.4], [1, 0.25], [1, 1], [0, 1]]"))
    assert config.camera.zone == ((0, 0.4), (1, 0.25), (1, 1), (0, 1))


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("[[0, 0], [1, 0]]", "the zone has 2 corners: a polygon has 3, and at most 64"),
        ("[]", "the zone has 0 corners"),
        ("[[0, 0], [1920, 0], [1920, 1080]]", r"corner 2 outside the picture, at \[1920, 0\]"),
        ("[[0, 0], [1, 1], [1, 0], [0, 1]]", "the zone crosses itself"),
        ("[[0, 0], [1, 0], [1]]", r"length 2, got 1 - at `\$\.camera\.zone"),
        ("everywhere", r"Expected `array.* - at `\$\.camera\.zone"),
    ],
)
def test_a_zone_in_the_configuration_that_is_none_is_one_clear_line(tmp_path: Path, zone: str, told: str) -> None:
    with pytest.raises(OperatorError, match=told) as trouble:
        load_config(configured(tmp_path, zone))
    assert "`$.camera" in str(trouble.value)
    assert "\n" not in str(trouble.value)
