"""Networks as they ship: bytes in, both file forms alike, and a wrong weight found out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.errors import IntegrityError, OperatorError
from edge.faces.detect import Detector, open_detector
from edge.faces.embed import open_embedder
from edge.faces.golden import SUFFIX
from edge.faces.registry import ModelCard, ModelStore, Task
from edge.faces.runtime import RuntimeSettings
from models.training.network.plan import Add, Conv, Plan
from models.training.network.quantised import Quantised
from models.training.ship import golden_pictures, make
from tests.edge.faces.making import Handmade, chips
from tests.models.network.making import drawn

SETTINGS = RuntimeSettings(threads=1)
ABOUT = {"licence": "Apache-2.0", "training_data": "none"}
EMBEDDER = Plan(
    (
        Conv("stem", "input", 16, 8, 8),
        Conv("a", "stem", 16, 3, 1, 1, relu=False),
        Add("b", "stem", "a"),
        Conv("c", "b", 32, 2, 2),
        Conv("d", "c", 32, 7, groups=32, relu=False),
        Conv("embedding", "d", 24, 1, relu=False),
    ),
    ("embedding",),
)


def head(stride: int, source: str) -> tuple[Conv, ...]:
    return (
        Conv(f"score_{stride}", source, 1, 1, relu=False),
        Conv(f"shape_{stride}", source, 14, 1, relu=False),
    )


DETECTOR = Plan(
    (
        Conv("s8", "input", 12, 8, 8),
        Conv("s16", "s8", 16, 2, 2),
        Conv("s32", "s16", 16, 2, 2),
        *head(8, "s8"),
        *head(16, "s16"),
        *head(32, "s32"),
    ),
    tuple(f"{part}_{stride}" for stride in (8, 16, 32) for part in ("score", "shape")),
)
PLANS = {"embed": EMBEDDER, "detect": DETECTOR}


@dataclass(frozen=True)
class Shipped:
    """A program's folder of models, and their cards."""

    cards: Mapping[str, ModelCard]
    store: ModelStore


def shipped(network: Quantised, task: str, folder: Path) -> Shipped:
    """Write a network as the recipes do."""
    made = make(network, name="tiny", task=task, pictures=golden_pictures(task), about=ABOUT)
    store = ModelStore(folder / "store", (), folder / "shipped")
    store.shipped.mkdir(parents=True)
    for name, data in made.files.items():
        (store.shipped / name).write_bytes(data)
    made.golden.save(store.shipped / f"tiny{SUFFIX}")
    cards = {
        name: msgspec.structs.replace(msgspec.convert(card, ModelCard), name=name)
        for name, card in made.cards.items()
    }
    return Shipped(cards, store)


