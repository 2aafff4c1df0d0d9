"""Train the detector, as `make train-detector FACES=DIR` does.

    python -m models.training.detector --faces DIR --out RUN [--steps N]

RUN keeps labels and checkpoints (they are personal data like the photographs), and at the end detector.npz,
the network in integers. Started again it goes on where it was.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.faces.detect import open_detector
from edge.faces.registry import ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from models.training.checkpoint import resumable, save
from models.training.course import Course
from models.training.detector.labels import Labelled, labels_of
from models.training.detector.losses import BOX, POINTS, score_loss, shape_loss
from models.training.detector.mosaic import SIDE, Scene, mosaic
from models.training.detector.shape import STRIDES, detector_plan
from models.training.detector.targets import all_targets
from models.training.makers import Makers
from models.training.network.net import Net
from models.training.optimiser import Optimiser

SEED = 4
TEACHER = "yunet-n"
LEAST_SCORE = 0.3
"""What the teacher finds below this is background."""
BATCH = 16
USES, HELD_BATCHES = 3, 150
"""Making scenes costs more than learning from them, and the third time a scene still teaches: each batch made is
learnt from three times, in another order, from a pool of the latest."""
SAVED_EVERY = 100
OBSERVED_BATCHES = 60
RARE = -4.0
"""Logit at the start: faces are rare, and the loss of the first steps should not be about that."""

Batch = tuple[NDArray[np.uint8], dict[int, tuple[NDArray[np.float32], ...]]]


def main() -> None:
    """Read the command line and train."""
    asked = _arguments()
    torch.manual_seed(SEED)
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    card = msgspec.structs.replace(load_registry().model(TEACHER, Task.DETECT), score_threshold=LEAST_SCORE)
    teacher = open_detector(card, ModelStore.default(), RuntimeSettings(threads=asked.threads))
    photos = labels_of(asked.faces, teacher, asked.out / "labels.json")
    print(f"{len(photos)} photographs with {sum(photo.sure.sum() for photo in photos)} faces", flush=True)
    if asked.sheet:
        cv2.imwrite(str(asked.sheet), _sheet(photos))
        return
    _Training(Course(asked.steps, asked.rate), asked, photos).run()


class _Training:
    """One training, from its last checkpoint to its end."""

    def __init__(self, course: Course, asked: argparse.Namespace, photos: list[Labelled]) -> None:
        self._course, self._asked, self._photos = course, asked, photos
        self._net = Net(detector_plan()).to(memory_format=torch.channels_last)
        for stride in STRIDES:
            torch.nn.init.constant_(self._net.norms[f"score_{stride}"].bias, RARE)
        self._checkpoint = asked.out / "last.pt"
        self._step = 0
        self._pool: list[Batch] = []
        state = resumable(asked.out, course.integers_at)
        if state:
            self._step = int(state["step"])
            if self._step > course.integers_at:
                self._net.fold()
                self._net.pretend()
            self._net.load_state_dict(state["net"])
        self._optimiser = self._fresh_optimiser()
        if state:
            self._optimiser.load_state_dict(state["optimiser"])
            print(f"goes on at step {self._step}", flush=True)
        self._random = np.random.default_rng((SEED, self._step))

    def run(self) -> None:
        """Train to the end and write the network in integers."""
        course = self._course
        makers: Makers[Batch] = Makers(
            partial(_batches, self._photos), seed=(SEED, self._step), count=self._asked.makers, waiting=8
        )
        self._net.train()
        started, first = time.monotonic(), self._step
        mean: dict[str, float] = {}
        try:
            while self._step < course.steps:
                if self._step == course.integers_at:
                    self._turn_to_integers(makers)
                parts = self._learn(self._next(makers))
                mean = {name: 0.98 * mean.get(name, value) + 0.02 * value for name, value in parts.items()}
                self._step += 1
                if self._step % SAVED_EVERY == 0 or self._step == course.steps:
                    rate = (self._step - first) * BATCH / (time.monotonic() - started)
                    told = " ".join(f"{name} {value:.4f}" for name, value in mean.items())
                    print(f"step {self._step}/{course.steps} {told} {rate:.0f} scenes/s", flush=True)
                    save(self._state(), self._checkpoint)
                    if self._step <= course.fades_at:
                        save(self._state(), self._asked.out / "steady.pt")  # from here a longer course can go on
        finally:
            makers.stop()
        self._net.eval()
        self._net.quantised().save(self._asked.out / "detector.npz")
        print(f"written: {self._asked.out / 'detector.npz'}", flush=True)

    def _next(self, makers: Makers[Batch]) -> Batch:
        """Return a batch of the pool, which one new batch enters for every few that are taken."""
        if not self._pool or self._step % USES == 0:
            self._pool = [*self._pool[-HELD_BATCHES:], makers.take()]
        return self._pool[self._random.integers(len(self._pool))]

    def _learn(self, batch: Batch) -> dict[str, float]:
        """Take one step; return the losses."""
        self._optimiser.rate = self._course.rate_at(self._step)
        images, targets = batch
        with torch.autocast("cpu", torch.bfloat16):
            out = self._net(_image(images))
        scores, boxes, points = [], [], []
        for stride in STRIDES:
            score, shape, size = (torch.from_numpy(array) for array in targets[stride])
            scores.append(score_loss(out[f"score_{stride}"][:, 0].float(), score))
            box, point = shape_loss(out[f"shape_{stride}"].float(), shape, score, size, stride)
            boxes.append(box)
            points.append(point)
        score_part, box_part, point_part = sum(scores), sum(boxes), sum(points)
        loss = score_part + BOX * box_part + POINTS * point_part
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._net.parameters(), 5.0)
        self._optimiser.step()
        return {"score": score_part.item(), "box": box_part.item(), "points": point_part.item()}

    def _turn_to_integers(self, makers: Makers[Batch]) -> None:
        save(self._state(), self._asked.out / "float.pt")
        self._net.eval()
        self._net.fold()
        self._net.observe()
        with torch.no_grad():
            for _ in range(OBSERVED_BATCHES):
                self._net(_image(makers.take()[0]))
        self._net.observe(on=False)
        self._net.pretend()
        self._net.train()
        print("from here on as integers will", flush=True)
        self._optimiser = self._fresh_optimiser()

    def _fresh_optimiser(self) -> Optimiser:
        return Optimiser(self._net.parameters(), self._course.rate)

    def _state(self) -> dict[str, Any]:
        return {"step": self._step, "net": self._net.state_dict(), "optimiser": self._optimiser.state_dict()}


def _batches(photos: list[Labelled], seed: tuple[int, ...]) -> Iterator[Batch]:
    """Give batches of scenes for ever."""
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    while True:
        scenes = [mosaic(photos, random) for _ in range(BATCH)]
        each = [all_targets(scene.boxes, scene.landmarks, scene.sure, SIDE) for scene in scenes]
        targets = {
            stride: tuple(np.stack([getattr(e[stride], part) for e in each]) for part in ("score", "shape", "size"))
            for stride in STRIDES
        }
        yield np.stack([scene.image for scene in scenes]), targets


def _image(images: NDArray[np.uint8]) -> Tensor:
    """Return pictures (n,h,w,3) BGR as the network's input: (n,3,h,w) float32 of bytes, BGR as they are."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def _sheet(photos: list[Labelled]) -> NDArray[np.uint8]:
    random = np.random.default_rng(SEED)
    return np.vstack([np.hstack([_drawn(mosaic(photos, random)) for _ in range(5)]) for _ in range(3)])


def _drawn(scene: Scene) -> NDArray[np.uint8]:
    image = scene.image.copy()
    for box, points, sure in zip(scene.boxes, scene.landmarks, scene.sure, strict=True):
        x, y, right, bottom = (int(value) for value in (*box[:2], *(box[:2] + box[2:])))
        cv2.rectangle(image, (x, y), (right, bottom), (0, 255, 0) if sure else (0, 0, 255), 1)
        for n, point in enumerate(points):
            cv2.circle(image, (int(point[0]), int(point[1])), 1, (0, 255 * (n % 2), 255), -1)
    return image


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="models.training.detector", description="Train the detector.")
    parser.add_argument("--faces", type=Path, required=True, help="folder of photographs, <identity>/<photo>.jpg")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; holds personal data")
    parser.add_argument("--steps", type=int, default=4400, help=f"batches of {BATCH} in all")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--makers", type=int, default=1, help="processes that make scenes")
    parser.add_argument("--threads", type=int, default=1, help="threads of the training itself")
    parser.add_argument("--sheet", type=Path, help="write a picture of labelled scenes and stop")
    return parser.parse_args()


if __name__ == "__main__":
    main()
