"""Measure detectors side by side: faces found at a given rate of false ones, and how far landmarks are off.

    python -m models.training.detector.measure --model RUN/detector.npz --scene a.mp4 --scene b.mp4 --faces DIR

--model is a network in integers (.npz), a checkpoint's name in the registry, or several of them; the public
detector is always measured too, in the same run. Scenes come with their truth beside them (.json), rendered of
identities that are held out of training; --faces is the folder of all photographs, of which the held-out are used.

Protocol. Every EVERY-th frame of a scene is searched whole, at each width asked for. A walker's face counts from
LEAST_FACE pixels (of the scene as it is), unless the frame's edge or somebody nearer hides more than HIDDEN of it. It
is found when a find's centre lies within half its width of it and the find is between half and twice as wide. A
find is false when it is near no walker's face at all, unless the public detector sees a face there too
(photographs of the walkers have people behind). The score at which false finds are at most 1 in 100 frames is
taken from the scenes themselves, for each detector its own.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import av
import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from central.holdout import held_out
from central.intervals import exact
from edge.camera.planes import pixels_of
from edge.faces.detect import Detector, Faces, open_detector
from edge.faces.geometry import overlaps
from edge.faces.onnx_session import OnnxSession
from edge.faces.pixels import whole
from edge.faces.registry import ModelCard, ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from models.training.detector.labels import mean_look
from models.training.network import onnx_form, quantised

PUBLIC, SHIPPED = "yunet-n", "sightline-detector"
FAINTEST = 0.05
LEAST_FACE, HIDDEN = 20.0, 0.25
FALSE_SHARE = 0.01
BANDS = (20, 30, 45, 70, 110, 400)
Image = NDArray[np.uint8]


class Finder(Protocol):
    """What is measured."""

    def detect(self, image: Image, *, max_side: int | None = None) -> Faces:
        """Find faces in a (h,w,3) uint8 BGR picture."""


@dataclass
class Tally:
    """What one detector did in the scenes: for each counted face its width and the best score that found it."""

    frames: int = 0
    widths: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)

    def threshold(self) -> float:
        """Return the lowest score at which false finds are at most one in 100 frames."""
        allowed = int(self.frames * FALSE_SHARE)
        worst = sorted(self.false, reverse=True)
        return float(np.nextafter(worst[allowed], 1)) if len(worst) > allowed else FAINTEST

    def report(self) -> str:
        """Return the figures, the sizes of face apart."""
        threshold = self.threshold()
        hit, width = np.array(self.found) >= threshold, np.array(self.widths)
        interval = exact(int(hit.sum()), len(hit))
        bands = [
            f"{a}-{b} px {100 * hit[one].mean():.1f} ({one.sum()})"
            for a, b in pairwise(BANDS)
            if (one := (width >= a) & (width < b)).any()
        ]
        false = sum(score >= threshold for score in self.false)
        return (
            f"found {100 * hit.mean():.2f} % ({hit.sum()} of {len(hit)}, 95 % interval {100 * interval.low:.2f} to "
            f"{100 * interval.high:.2f}) from score {threshold:.3f}; {false} false in {self.frames} frames; "
            + ", ".join(bands)
        )


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(prog="models.training.detector.measure", description="Measure detectors.")
    parser.add_argument("--model", action="append", default=[], help="a .npz, or a name in the registry")
    parser.add_argument("--scene", type=Path, action="append", default=[])
    parser.add_argument("--width", type=int, action="append", help="search width; 0: as the scene is (default)")
    parser.add_argument("--every", type=int, default=5, help="frames between two that are searched")
    parser.add_argument("--faces", type=Path, help="folder of photographs, for the landmarks")
    parser.add_argument("--false", type=Path, help="folder for pictures of what was found falsely; personal data")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    finders = {PUBLIC: _registered(PUBLIC)} | {name: _opened(name) for name in asked.model}
    for width in asked.width or [0] if asked.scene else []:
        tallies = {name: Tally() for name in finders}
        for scene in asked.scene:
            _walk(scene, finders, tallies, width or None, asked.every, asked.false)
        for name, tally in tallies.items():
            print(f"width {width or 'native'} {name}: {tally.report()}", flush=True)
    if asked.faces:
        for name in asked.model:
            print(f"landmarks {name}: {landmark_errors(asked.faces, finders[name], _registered(PUBLIC))}", flush=True)


def landmark_errors(folder: Path, finder: Finder, public: Detector, most: int = 300) -> str:
    """Return how far landmarks are from the public detector's in the same picture, in distances of the eyes.

    Held-out photographs at several sizes; of each its subject, the face nearest to the middle, and then all faces,
    those that somebody or the picture's edge half hides included. Beside it, to tell disagreement from unsteadiness:
    the distance to the public detector's mean over eight looks, and the public detector's own to that mean.
    """
    paths = [path for path in sorted(folder.glob("*/*.jpg")) if held_out(path.parent.name)]
    told = []
    for zoom in (2.0, 1.0, 0.5, 0.3):
        found: dict[str, list[float]] = {"subjects": [], "to the mean": [], "public to its mean": [], "all faces": []}
        for path in paths[:: max(1, len(paths) // most)]:
            image = np.asarray(
                cv2.resize(cv2.imread(str(path)), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
            )
            true, mine = public.detect(image), finder.detect(image)
            true = true.only(true.scores >= 0.7)
            if not len(true):
                continue
            off = true.boxes[:, :2] + true.boxes[:, 2:] / 2 - np.array(image.shape[1::-1]) / 2
            subject = true.only(np.arange(len(true)) == np.hypot(*off.T).argmin())
            mean = mean_look(image, public)
            found["subjects"] += _errors(subject, mine)
            found["to the mean"] += _errors(nearest(mean, subject), mine)
            found["public to its mean"] += _errors(nearest(mean, subject), subject)
            found["all faces"] += _errors(true, mine)
        parts = [
            f"{name} {100 * np.mean(errors):.1f} (median {100 * np.median(errors):.1f}, n {len(errors)})"
            for name, errors in found.items()
        ]
        told.append(f"x{zoom}: {', '.join(parts)}")
    return "; ".join(told)


def nearest(faces: Faces, to: Faces) -> Faces:
    """Return of some faces the one that shares most with a given one."""
    return faces.only(np.arange(len(faces)) == overlaps(to.boxes, faces.boxes)[0].argmax())


def _errors(true: Faces, found: Faces) -> list[float]:
    if not len(true) or not len(found):
        return []
    shared = overlaps(true.boxes, found.boxes)
    best = shared.argmax(axis=1)
    eyes = np.hypot(*(true.landmarks[:, 0] - true.landmarks[:, 1]).T)
    off = np.hypot(*np.moveaxis(found.landmarks[best] - true.landmarks, 2, 0)).mean(axis=1)
    # A face in profile has no distance between the eyes to speak of.
    counted = (shared.max(axis=1) > 0.4) & (eyes > 0.2 * true.boxes[:, 2])
    return [float(value) for value in (off / eyes)[counted]]


def _walk(
    scene: Path,
    finders: dict[str, Finder],
    tallies: dict[str, Tally],
    width: int | None,
    every: int,
    shown: Path | None,
) -> None:
    truth = json.loads(scene.with_suffix(".json").read_text())["frames"]
    for index, image in _frames(scene, every):
        finds = {name: finder.detect(image, max_side=width) for name, finder in finders.items()}
        public = finds[PUBLIC]
        public = public.only(public.scores >= 0.5)
        for name, faces in finds.items():
            false = _score(truth[index], faces, public, name == PUBLIC, image.shape, tallies[name])
            if shown and name != PUBLIC:
                for i in np.flatnonzero(false & (faces.scores > 0.3)):
                    _picture(shown, f"{faces.scores[i]:.2f}-{scene.stem}-{index}-{i}.png", image, faces.boxes[i])


def _score(
    people: list[dict[str, float]], faces: Faces, public: Faces, is_public: bool, shape: tuple[int, ...], tally: Tally
) -> NDArray[np.bool_]:
    """Enter one frame; return which finds are false."""
    tally.frames += 1
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    false = np.ones(len(faces), bool)
    for i, person in enumerate(people):
        spot, size = np.array([person["x"], person["y"]]), person["face"]
        # The face is a little above the middle of the cut-out in some photographs and below it in others.
        near = (np.abs(centres - spot) < 0.5 * size).all(axis=1)
        fits = near & (faces.boxes[:, 2] > size / 2) & (faces.boxes[:, 2] < size * 2)
        false &= ~(near & (faces.boxes[:, 2] < size * 2.5))
        if size >= LEAST_FACE and _hidden(spot, size, people[i + 1 :], shape) <= HIDDEN:
            tally.widths.append(size)
            tally.found.append(float(faces.scores[fits].max()) if fits.any() else 0.0)
    if not is_public and len(faces) and len(public):
        false &= overlaps(faces.boxes, public.boxes).max(axis=1) < 0.3
    tally.false += [float(score) for score in faces.scores[false]]
    return false


def _hidden(spot: NDArray[np.float64], size: float, nearer: list[dict[str, float]], shape: tuple[int, ...]) -> float:
    """Return the share of a face that people before it, or the frame's edge, hide: cut-outs are two ellipses."""
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 7), np.linspace(-0.6, 0.6, 7)), axis=-1).reshape(-1, 2)
    points = spot + grid * size
    hidden = ((points < 0) | (points > np.array([shape[1], shape[0]]))).any(axis=1)
    for person in nearer:
        side = person["face"] / 0.38
        x, y = ((points - np.array([person["x"], person["y"]])) / side + 0.5).T
        hidden |= ((x - 0.5) / 0.27) ** 2 + ((y - 0.48) / 0.37) ** 2 < 1
        hidden |= (((x - 0.5) / 0.46) ** 2 + ((y - 1.02) / 0.30) ** 2 < 1) & (y < 1)
    return float(hidden.mean())


def _frames(scene: Path, every: int) -> Iterator[tuple[int, Image]]:
    with av.open(str(scene)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                yield index, whole(pixels_of(frame))


def _picture(folder: Path, name: str, image: Image, box: NDArray[np.float32]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    left, top = (max(0, int(v)) for v in box[:2] - box[2:])
    right, bottom = (int(v) for v in box[:2] + 2 * box[2:])
    cv2.imwrite(str(folder / name), cv2.resize(image[top:bottom, left:right], (160, 160)))


def _trained(path: Path) -> Detector:
    """Return a network in integers that is not registered yet as the shipped detector would run it."""
    model = onnx_form.write(quantised.load(path), name="detector")
    return Detector(_faint(SHIPPED), OnnxSession(model, str(path)))


def _registered(name: str) -> Detector:
    return open_detector(_faint(name), ModelStore.default(), RuntimeSettings(threads=1))


def _opened(name: str) -> Detector:
    return _trained(Path(name)) if name.endswith(".npz") else _registered(name)


def _faint(name: str) -> ModelCard:
    return msgspec.structs.replace(load_registry().model(name, Task.DETECT), score_threshold=FAINTEST)


if __name__ == "__main__":
    main()
