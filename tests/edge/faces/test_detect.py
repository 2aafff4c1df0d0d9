import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import OperatorError
from edge.faces.decoding import STRIDES
from edge.faces.detect import MOST_FINDS, Detector, Faces, open_detector
from edge.faces.registry import Input, ModelCard, Task
from tests.edge.faces.conftest import Public
from tests.edge.faces.making import Handmade

CARD = ModelCard(
    task=Task.DETECT,
    file="handmade.onnx",
    sha256="0" * 64,
    licence="",
    training_data="",
    input=Input(layout="NCHW", colour="BGR", divide_by=1, mean=(0, 0, 0), std=(1, 1, 1), multiple_of=32),
    decode="yunet",
)


def silence(height: int, width: int) -> dict[str, NDArray[np.float32]]:
    """Return a detector's outputs for a picture of this size in which it sees nothing."""
    outputs: dict[str, NDArray[np.float32]] = {}
    for part, numbers in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in STRIDES:
            outputs[f"{part}_{stride}"] = np.zeros((1, height // stride * (width // stride), numbers), np.float32)
    return outputs


def place(outputs: dict[str, NDArray[np.float32]], stride: int, cell: int, *, cls: float, obj: float) -> None:
    """Put a face into one cell: centre a quarter stride right of the prior, half down; two by three strides."""
    outputs[f"cls_{stride}"][0, cell] = cls
    outputs[f"obj_{stride}"][0, cell] = obj
    outputs[f"bbox_{stride}"][0, cell] = [0.25, 0.5, math.log(2), math.log(3)]
    outputs[f"kps_{stride}"][0, cell] = np.arange(10) / 10


def black(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("stride", STRIDES)
def test_a_prior_lies_at_its_column_and_row_times_the_stride_without_half_an_offset(stride: int) -> None:
    outputs = silence(128, 192)
    columns, row, column = 192 // stride, 2, 3
    place(outputs, stride, row * columns + column, cls=1, obj=1)
    faces = Detector(CARD, Handmade(outputs)).detect(black(128, 192))
    centre = np.array([(column + 0.25) * stride, (row + 0.5) * stride])
    size = np.array([2 * stride, 3 * stride])
    np.testing.assert_allclose(faces.boxes, [[*(centre - size / 2), *size]], rtol=1e-5)
    points = np.arange(10).reshape(5, 2) / 10 * stride + [column * stride, row * stride]
    np.testing.assert_allclose(faces.landmarks[0], points, rtol=1e-5)


def test_a_picture_that_sets_off_every_cell_gives_the_best_finds_and_no_more() -> None:
    outputs = silence(640, 640)
    cells = outputs["cls_8"].shape[1]
    outputs["cls_8"][0, :, 0], outputs["obj_8"][0, :, 0] = np.linspace(0.7, 1, cells), 1
    outputs["bbox_8"][0, :, 2:] = -1  # smaller than a cell: none overlaps another
    faces = Detector(CARD, Handmade(outputs)).detect(black(640, 640))
    assert cells > MOST_FINDS == len(faces)
    assert faces.scores[-1] > math.sqrt(0.7 + 0.3 * (cells - MOST_FINDS - 2) / cells)


def test_the_score_is_the_root_of_class_times_objectness() -> None:
    outputs = silence(64, 64)
    place(outputs, 8, 9, cls=0.9, obj=0.5)
    faces = Detector(CARD, Handmade(outputs)).detect(black(64, 64))
    np.testing.assert_allclose(faces.scores, [math.sqrt(0.45)], rtol=1e-6)


def test_a_score_under_the_cards_threshold_is_no_face() -> None:
    outputs = silence(64, 64)
    place(outputs, 8, 9, cls=0.6, obj=0.59)
    assert len(Detector(CARD, Handmade(outputs)).detect(black(64, 64))) == 0


def test_of_two_boxes_on_one_face_the_better_stays() -> None:
    outputs = silence(64, 64)
    place(outputs, 16, 5, cls=0.8, obj=0.8)
    place(outputs, 16, 6, cls=0.9, obj=0.9)
    outputs["bbox_16"][0, 5, 0] += 0.9  # nearly where the other is
    faces = Detector(CARD, Handmade(outputs)).detect(black(64, 64))
    np.testing.assert_allclose(faces.scores, [0.9], rtol=1e-6)


def test_faces_of_all_strides_come_best_first() -> None:
    outputs = silence(256, 256)
    for stride, cell, score in ((8, 0, 0.7), (16, 90, 0.95), (32, 60, 0.8)):
        place(outputs, stride, cell, cls=score, obj=score)
    faces = Detector(CARD, Handmade(outputs)).detect(black(256, 256))
    np.testing.assert_allclose(faces.scores, [0.95, 0.8, 0.7], rtol=1e-6)


def test_a_picture_is_padded_right_and_bottom_to_multiples_of_32() -> None:
    session = Handmade(silence(64, 96))
    picture = np.random.default_rng(0).integers(1, 255, (50, 70, 3), np.uint8)
    Detector(CARD, session).detect(picture)
    assert session.given.shape == (1, 3, 64, 96)
    assert session.given.dtype == np.float32
    np.testing.assert_array_equal(session.given[0, :, :50, :70], picture.transpose(2, 0, 1))  # BGR, 0..255
    assert not session.given[0, :, 50:].any()
    assert not session.given[0, :, :, 70:].any()


def test_a_shrunk_search_gives_faces_in_pixels_of_the_picture() -> None:
    outputs = silence(64, 128)
    place(outputs, 8, 0, cls=1, obj=1)
    faces = Detector(CARD, Handmade(outputs)).detect(black(256, 512), max_side=128)
    np.testing.assert_allclose(faces.boxes, [[(2 - 8) * 4, (4 - 12) * 4, 64, 96]], rtol=1e-5)
    np.testing.assert_allclose(faces.landmarks[0, 1], [0.2 * 8 * 4, 0.3 * 8 * 4], rtol=1e-5)


def test_a_picture_smaller_than_the_search_is_not_enlarged() -> None:
    session = Handmade(silence(32, 64))
    Detector(CARD, session).detect(black(32, 64), max_side=1280)
    assert session.given.shape == (1, 3, 32, 64)


def test_nobody_is_a_valid_answer() -> None:
    faces = Detector(CARD, Handmade(silence(64, 64))).detect(black(64, 64))
    assert (faces.boxes.shape, faces.landmarks.shape, len(faces)) == ((0, 4), (0, 5, 2), 0)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), np.float32)],
    ids=["grey", "four channels", "float"],
)
def test_what_is_no_bgr_picture_is_refused_with_its_shape(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        Detector(CARD, Handmade(silence(64, 64))).detect(picture)


def test_faces_whose_arrays_do_not_fit_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"need shapes .* got"):
        Faces(np.zeros((2, 4), np.float32), np.zeros((1, 5, 2), np.float32), np.zeros(2, np.float32))


def test_an_embedder_does_not_open_as_a_detector(public: Public) -> None:
    with pytest.raises(OperatorError, match="has not the outputs of a face detector"):
        open_detector(public.cards(Task.EMBED)[0], public.store, public.settings)
