import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.faces.align import ARCFACE_112, align
from edge.faces.pixels import BT601, BT709, BT2020, Area, Bgr, Colours, Image, Planes, whole

# How many pixels share a colour difference, across and down: 4:4:4, 4:2:2, 4:2:0.
SHARES = [(1, 1), (2, 1), (2, 2)]


def noise(seed: int, height: int, width: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def planes(width: int, height: int, shares: tuple[int, int] = (2, 2), colours: Colours = BT601) -> Planes:
    wide, high = -(-width // shares[0]), -(-height // shares[1])
    return Planes(noise(1, height, width), noise(2, high, wide), noise(3, high, wide), colours)


def one_colour(y: int, u: int, v: int, colours: Colours) -> list[int]:
    """Return the BGR of a picture of one colour."""
    flat = [np.full((4, 4), value, np.uint8) for value in (y, u, v)]
    shown = whole(Planes(flat[0], flat[1], flat[2], colours))
    assert np.ptp(shown, axis=(0, 1)).max() == 0
    return [int(value) for value in shown[0, 0]]


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("size", [(64, 48), (63, 47), (2, 3), (1, 1)])
def test_a_cut_out_is_the_same_part_of_the_whole_pixel_by_pixel(
    shares: tuple[int, int], size: tuple[int, int]
) -> None:
    width, height = size
    picture = planes(width, height, shares)
    shown = whole(picture)
    assert shown.shape == (height, width, 3)
    starts = [
        (left, top) for left, top in itertools.product((0, 1, 6, 31), (0, 1, 5)) if left < width and top < height
    ]
    for left, top in starts:
        for area in (Area(left, top, width, height), Area(left, top, min(width, left + 9), min(height, top + 4))):
            np.testing.assert_array_equal(
                picture.region(area), shown[area.top : area.bottom, area.left : area.right], str(area)
            )


@pytest.mark.parametrize("shares", SHARES)
def test_a_window_shows_what_the_picture_shows_there(shares: tuple[int, int]) -> None:
    picture = planes(64, 48, shares)
    window = picture.window(Area(10, 4, 51, 37))
    assert (window.width, window.height) == (41, 33)
    # Not at its very rim: there it does not know the colour beside it.
    np.testing.assert_array_equal(whole(window)[2:-2, 2:-2], whole(picture)[6:35, 12:49])
    assert np.shares_memory(window.y, picture.y)
    assert np.shares_memory(window.u, picture.u)


def test_a_window_that_would_cut_through_a_colour_difference_is_refused() -> None:
    with pytest.raises(ValueError, match="begins at even pixels"):
        planes(64, 48).window(Area(11, 4, 51, 37))


@pytest.mark.parametrize("shares", SHARES)
def test_a_picture_for_the_search_is_nearly_the_whole_one_shrunk(shares: tuple[int, int]) -> None:
    sharp = planes(640, 361, shares, BT709)
    y, u, v = (np.asarray(cv2.GaussianBlur(plane, (0, 0), 5), np.uint8) for plane in (sharp.y, sharp.u, sharp.v))
    picture = Planes(y, u, v, BT709)
    small = picture.shrunk(320)
    assert small.shape == (round(361 / 2), 320, 3)
    other = Bgr(whole(picture)).shrunk(320)
    assert np.abs(small.astype(int) - other).mean() < 0.8
    assert np.abs(small.astype(int) - other).max() <= 8


@pytest.mark.parametrize("picture", [planes(64, 48), Bgr(whole(planes(64, 48)))], ids=["planes", "BGR"])
def test_a_picture_is_never_enlarged_for_the_search(picture: Planes | Bgr) -> None:
    for max_side in (None, 64, 1280):
        np.testing.assert_array_equal(picture.shrunk(max_side), whole(picture))


# Y, U, V of pure colours by the recommendations' own tables, rounded.
@pytest.mark.parametrize(
    ("colours", "red", "green", "blue"),
    [
        (BT601, (81, 90, 240), (145, 54, 34), (41, 240, 110)),
        (BT709, (63, 102, 240), (173, 42, 26), (32, 240, 118)),
        (BT2020, (74, 97, 240), (164, 46, 25), (29, 240, 119)),
        (Colours(0.299, 0.114, full_range=True), (76, 85, 255), (150, 44, 21), (29, 255, 107)),
    ],
    ids=["601", "709", "2020", "601 full"],
)
def test_pure_colours_come_out_pure(
    colours: Colours, red: tuple[int, int, int], green: tuple[int, int, int], blue: tuple[int, int, int]
) -> None:
    for (y, u, v), shown in ((blue, (255, 0, 0)), (green, (0, 255, 0)), (red, (0, 0, 255))):
        assert one_colour(y, u, v, colours) == pytest.approx(shown, abs=3)


@pytest.mark.parametrize("colours", [BT601, BT709, BT2020], ids=["601", "709", "2020"])
def test_black_and_white_are_where_the_range_has_them(colours: Colours) -> None:
    assert [one_colour(y, 128, 128, colours)[0] for y in (0, 16, 126, 235, 255)] == [0, 0, 128, 255, 255]
    full = Colours(colours.red, colours.blue, full_range=True)
    assert [one_colour(y, 128, 128, full)[0] for y in (0, 16, 126, 235, 255)] == [0, 16, 126, 235, 255]


def test_planes_that_do_not_fit_each_other_are_refused_with_their_shapes() -> None:
    with pytest.raises(ValueError, match=r"planes of \(48, 64\) have u and v .* got \(24, 31\) \(24, 31\)"):
        Planes(noise(1, 48, 64), noise(2, 24, 31), noise(3, 24, 31), BT601)


def test_an_area_around_something_outside_the_picture_still_has_a_pixel() -> None:
    picture = planes(64, 48)
    for low, high in (([-50, -50], [-10, -9]), ([200, 10], [300, 20]), ([10, 70], [20, 90])):
        area = Area.around(np.array(low, float), np.array(high, float), picture)
        assert area.width >= 1
        assert area.height >= 1
        assert picture.region(area).shape == (area.height, area.width, 3)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.9, 4.7], ids=str)
def test_a_chip_from_planes_is_the_chip_from_the_whole_picture(scale: float) -> None:
    picture = planes(700, 560)
    landmarks: NDArray[np.float32] = np.asarray(ARCFACE_112 * scale + [60.3, 30.8], np.float32)
    np.testing.assert_array_equal(align(picture, landmarks), align(whole(picture), landmarks))


def test_a_chip_cut_by_the_edge_of_the_picture_is_black_there_from_planes_too() -> None:
    picture = planes(200, 160)
    for shift in ([-60, -30], [150, 120], [900, 20]):
        landmarks = np.asarray(ARCFACE_112 + np.array(shift), np.float32)
        np.testing.assert_array_equal(align(picture, landmarks), align(whole(picture), landmarks))
    assert not align(picture, np.asarray(ARCFACE_112 + np.array([900, 20]), np.float32)).any()
