import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.faces.align import ARCFACE_112, CHIP, align

Floats = NDArray[np.float32]


def placed(scale: float, degrees: float, shift: tuple[float, float]) -> Floats:
    """Return ArcFace's points enlarged, turned about the chip's middle, and moved."""
    turn = math.radians(degrees)
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return np.asarray((ARCFACE_112 - CHIP / 2) @ linear.T + shift, np.float32)


def dotted(points: Floats, radius: float, height: int, width: int) -> list[NDArray[np.uint8]]:
    """Return a picture for each point, black but for a soft spot there."""
    rows, columns = np.mgrid[:height, :width]
    return [
        np.repeat(
            (255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2)))[..., None], 3, axis=2
        ).astype(np.uint8)
        for x, y in points
    ]


def centroid(chip: NDArray[np.uint8]) -> Floats:
    weights = chip[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: chip.shape[0], : chip.shape[1]]
    return np.array([(weights * columns).sum(), (weights * rows).sum()], np.float32) / np.float32(weights.sum())


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"),
    [(1, 0, (60, 60)), (0.5, 20, (200, 90)), (1.7, -35, (250, 200)), (3.1, 10, (300, 300)), (5.3, 0, (330.3, 290.7))],
)
def test_the_five_points_land_where_arcface_has_them(
    scale: float, degrees: float, shift: tuple[float, float]
) -> None:
    landmarks = placed(scale, degrees, shift)
    for picture, wanted in zip(dotted(landmarks, 2.5 * scale, 600, 640), ARCFACE_112, strict=True):
        chip = align(picture, landmarks)
        assert chip.shape == (CHIP, CHIP, 3)
        assert chip.dtype == np.uint8
        np.testing.assert_allclose(centroid(chip), wanted, atol=0.35)


def test_a_face_much_larger_than_the_chip_is_averaged_not_sampled() -> None:
    scale = 6.0
    landmarks = placed(scale, 0, (400, 400))
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255  # one pixel wide: grey when averaged, black and white when sampled
    chip = align(stripes, landmarks)[10:100, 10:100]
    assert abs(float(chip.mean()) - 127.5) < 4
    assert float(chip.std()) < 25


def test_the_same_face_large_and_small_gives_nearly_the_same_chip() -> None:
    draw = np.random.default_rng(3)
    small = cv2.GaussianBlur(draw.integers(0, 255, (150, 150, 3), np.uint8), (0, 0), 3)
    large = cv2.resize(small, (900, 900), interpolation=cv2.INTER_CUBIC)
    landmarks = placed(1, 5, (75, 75))
    one = align(np.asarray(small, np.uint8), landmarks).astype(int)
    other = align(np.asarray(large, np.uint8), (landmarks + 0.5) * 6 - 0.5).astype(int)
    assert np.abs(one - other).mean() < 1.5


def test_a_face_partly_outside_the_picture_is_filled_with_black() -> None:
    chip = align(np.full((100, 100, 3), 200, np.uint8), placed(1, 0, (0, 50)))
    assert not chip[:, :40].any()
    assert chip[50, 100].tolist() == [200, 200, 200]


@pytest.mark.parametrize("shift", [(-3000, 50), (50, 5000)])
def test_landmarks_far_outside_the_picture_give_a_black_chip_and_no_crash(shift: tuple[float, float]) -> None:
    for scale in (1.0, 8.0):
        assert not align(np.full((100, 100, 3), 200, np.uint8), placed(scale, 0, shift)).any()