@pytest.fixture(params=["tiny", "tiny-tflite"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_both_forms_of_an_embedder_make_the_same_templates_and_share_their_mark(tmp_path: Path) -> None:
    made = shipped(drawn(EMBEDDER), "embed", tmp_path)
    onnx, tflite = (open_embedder(card, made.store, SETTINGS) for card in made.cards.values())
    assert made.cards["tiny"].sha256 != made.cards["tiny-tflite"].sha256
    assert onnx.model_sha256 == tflite.model_sha256 == made.cards["tiny"].sha256
    one, other = onnx.embed(chips(5)), tflite.embed(chips(5))
    assert one.shape == (5, 24)
    assert np.einsum("nd,nd->n", one, other).min() > 0.999
    np.testing.assert_allclose(onnx.embed(chips(5)[:1]), one[:1], atol=1e-6)


def test_both_forms_of_a_detector_find_the_same_in_a_picture_of_any_size(tmp_path: Path) -> None:
    made = shipped(drawn(DETECTOR), "detect", tmp_path)
    one, other = (open_detector(card, made.store, SETTINGS) for card in made.cards.values())
    for height, width in ((96, 160), (100, 131), (33, 64)):
        picture = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
        here, there = one.detect(picture), other.detect(picture)
        assert len(here) > 0
        assert len(here) == len(there)
        np.testing.assert_allclose(here.scores, there.scores, atol=0.01)
        np.testing.assert_allclose(here.landmarks, there.landmarks, atol=0.5)


@pytest.mark.parametrize("task", PLANS)
def test_a_model_with_a_wrong_weight_is_refused_though_its_hash_is_registered(
    task: str, form: str, tmp_path: Path
) -> None:
    made = shipped(drawn(PLANS[task]), task, tmp_path)
    card = made.cards[form]
    weights = drawn(PLANS[task]).layers[PLANS[task].convolutions()[0].name].weight
    data = bytearray((made.store.shipped / card.file).read_bytes())
    layout = weights.transpose(0, 2, 3, 1) if card.file.endswith(".tflite") else weights
    at = data.find(layout.tobytes())
    assert at >= 0
    data[at : at + weights.size] = np.roll(layout, 1, axis=0).tobytes()
    (made.store.shipped / card.file).write_bytes(data)
    wrong = msgspec.structs.replace(card, sha256=hashlib.sha256(data).hexdigest())
    opened = open_detector if card.task is Task.DETECT else open_embedder
    with pytest.raises(IntegrityError, match=r"model tiny.* fails its golden test") as refused:
        opened(wrong, made.store, SETTINGS)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 5


def test_one_flipped_byte_of_a_weight_that_matters_is_enough(form: str, tmp_path: Path) -> None:
    network = drawn(EMBEDDER)
    made = shipped(network, "embed", tmp_path)
    card = made.cards[form]
    # the scale of the stem's brightest channel: four bytes of a float, of which the sign is one bit
    scale = network.layers["stem"].scale
    data = bytearray((made.store.shipped / card.file).read_bytes())
    at = data.find(scale.astype("<f4").tobytes())
    data[at + 3] ^= 0x01
    (made.store.shipped / card.file).write_bytes(data)
    wrong = msgspec.structs.replace(card, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(IntegrityError, match=r"golden|does not load"):
        open_embedder(wrong, made.store, SETTINGS)


@pytest.mark.parametrize("content", [b"", b"no such file", None], ids=["empty", "garbage", "missing"])
def test_a_golden_file_that_cannot_be_read_is_told_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    made = shipped(drawn(EMBEDDER), "embed", tmp_path)
    path = made.store.shipped / f"tiny{SUFFIX}"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"golden file .* cannot be read; install Sightline again"):
        open_embedder(made.cards["tiny"], made.store, SETTINGS)


def test_a_golden_file_of_another_network_is_no_proof(tmp_path: Path) -> None:
    made = shipped(drawn(EMBEDDER), "embed", tmp_path)
    other = shipped(drawn(DETECTOR), "detect", tmp_path / "other")
    golden = other.store.shipped / f"tiny{SUFFIX}"
    (made.store.shipped / golden.name).write_bytes(golden.read_bytes())
    with pytest.raises(IntegrityError, match="has no output"):
        open_embedder(made.cards["tiny"], made.store, SETTINGS)


def test_a_detector_without_its_outputs_is_refused(tmp_path: Path) -> None:
    made = shipped(drawn(DETECTOR), "detect", tmp_path)
    with pytest.raises(OperatorError, match="has not the outputs of a yunet detector"):
        open_detector(msgspec.structs.replace(made.cards["tiny"], decode="yunet"), made.store, SETTINGS)


def test_a_cell_says_where_a_face_is_from_its_own_middle_in_strides(tmp_path: Path) -> None:
    card = msgspec.structs.replace(
        shipped(drawn(DETECTOR), "detect", tmp_path).cards["tiny"], score_threshold=0.5, outputs="NCHW"
    )
    outputs = {
        f"{part}_{stride}": np.full((1, channels, 64 // stride, 96 // stride), fill, np.float32)
        for stride in (8, 16, 32)
        for part, channels, fill in (("score", 1, -9.0), ("shape", 14, 0.0))
    }
    row, column = 2, 3
    outputs["score_16"][0, 0, row, column] = np.log(0.8 / 0.2)
    told = outputs["shape_16"][0, :, row, column]
    told[:4] = 0.5, -0.25, np.log(2), np.log(3)
    told[4:] = np.arange(10) / 10
    channels_last = {name: np.ascontiguousarray(map_.transpose(0, 2, 3, 1)) for name, map_ in outputs.items()}
    for maps, layout in ((outputs, "NCHW"), (channels_last, "NHWC")):
        session = Handmade(maps)
        faces = Detector(msgspec.structs.replace(card, outputs=layout), session).detect(
            np.full((60, 90, 3), 7, np.uint8)
        )
        middle = np.array([(column + 0.5) * 16, (row + 0.5) * 16])
        assert len(faces) == 1
        np.testing.assert_allclose(faces.scores, [0.8], rtol=1e-5)
        size = np.array([32, 48])
        np.testing.assert_allclose(faces.boxes[0, :2], middle + np.array([8, -4]) - size / 2, atol=1e-4)
        np.testing.assert_allclose(faces.boxes[0, 2:], size, atol=1e-4)
        np.testing.assert_allclose(faces.landmarks[0], middle + np.arange(10).reshape(5, 2) / 10 * 16, atol=1e-4)
        assert session.given.dtype == np.uint8
        assert session.given.shape == (1, 64, 96, 3)
        assert session.given[0, 59, 89].tolist() == [7, 7, 7]
        assert not session.given[0, 60:].any()
        assert not session.given[0, :, 90:].any()


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("colour", ["BGR", "RGB"])
def test_bytes_go_in_as_they_are_in_the_order_that_the_card_says(layout: str, colour: str, tmp_path: Path) -> None:
    card = shipped(drawn(DETECTOR), "detect", tmp_path).cards["tiny"]
    card = msgspec.structs.replace(card, input=msgspec.structs.replace(card.input, layout=layout, colour=colour))
    maps = {
        f"{part}_{stride}": np.full((1, channels, 64 // stride, 64 // stride), -9, np.float32)
        for stride in (8, 16, 32)
        for part, channels in (("score", 1), ("shape", 14))
    }
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[..., 0] = 200
    session = Handmade(maps)
    Detector(card, session).detect(picture)
    planes = session.given[0] if layout == "NCHW" else session.given[0].transpose(2, 0, 1)
    assert session.given.dtype == np.uint8
    assert planes[:, 5, 5].tolist() == ([200, 0, 0] if colour == "BGR" else [0, 0, 200])


def test_an_output_that_is_no_number_or_of_another_shape_is_wrong_beyond_measure() -> None:
    made = make(drawn(EMBEDDER), name="tiny", task="embed", pictures=golden_pictures("embed"), about=ABOUT)
    expected = made.golden.expected["embedding"]
    assert made.golden.off({"embedding": expected}) == 0
    assert made.golden.off({"embedding": expected[:1]}) == float("inf")
    assert made.golden.off({"embedding": expected * np.float32(np.nan)}) == float("inf")
