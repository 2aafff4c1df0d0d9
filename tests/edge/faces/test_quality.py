import math
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.align import ARCFACE_112
from edge.faces.quality import Quality, assess

Floats = NDArray[np.float32]
# A head of five points, in eye distances: x right, y down, z towards the camera (nose before the eyes).
HEAD = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.57, 0.45], [-0.42, 1.16, 0.1], [0.42, 1.16, 0.1]])


def textured(seed: int = 0) -> NDArray[np.uint8]:
    """Return a chip with detail at several scales, as a lit face has."""
    draw = np.random.default_rng(seed)
    layers = [
        size**0.5
        * cv2.resize(draw.normal(size=(112 // size, 112 // size)), (112, 112), interpolation=cv2.INTER_CUBIC)
        for size in (2, 4, 8, 16)
    ]
    grey = np.sum(layers, axis=0)
    grey = 125 + 35 * (grey - grey.mean()) / grey.std()
    return np.asarray(np.repeat(grey[..., None], 3, axis=2).clip(0, 255), np.uint8)


def landmarks(*, eyes_px: float = 60, yaw: float = 0, pitch: float = 0, roll: float = 0) -> Floats:
    """Return the head's points in a picture, turned (yaw), nodded (pitch) and tilted (roll), in degrees."""
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    turn = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    nod = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    tilt = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return np.asarray((HEAD @ (tilt @ nod @ turn).T)[:, :2] * eyes_px + 200, np.float32)


def falls(qualities: list[float]) -> bool:
    return all(one > other for one, other in pairwise(qualities))


def test_a_sharp_large_level_and_lit_face_is_good() -> None:
    quality = assess(textured(), landmarks())
    assert quality.score > 0.5
    assert 0 <= quality.score <= 1


def test_quality_falls_with_blur() -> None:
    chip = textured()
    blurred = [np.asarray(cv2.GaussianBlur(chip, (0, 0), sigma), np.uint8) for sigma in (1.0, 2.0, 3.0, 5.0)]
    assert falls([assess(each, landmarks()).sharpness for each in blurred])
    assert falls([assess(each, landmarks()).score for each in blurred])


def test_quality_falls_with_the_size_between_the_eyes() -> None:
    qualities = [assess(textured(), landmarks(eyes_px=px)) for px in (30, 24, 16, 10, 5)]
    assert falls([quality.score for quality in qualities])
    np.testing.assert_allclose([quality.eyes_px for quality in qualities], [30, 24, 16, 10, 5], rtol=1e-4)


def test_beyond_the_size_that_is_enough_larger_is_not_better() -> None:
    assert assess(textured(), landmarks(eyes_px=60)).size == assess(textured(), landmarks(eyes_px=300)).size == 1


def test_quality_falls_as_a_head_turns_to_either_side() -> None:
    for side in (1, -1):
        assert falls([assess(textured(), landmarks(yaw=side * angle)).score for angle in (0, 15, 30, 45, 60)])


def test_quality_falls_as_a_head_nods_far_up_or_down() -> None:
    for way in (1, -1):
        assert falls([assess(textured(), landmarks(pitch=way * angle)).pose for angle in (10, 25, 40)])


def test_a_tilted_head_is_as_good_as_a_level_one() -> None:
    level = assess(textured(), landmarks()).pose
    assert all(abs(assess(textured(), landmarks(roll=angle)).pose - level) < 0.01 for angle in (-40, -15, 20, 45))


def test_a_dark_or_a_blown_out_face_is_worse_than_a_lit_one() -> None:
    chip, lit = textured().astype(np.float32), assess(textured(), landmarks())
    for wrong in (chip * 0.08, chip + 150, chip * 0.1 + 110):
        assert assess(wrong.clip(0, 255).astype(np.uint8), landmarks()).exposure < 0.7 * lit.exposure


def test_darkness_alone_is_not_taken_for_blur() -> None:
    chip = textured()
    dim = assess((chip * 0.5).astype(np.uint8), landmarks())
    assert abs(dim.sharpness - assess(chip, landmarks()).sharpness) < 0.25


def test_nonsense_gives_a_number_between_0_and_1() -> None:
    same, grey = np.zeros((5, 2), np.float32), np.full((112, 112, 3), 90, np.uint8)
    for quality in (assess(grey, same), assess(grey, ARCFACE_112[::-1].copy()), assess(textured(), -landmarks())):
        assert isinstance(quality, Quality)
        assert 0 <= quality.score <= 1
        assert math.isfinite(quality.score)
