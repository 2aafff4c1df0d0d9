"""A trained network made into what ships: both file forms, a golden file, and the cards for models.yaml.

    python -m models.training.ship --task embed --network RUN/embedder.npz
    python -m models.training.ship --task detect --network RUN/detector.npz

The golden pictures are of the people of models/sample, who do not exist. What they must give is what ONNX Runtime
gives here; the TensorFlow Lite form is written only if it says the same.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from edge.faces.golden import Golden
from edge.faces.onnx_session import OnnxSession
from edge.faces.runtime import TFLITE
from edge.faces.tflite_session import TfliteSession
from models.training.network import onnx_form, tflite_form
from models.training.network.quantised import Quantised, load

MODELS = Path(__file__).resolve().parents[1]
SHIPPED = MODELS / "shipped"
SAMPLE = MODELS / "sample" / "references"
TOLERANCE = 0.1
"""Of a template that is a cosine of .995. Between engines on processors with integer dot products the difference was
.03 at most; with the channels of the pictures in the wrong order it was .2 for the detector, .35 for the embedder."""
DETECTOR_SIDE = 160
EMBEDDER_SIDE = 112
COLOURS = {"detect": "BGR", "embed": "RGB"}
NAMES = {"detect": "sightline-detector", "embed": "sightline-embedder"}
_PHOTOGRAPHS = "a development half of Labeled Faces in the Wild, four fifths of its identities"
DATA = {
    "detect": f"{_PHOTOGRAPHS}, as found by yunet-n (Apache-2.0, trained on WIDER FACE)",
    "embed": f"{_PHOTOGRAPHS}, as seen by mobilefacenet (Apache-2.0, trained on refined MS-Celeb-1M, a set that its "
    "publisher has withdrawn)",
}


@dataclass(frozen=True)
class Made:
    """The files of one network by name, and its cards by the name of the model."""

    files: dict[str, bytes]
    golden: Golden
    cards: dict[str, dict[str, Any]]


def make(network: Quantised, *, name: str, task: str, pictures: NDArray[np.uint8], about: dict[str, Any]) -> Made:
    """Return both forms, the golden file and the cards; `pictures` (n,h,w,3) are golden, colours in its order.

    `about` goes into both cards: licence, training_data and, of a detector, its thresholds.
    """
    flat = task == "embed"
    size = (pictures.shape[1], pictures.shape[2])
    onnx = onnx_form.write(network, name=name, flat=flat)
    tflite = tflite_form.write(network, name=name, size=size, flat=flat)
    session = OnnxSession(onnx, name)
    results = session.run(pictures)
    expected = {
        output: result if flat else np.ascontiguousarray(result.transpose(0, 2, 3, 1))
        for output, result in zip(session.outputs, results, strict=True)
    }
    golden = Golden(pictures, expected, TOLERANCE)
    lite = TfliteSession(tflite, name)
    if (off := golden.off(dict(zip(lite.outputs, lite.run(pictures), strict=True)))) > TOLERANCE / 2:
        raise SystemExit(f"the two forms differ: {100 * off:.2f} % of {100 * TOLERANCE:.0f} allowed")
    files = {f"{name}.onnx": onnx, f"{name}.tflite": tflite}
    cards = {name: _card(f"{name}.onnx", onnx, task, size, about)}
    cards[f"{name}-tflite"] = _card(f"{name}.tflite", tflite, task, size, about)
    if flat:
        dimension = network.plan.channels()[network.plan.outputs[0]]
        for card in cards.values():
            card |= {"align": "arcface-112", "dimension": dimension}
        cards[f"{name}-tflite"]["templates"] = cards[name]["sha256"]
    return Made(files, golden, cards)


def _card(file: str, model: bytes, task: str, size: tuple[int, int], about: dict[str, Any]) -> dict[str, Any]:
    fixed = {"size": list(size)} if task == "embed" else {"multiple_of": 32}
    # value = (byte - 128) / 128; the network does it, its bytes go in as they are
    arithmetic = {"divide_by": 128, "mean": [1, 1, 1], "std": [1, 1, 1]}
    card: dict[str, Any] = {
        "task": task,
        "file": file,
        "shipped": True,
        "sha256": hashlib.sha256(model).hexdigest(),
        **about,
        "input": {"layout": "NHWC", "colour": COLOURS[task], "dtype": "uint8", **arithmetic, **fixed},
        "golden": f"{Path(file).stem}.npz",
    }
    if file.endswith(TFLITE):
        card["outputs"] = "NHWC"
    return card | ({"decode": "sightline"} if task == "detect" else {})


def golden_pictures(task: str) -> NDArray[np.uint8]:
    """Return two of the sample's portraits, (2,side,side,3): one face each, cut to its middle for a chip."""
    side = DETECTOR_SIDE if task == "detect" else EMBEDDER_SIDE
    paths = sorted(SAMPLE.rglob("*.jpg"))
    pictures = np.stack([_portrait(path, side, close=task == "embed") for path in (paths[0], paths[-1])])
    return np.ascontiguousarray(pictures[..., ::-1] if COLOURS[task] == "RGB" else pictures)


def _portrait(path: Path, side: int, *, close: bool) -> NDArray[np.uint8]:
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    edge = min(image.shape[:2]) // (2 if close else 1)
    top, left = ((whole - edge) // 2 for whole in image.shape[:2])
    part = image[top : top + edge, left : left + edge]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files and print the cards."""
    parser = argparse.ArgumentParser(description="Make a trained network into what ships.")
    parser.add_argument("--network", required=True, type=Path, metavar="NPZ", help="what quantisation saved")
    parser.add_argument("--task", required=True, choices=COLOURS)
    parser.add_argument("--name", help="of the model in models.yaml")
    parser.add_argument("--data", help="the card's words about the training data and the teachers")
    parser.add_argument("--score-threshold", type=float, default=0.6, help="of a detector")
    parser.add_argument("--out", type=Path, default=SHIPPED, metavar="DIR")
    options = parser.parse_args(arguments)
    name = options.name or NAMES[options.task]
    about: dict[str, Any] = {"licence": "Apache-2.0", "training_data": options.data or DATA[options.task]}
    if options.task == "detect":
        about["score_threshold"] = options.score_threshold
    pictures = golden_pictures(options.task)
    made = make(load(options.network), name=name, task=options.task, pictures=pictures, about=about)
    options.out.mkdir(parents=True, exist_ok=True)
    for file, data in made.files.items():
        (options.out / file).write_bytes(data)
    made.golden.save(options.out / f"{name}.npz")
    print(yaml.safe_dump(made.cards, sort_keys=False, default_flow_style=None, width=118))


if __name__ == "__main__":
    main()
