"""Scenes to learn from say truly where faces are; here a face is a white square with a black frame."""

import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm", reason="needs models/training/requirements.txt")

from models.training.detector.labels import Labelled
from models.training.detector.mosaic import Scene, _merged, _paste
from models.training.detector.targets import targets_of

SIDE = 320


def photograph(*boxes: tuple[int, int, int, int]) -> Labelled:
    image = np.zeros((250, 250, 3), np.uint8)
    for left, top, width, height in boxes:
        cv2.rectangle(image, (left, top), (left + width - 1, top + height - 1), (255, 255, 255), -1)
    boxed = np.array(boxes, np.float32)
    landmarks = np.asarray(np.repeat((boxed[:, :2] + boxed[:, 2:] / 2)[:, None], 5, axis=1), np.float32)
    return Labelled(image, boxed, landmarks, np.ones(len(boxed), bool))


@pytest.mark.parametrize("zoom", [0.1, 0.3, 0.7, 1.0, 2.4])
def test_a_photograph_lies_where_its_labels_say_at_every_size(zoom: float) -> None:
    photo = photograph((100, 80, 50, 60))
    into = np.zeros((SIDE, SIDE, 3), np.uint8)
    matrix = np.array([[zoom, 0, 155.3 - 120 * zoom], [0, zoom, 152.8 - 110 * zoom]])
    reach = (matrix[:, 2], matrix[:, 2] + 250 * zoom)
    _merged(into, photo.image, np.ones((250, 250), np.float32), matrix, reach)
    weight = into[..., 0].astype(float)
    x, y = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    assert np.abs(found - (matrix[:, :2] @ [125, 110] + matrix[:, 2])).max() < 0.15


def test_a_face_that_an_outline_leaves_out_is_not_said_to_be_there() -> None:
    photo = photograph((85, 70, 80, 100), (2, 5, 30, 40))  # the second stands in the corner, behind
    for seed in range(60):
        scene = Scene(np.full((SIDE, SIDE, 3), 90, np.uint8))
        _paste(scene, photo, 60.0, np.random.default_rng(seed))
        for box in scene.boxes[scene.sure]:
            (left, top), (right, bottom) = np.clip(box[:2], 0, SIDE), np.clip(box[:2] + box[2:], 0, SIDE)
            part = scene.image[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
            assert (part > 200).mean() > 0.5, seed


def test_a_large_face_is_background_to_the_finest_stride_and_a_face_to_the_coarsest() -> None:
    box = np.array([[60, 40, 200, 240]], np.float32)
    points = np.repeat(np.array([[[160, 160]]], np.float32), 5, axis=1)
    fine = targets_of(box, points, np.array([True]), 8, (40, 40))
    coarse = targets_of(box, points, np.array([True]), 32, (10, 10))
    assert (fine.score == 0).all()
    assert (coarse.score == 1).any()


def test_what_a_cell_should_say_gives_the_face_back() -> None:
    box = np.array([[101, 83, 22, 28]], np.float32)
    points = np.array([[[105, 92], [117, 92], [111, 97], [106, 103], [116, 104]]], np.float32)
    meant = targets_of(box, points, np.array([True]), 8, (40, 40))
    row, column = np.argwhere(meant.score == 1)[0]
    cell, shape = (np.array([column, row]) + 0.5) * 8, meant.shape[:, row, column]
    assert np.allclose(cell + shape[:2] * 8, [112, 97], atol=1e-3)
    assert np.allclose(np.exp(shape[2:4]) * 8, [22, 28], atol=1e-3)
    assert np.allclose(cell + shape[4:].reshape(5, 2) * 8, points[0], atol=1e-3)


def test_a_face_nobody_is_sure_of_is_neither_face_nor_background() -> None:
    box = np.array([[100, 100, 24, 30]], np.float32)
    unsure = targets_of(box, np.zeros((1, 5, 2), np.float32), np.array([False]), 8, (40, 40))
    assert (unsure.score == -1).any()
    assert not (unsure.score == 1).any()
