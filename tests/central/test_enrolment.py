import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from central.enrolment import Enrolment, Outcome, PhotoReport, dominant, photographs
from central.pictures import encode
from central.store.state import Store
from edge.errors import OperatorError
from edge.faces.align import ARCFACE_112
from edge.faces.detect import Faces
from edge.faces.registry import ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from tests.central.stand_ins import NOON_MS, Image, PatchEmbedder, PlantedDetector

SHARED = Path(os.environ.get("SIGHTLINE_SHARED", Path(__file__).resolve().parents[3] / "shared"))

ONE_FACE = [(300.0, 200.0, 120.0)]


def scene(seed: int = 1, width: int = 800, height: int = 600) -> Image:
    """Return a picture with enough detail to pass for a sharp one."""
    noise = np.random.default_rng(seed).integers(0, 255, (height // 6, width // 6, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def enrol(
    store: Store,
    path: Path,
    name: str | None = "Ada",
    faces: Sequence[tuple[float, float, float]] = (),
    score: float = 0.9,
) -> list[PhotoReport]:
    detector = PlantedDetector(faces or ONE_FACE, score)
    return list(Enrolment(store, detector, PatchEmbedder(), lambda: NOON_MS).enrol(photographs(path, name)))


def photo(path: Path, image: Image | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(scene() if image is None else image))
    return path


def test_a_photograph_of_one_person_is_enrolled(store: Store, tmp_path: Path) -> None:
    (report,) = enrol(store, photo(tmp_path / "ada.jpg"))
    assert report.outcome is Outcome.ENROLLED, report.detail
    assert store.entries.counts() == (1, 1)
    face = store.entries.face(store.entries.all().ids[0])
    crop = cv2.imdecode(np.frombuffer(face.crop, np.uint8), cv2.IMREAD_COLOR)
    assert crop is not None
    assert crop.shape[:2] == (264, 264), "the face with surroundings, as the box cuts its probes"
    assert np.all((face.landmarks > 60) & (face.landmarks < 200))


def test_a_folder_of_folders_is_one_entry_for_each_person(store: Store, tmp_path: Path) -> None:
    for number, name in enumerate(("Ada/1.jpg", "Ada/2.JPG", "Ben/1.jpeg", ".hidden/x.jpg", "Ben/notes.txt")):
        photo(tmp_path / "people" / name, scene(number))
    reports = enrol(store, tmp_path / "people", name=None)
    assert [(report.name, report.outcome) for report in reports] == [
        ("Ada", Outcome.ENROLLED),
        ("Ada", Outcome.ENROLLED),
        ("Ben", Outcome.ENROLLED),
    ]
    assert store.entries.counts() == (2, 3)


def test_a_folder_with_a_name_is_one_person(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "ada" / f"{number}.png", scene(number))
    enrol(store, tmp_path / "ada", "Ada")
    assert store.entries.counts() == (1, 3)


def test_the_same_photograph_twice_is_one_reference(store: Store, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    outcomes = [report.outcome for report in enrol(store, tmp_path, "Ada")]
    assert outcomes == [Outcome.ENROLLED, Outcome.ALREADY_ENROLLED]
    assert not Outcome.ALREADY_ENROLLED.refused


def test_a_photograph_enrolled_as_somebody_else_is_refused(store: Store, tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg")
    enrol(store, path, "Ada")
    (report,) = enrol(store, path, "Ben")
    assert report.outcome is Outcome.ENROLLED_AS_ANOTHER
    assert report.outcome.refused
    assert store.entries.counts() == (1, 1)


@pytest.mark.parametrize(
    ("outcome", "faces", "score", "image"),
    [
        (Outcome.SEVERAL_FACES, [(100.0, 200.0, 120.0), (500.0, 200.0, 120.0)], 0.9, None),
        (Outcome.TOO_SMALL, [(300.0, 200.0, 40.0)], 0.9, None),
        (Outcome.DOUBTFUL, ONE_FACE, 0.62, None),
        (Outcome.BLURRED, ONE_FACE, 0.9, cv2.GaussianBlur(scene(), (0, 0), 9)),
        (Outcome.BADLY_LIT, ONE_FACE, 0.9, np.where(scene()[..., [0, 0, 0]] > 127, 255, 0).astype(np.uint8)),
    ],
)
def test_a_poor_photograph_is_refused_with_its_reason(
    store: Store,
    tmp_path: Path,
    outcome: Outcome,
    faces: Sequence[tuple[float, float, float]],
    score: float,
    image: Image,
) -> None:
    (report,) = enrol(store, photo(tmp_path / "poor.jpg", image), faces=faces, score=score)
    assert (report.outcome, report.outcome.refused) == (outcome, True), report.detail
    assert store.entries.counts() == (0, 0), "nobody is put on the list without a reference"


def test_a_photograph_without_a_face_is_refused_after_looking_three_ways(store: Store, tmp_path: Path) -> None:
    detector = PlantedDetector()
    wanted = photographs(photo(tmp_path / "wall.jpg"), "Ada")
    (report,) = Enrolment(store, detector, PatchEmbedder(), lambda: NOON_MS).enrol(wanted)
    assert report.outcome is Outcome.NO_FACE
    assert detector.sizes == [(800, 600), (800, 600), (1600, 1200)], "small, large, and with margins"


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff", b"GIF89a" + bytes(40)])
def test_a_file_that_is_no_picture_is_refused(store: Store, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    (report,) = enrol(store, path)
    assert report.outcome is Outcome.UNREADABLE


def test_a_poor_photograph_among_good_ones_does_not_stop_them(store: Store, tmp_path: Path) -> None:
    photo(tmp_path / "1.jpg", scene(1))
    (tmp_path / "2.jpg").write_bytes(b"broken")
    photo(tmp_path / "3.jpg", scene(3))
    assert [report.outcome.refused for report in enrol(store, tmp_path)] == [False, True, False]


@pytest.mark.parametrize(
    ("case", "make", "name", "message"),
    [
        ("nothing there", lambda folder: folder / "absent", "Ada", "there is no"),
        (
            "a photograph of nobody",
            lambda folder: photo(folder / "a.jpg"),
            None,
            "is one photograph; whose?; add --name",
        ),
        (
            "a folder of one person",
            lambda folder: photo(folder / "p" / "a.jpg").parent,
            None,
            "one person? add --name",
        ),
        ("an empty folder", lambda folder: folder, None, "no photograph"),
        ("an empty name", lambda folder: photo(folder / "a.jpg"), " ", "a name is 1 to 200 printable characters"),
        ("a name with a line feed", lambda folder: photo(folder / "a.jpg"), "A\nB", "a name is 1 to 200"),
    ],
)
def test_what_cannot_be_meant_is_refused_as_a_whole(
    tmp_path: Path, case: str, make: object, name: str | None, message: str
) -> None:
    assert callable(make)
    with pytest.raises(OperatorError) as caught:
        photographs(make(tmp_path), name)
    assert message in str(caught.value), case


@pytest.mark.parametrize(
    ("case", "faces", "meant"),
    [
        ("one face", [(0, 0, 50)], 0),
        ("a bystander of a third of the area behind", [(100, 100, 50), (10, 10, 29)], 0),
        ("two alike", [(40, 90, 50), (160, 90, 50)], None),
        ("the larger one at the edge, a small one in the middle", [(0, 0, 90), (110, 110, 30)], None),
        ("framed on one, others of two thirds at the edges", [(100, 100, 50), (0, 100, 41), (209, 100, 41)], 0),
        ("three alike in a row", [(100, 100, 50), (10, 100, 50), (190, 100, 50)], None),
    ],
)
def test_among_several_faces_only_one_beyond_doubt_is_taken(
    case: str, faces: list[tuple[float, float, float]], meant: int | None
) -> None:
    boxes = np.array([[x, y, side, side] for x, y, side in faces], np.float32)
    landmarks = np.repeat(ARCFACE_112[None], len(faces), axis=0)
    assert dominant(Faces(boxes, landmarks, np.full(len(faces), 0.9, np.float32)), 250, 250) == meant, case


def test_with_the_real_models_a_press_photograph_is_enrolled_and_found_again(store: Store) -> None:
    faces = SHARED / "faces" / "lfw-dev"
    if not faces.is_dir():
        pytest.skip(f"no development photographs at {faces}")
    registry, models = load_registry(), ModelStore.default()
    cards = registry.wanted("", Task.DETECT, models), registry.wanted("", Task.EMBED, models)
    try:
        for card in cards:
            models.path(card)
    except OperatorError as error:
        pytest.skip(str(error))
    from edge.faces.detect import open_detector
    from edge.faces.embed import open_embedder

    settings = RuntimeSettings(threads=1)
    detector, embedder = open_detector(cards[0], models, settings), open_embedder(cards[1], models, settings)
    people = [folder for folder in sorted(faces.iterdir()) if len(list(folder.glob("*.jpg"))) >= 2][:8]
    for person in people:
        wanted = photographs(person, person.name)[:2]
        list(Enrolment(store, detector, embedder, lambda: NOON_MS).enrol(wanted))
    enrolled = store.entries.all()
    assert len(enrolled) >= 12
    templates = np.stack(enrolled.templates)
    same = np.array([[a == b for a in enrolled.entries] for b in enrolled.entries]) & ~np.eye(
        len(enrolled), dtype=bool
    )
    scores = templates @ templates.T
    assert np.median(scores[same]) > 0.5
    assert np.median(scores[~same & ~np.eye(len(enrolled), dtype=bool)]) < 0.2
