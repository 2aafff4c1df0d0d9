"""Facts about the two public models, and that their faces and crops are those that were measured."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from edge.faces.align import CHIP, align
from edge.faces.decoding import STRIDES
from edge.faces.detect import Detector, Faces
from edge.faces.embed import Embedder, open_embedder
from edge.faces.registry import Task
from edge.faces.runtime import open_session, read_model
from tests.edge.faces.conftest import Public
from tests.edge.faces.making import chips

Image = NDArray[np.uint8]
PAIRS = 100


def test_the_detector_takes_any_multiple_of_32_and_gives_four_outputs_at_each_stride(public: Public) -> None:
    session = open_session(public.cards(Task.DETECT)[0], public.store, public.settings)
    for height, width in ((64, 96), (384, 640)):
        results = session.run(np.zeros((1, 3, height, width), np.float32))
        shapes = {name: result.shape for name, result in zip(session.outputs, results, strict=True)}
        for stride in STRIDES:
            cells = height // stride * (width // stride)
            for part, numbers in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
                assert shapes[f"{part}_{stride}"] == (1, cells, numbers)


def test_the_published_embedder_is_fixed_to_one_picture_and_ours_takes_sixteen(public: Public) -> None:
    card = public.cards(Task.EMBED)[0]
    published = ort.InferenceSession(public.store.path(card), providers=["CPUExecutionProvider"])
    assert published.get_inputs()[0].shape == [1, 3, 112, 112]
    assert public.embedder().embed(chips(16)).shape == (16, 128)


def test_its_raw_output_is_not_normalised_so_we_do(public: Public) -> None:
    card = public.cards(Task.EMBED)[0]
    raw = open_session(card, public.store, public.settings).run(public.embedder().as_input(chips(1)))[0]
    assert abs(float(np.linalg.norm(raw)) - 1) > 0.1
    np.testing.assert_allclose(np.linalg.norm(public.embedder().embed(chips(3)), axis=1), 1, rtol=1e-5)


def test_a_template_does_not_depend_on_who_else_is_in_the_batch(public: Public) -> None:
    embedder, four = public.embedder(), chips(4)
    together = embedder.embed(four)
    alone = np.concatenate([embedder.embed(four[i : i + 1]) for i in range(4)])
    assert np.einsum("nd,nd->n", together, alone).min() > 0.99999


def test_freeing_the_batch_does_not_change_what_the_published_file_says(public: Public) -> None:
    card = public.cards(Task.EMBED)[0]
    array = public.embedder().as_input(chips(1))
    models = (public.store.path(card).read_bytes(), read_model(card, public.store))
    outputs = [_first(model, array) for model in models]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)


def _first(model: bytes, array: NDArray[np.generic]) -> NDArray[np.float32]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: array})[0])


def test_nobody_is_found_in_a_grey_wall(public: Public) -> None:
    assert len(public.detector().detect(np.full((240, 320, 3), 128, np.uint8))) == 0


def read(path: Path) -> Image:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def middle(faces: Faces, image: Image) -> int:
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    return int(np.linalg.norm(centres - np.array(image.shape[1::-1]) / 2, axis=1).argmin())


def first_photographs(people: Path, count: int) -> list[Path]:
    return [min(folder.iterdir()) for folder in sorted(people.iterdir())[:count]]


def test_landmarks_come_as_viewers_left_eye_right_eye_nose_and_mouth_corners_inside_the_box(
    public: Public, people: Path
) -> None:
    detector = public.detector()
    for path in first_photographs(people, 12):
        image = read(path)
        faces = detector.detect(image)
        chosen = middle(faces, image)
        right, left, nose, mouth_right, mouth_left = faces.landmarks[chosen]
        assert right[0] < left[0]
        assert mouth_right[0] < mouth_left[0]
        assert max(right[1], left[1]) < nose[1] < min(mouth_right[1], mouth_left[1])
        box = faces.boxes[chosen]
        assert np.all(faces.landmarks[chosen] > box[:2] - 5)
        assert np.all(faces.landmarks[chosen] < box[:2] + box[2:] + 5)


def test_a_moved_picture_moves_its_faces_as_much(public: Public, people: Path) -> None:
    detector = public.detector()
    for path in first_photographs(people, 6):
        image = read(path)
        moved = np.zeros((image.shape[0] + 64, image.shape[1] + 96, 3), np.uint8)
        moved[32 : 32 + image.shape[0], 64 : 64 + image.shape[1]] = image
        here, there = detector.detect(image), detector.detect(moved)
        shift = there.landmarks[middle(there, moved[:, 32:])] - here.landmarks[middle(here, image)]
        np.testing.assert_allclose(shift.mean(axis=0), [64, 32], atol=2)


def templates_of(public: Public, embedder: Embedder, paths: list[Path]) -> NDArray[np.float32]:
    detector = public.detector()
    return embedder.embed(np.stack([_crop(detector, path, align_face) for path in paths]))


def test_two_photographs_of_one_person_are_nearer_than_those_of_two(public: Public, people: Path) -> None:
    several = [sorted(folder.iterdir())[:2] for folder in sorted(people.iterdir()) if len(list(folder.iterdir())) > 1]
    templates = templates_of(public, public.embedder(), [path for two in several[:10] for path in two])
    cosines = templates @ templates.T
    person = np.arange(20) // 2
    mated = cosines[(person[:, None] == person[None]) & ~np.eye(20, dtype=bool)]
    strangers = cosines[person[:, None] != person[None]]
    assert np.median(mated) > 0.5
    assert strangers.max() < 0.4
    assert abs(float(strangers.mean())) < 0.15


def test_int8_templates_are_near_those_of_the_model_it_was_made_from(public: Public, people: Path) -> None:
    first, *others = public.cards(Task.EMBED)
    made = [card for card in others if card.made_from == first.sha256 and public.store.holds(card)]
    if not made:
        pytest.skip("no int8 form has been made here: sightline models quantise --faces DIR")
    paths = first_photographs(people, 16)
    small = open_embedder(made[0], public.store, public.settings)
    cosines = np.einsum(
        "nd,nd->n", templates_of(public, public.embedder(), paths), templates_of(public, small, paths)
    )
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97


@pytest.mark.slow
def test_right_crops_tell_people_apart_and_crops_padded_by_a_quarter_do_so_worse(
    public: Public, people: Path
) -> None:
    with (people.parent / "pairs-dev.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = [row for flag in "10" for row in [row for row in rows if row["mated"] == flag][:PAIRS]]
    right = _accuracy(public, people, pairs, align_face)
    padded = _accuracy(public, people, pairs, padded_box)
    assert right >= 0.97
    assert padded < right - 0.02


def align_face(image: Image, faces: Faces, index: int) -> Image:
    return align(image, faces.landmarks[index])


def padded_box(image: Image, faces: Faces, index: int) -> Image:
    left, top, width, height = faces.boxes[index]
    low = np.maximum([left - width / 4, top - height / 4], 0).astype(int)
    high = np.array([left + 1.25 * width, top + 1.25 * height]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    return np.asarray(cv2.resize(part, (CHIP, CHIP), interpolation=cv2.INTER_AREA), np.uint8)


def _accuracy(
    public: Public, people: Path, pairs: list[dict[str, str]], crop: Callable[[Image, Faces, int], Image]
) -> float:
    """Return the best accuracy that any threshold reaches."""
    names = sorted({row[side] for row in pairs for side in "ab"})
    detector, embedder = public.detector(), public.embedder()
    cut = np.stack([_crop(detector, people / name, crop) for name in names])
    templates = np.concatenate([embedder.embed(cut[i : i + 16]) for i in range(0, len(cut), 16)])
    row_of = {name: i for i, name in enumerate(names)}
    scores = np.array([templates[row_of[row["a"]]] @ templates[row_of[row["b"]]] for row in pairs])
    mated = np.array([row["mated"] == "1" for row in pairs])
    return max(float(((scores >= threshold) == mated).mean()) for threshold in scores)


def _crop(detector: Detector, path: Path, crop: Callable[[Image, Faces, int], Image]) -> Image:
    image = read(path)
    faces = detector.detect(image)
    return crop(image, faces, middle(faces, image))
