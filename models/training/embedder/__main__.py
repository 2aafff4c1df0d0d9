"""Train the embedder, as `make train-embedder FACES=DIR` does.

    python -m models.training.embedder --faces DIR --out RUN [--steps N]

RUN keeps aligned faces and checkpoints (they are personal data like the photographs), and at the end
embedder.npz, the network in integers. Started again it goes on where it was.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.faces.detect import open_detector
from edge.faces.registry import ModelStore, Registry, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from models.training.checkpoint import resumable, save
from models.training.course import Course
from models.training.embedder.faces import FaceSet, chips_of, stored_faces
from models.training.embedder.judge import in_batches, quick_look
from models.training.embedder.lessons import BATCH, Lesson, Lessons
from models.training.embedder.losses import HINT_AT_END, HINT_AT_START, RELATION, Hints, cosine_loss, relation_loss
from models.training.embedder.shape import HINTED, embedder_plan
from models.training.embedder.street import street_chip
from models.training.embedder.teacher import INSIDE_CHANNELS, Teacher
from models.training.network.net import Net
from models.training.optimiser import Optimiser

SEED = 3
DETECTOR, TEACHER = "yunet-n", "mobilefacenet"
SAVED_EVERY, JUDGED_EVERY = 100, 500
OBSERVED_BATCHES = 60


def main() -> None:
    """Read the command line and train."""
    asked = _arguments()
    torch.manual_seed(SEED)
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    registry, store = load_registry(), ModelStore.default()
    finder = open_detector(registry.model(DETECTOR, Task.DETECT), store, RuntimeSettings(threads=asked.threads))
    known = stored_faces(asked.faces, finder, asked.out / "faces.npz")
    if asked.sheet:
        cv2.imwrite(str(asked.sheet), _sheet(known.faces[~known.held]))
        return
    np.save(asked.out / "train.npy", known.faces[~known.held])
    teacher = asked.teacher or _best_teacher(registry)
    print(f"{(~known.held).sum()} faces to learn from, {known.held.sum()} held out; teacher {teacher}", flush=True)
    judged = _Judged(known, Teacher(registry.model(teacher, Task.EMBED), store, threads=1))
    _Training(Course(asked.steps, asked.rate), asked, teacher, judged).run()


class _Judged:
    """The held-out faces, clean and as the street has them."""

    def __init__(self, known: FaceSet, teacher: Teacher) -> None:
        self._names = known.names[known.held]
        self._chips = chips_of(known.faces[known.held])
        self._taught = in_batches(lambda chips: teacher.teach(chips).templates, self._chips)

    def line(self, net: Net) -> str:
        """Return what there is to say of a network."""
        net.eval()
        with torch.no_grad():
            found = in_batches(lambda chips: net(_image(chips))["embedding"].flatten(1).float().numpy(), self._chips)
        net.train()
        mine = quick_look(found, self._taught, self._names)
        theirs = quick_look(self._taught, self._taught, self._names)
        return (
            f"held out: cosine to the teacher {mine[0]:.3f}, pairs {mine[1]:.2f} % (teacher {theirs[1]:.2f}), "
            f"FNMR at FMR 1e-3 {mine[2]:.1f} % (teacher {theirs[2]:.1f})"
        )


class _Training:
    """One training, from its last checkpoint to its end."""

    def __init__(self, course: Course, asked: argparse.Namespace, teacher: str, judged: _Judged) -> None:
        self._course, self._asked, self._teacher, self._judged = course, asked, teacher, judged
        plan = embedder_plan()
        channels = plan.channels()
        self._net = Net(plan).to(memory_format=torch.channels_last)
        self._hints = Hints(tuple(channels[name] for name in HINTED), INSIDE_CHANNELS)
        self._checkpoint = asked.out / "last.pt"
        self._step = 0
        state = resumable(asked.out, course.integers_at)
        if state:
            self._step = int(state["step"])
            if self._step > course.integers_at:
                self._net.fold()
                self._net.pretend()
            self._net.load_state_dict(state["net"])
            self._hints.load_state_dict(state["hints"])
        self._optimiser = self._fresh_optimiser()
        if state:
            self._optimiser.load_state_dict(state["optimiser"])
            print(f"goes on at step {self._step}", flush=True)

    def run(self) -> None:
        """Train to the end and write the network in integers."""
        asked, course = self._asked, self._course
        lessons = Lessons(
            asked.out / "train.npy", self._teacher, seed=SEED, first=self._step, uses=asked.uses, makers=asked.makers
        )
        self._net.train()
        started, first = time.monotonic(), self._step
        mean: dict[str, float] = {}
        try:
            while self._step < course.steps:
                if self._step == course.integers_at:
                    self._turn_to_integers(lessons)
                parts = self._learn(lessons.take())
                mean = {name: 0.98 * mean.get(name, value) + 0.02 * value for name, value in parts.items()}
                self._step += 1
                if self._step % SAVED_EVERY == 0 or self._step == course.steps:
                    rate = (self._step - first) * BATCH / (time.monotonic() - started)
                    told = " ".join(f"{name} {value:.4f}" for name, value in mean.items())
                    print(f"step {self._step}/{course.steps} {told} {rate:.0f} faces/s", flush=True)
                    self._save()
                if self._step % JUDGED_EVERY == 0 or self._step == course.steps:
                    print(self._judged.line(self._net), flush=True)
        finally:
            lessons.stop()
        self._net.eval()
        self._net.quantised().save(asked.out / "embedder.npz")
        print(f"written: {asked.out / 'embedder.npz'}", flush=True)

    def _learn(self, lesson: Lesson) -> dict[str, float]:
        """Take one step; return the losses."""
        self._optimiser.rate = self._course.rate_at(self._step)
        taught = torch.from_numpy(lesson.templates)
        features = [torch.from_numpy(feature).float() for feature in lesson.features]
        # bfloat16 throughout: its rounding of an integer up to 255 is half a step at most.
        with torch.autocast("cpu", torch.bfloat16):
            out = self._net(_image(lesson.chips), also=HINTED)
            hint = self._hints([out[name] for name in HINTED], features)
        embedding = out["embedding"].flatten(1).float()
        cosine, relation = cosine_loss(embedding, taught), relation_loss(embedding, taught)
        loss = cosine + RELATION * relation + self._hint_weight() * hint
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._net.parameters(), 5.0)
        self._optimiser.step()
        return {"cosine": cosine.item(), "relation": relation.item(), "hint": hint.item()}

    def _hint_weight(self) -> float:
        done = self._step / self._course.steps
        return HINT_AT_START + (HINT_AT_END - HINT_AT_START) * done

    def _turn_to_integers(self, lessons: Lessons) -> None:
        save(self._state(), self._asked.out / "float.pt")
        print(f"before integers: {self._judged.line(self._net)}", flush=True)
        self._net.eval()
        self._net.fold()
        self._net.observe()
        with torch.no_grad():
            for _ in range(OBSERVED_BATCHES):
                self._net(_image(lessons.take().chips))
        self._net.observe(on=False)
        self._net.pretend()
        self._net.train()
        print(f"rounded: {self._judged.line(self._net)}", flush=True)
        self._optimiser = self._fresh_optimiser()

    def _fresh_optimiser(self) -> Optimiser:
        return Optimiser([*self._net.parameters(), *self._hints.parameters()], self._course.rate)

    def _save(self) -> None:
        save(self._state(), self._checkpoint)
        if self._step <= self._course.fades_at:
            save(self._state(), self._asked.out / "steady.pt")  # from here a longer course can go on

    def _state(self) -> dict[str, Any]:
        return {
            "step": self._step,
            "net": self._net.state_dict(),
            "hints": self._hints.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }


def _image(chips: NDArray[np.uint8]) -> Tensor:
    """Return chips (n,112,112,3) BGR as the network's input: (n,3,112,112) float32, RGB, of bytes."""
    image = torch.from_numpy(np.ascontiguousarray(chips[..., ::-1])).permute(0, 3, 1, 2).float()
    return image.contiguous(memory_format=torch.channels_last)


def _best_teacher(registry: Registry) -> str:
    """Return the int8 form of the teacher where it was made: it agrees to .994 and takes half the time."""
    quick = f"{TEACHER}-int8"
    return quick if quick in registry.models else TEACHER


def _sheet(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    random = np.random.default_rng(SEED)
    return np.vstack([np.hstack([street_chip(faces, random) for _ in range(14)]) for _ in range(8)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="models.training.embedder", description="Train the embedder.")
    parser.add_argument("--faces", type=Path, required=True, help="folder of photographs, <identity>/<photo>.jpg")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; holds personal data")
    parser.add_argument("--steps", type=int, default=9000, help=f"batches of {BATCH} in all")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--teacher", default="", help="registered embedder; its int8 form if that was made")
    parser.add_argument("--uses", type=int, default=2, help="how often a chip is learnt from")
    parser.add_argument("--makers", type=int, default=1, help="processes that make lessons")
    parser.add_argument("--threads", type=int, default=1, help="threads of the training itself")
    parser.add_argument("--sheet", type=Path, help="write a picture of invented faces and stop")
    return parser.parse_args()


if __name__ == "__main__":
    main()
