"""What each stage costs on this machine: the work behind `sightline bench`.

Stages are timed in turns, one call of each in every round, so that whatever else runs hits all alike: read
the ratios (medians of the ratios within a round) rather than the milliseconds. The scene is made here: a
1080p H.264 file with moving patches of texture. No photograph ships, so a detector sees nobody in it; the
faces of the pipeline are placed where the patches are, after the detector has done its full work.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bench_frames import RATIOS, Film, frame_stages, whole_bgr
from edge.bench_report import PipelineTime, Report, StageTime, table, this_machine, write_json
from edge.bench_scene import FPS, PASS_FRAMES, PEOPLE, faces_at, make_scene
from edge.camera.clock import Clock
from edge.camera.files import VideoFile
from edge.camera.frame import Frame, Picture
from edge.errors import OperatorError
from edge.faces.align import align
from edge.faces.compare import Gallery
from edge.faces.detect import Detector, Faces
from edge.faces.embed import Embedder
from edge.faces.pixels import Image, Pixels
from edge.faces.quality import assess
from edge.faces.registry import ModelCard, ModelStore, Registry, Task, load_registry
from edge.faces.runtime import RuntimeSettings, Session, open_session
from edge.pipeline import Pipeline
from edge.tracking import Tracker, TrackingSettings

ROUNDS = 25
FRAMES = 150
DECODED = 10
"""Frames of a scene that no pipeline runs over."""
DETECT_AT = ((640, 640), (1280, 736), (1920, 1088))
COMPARED_AT = (640, 384)
BATCHES = (1, 4, 16)
GALLERIES = (1_000, 10_000, 100_000)
NOBODY = 2.0
"""A candidate threshold that no cosine reaches: what is timed is looking, not telling."""
WATCHED = 1_000
QUICK_S = 0.001
WHOLE = "whole BGR"


Stage = Callable[[], object]


def run(
    json_path: Path | None = None,
    *,
    say: Callable[[str], None] = print,
    registry: Registry | None = None,
    store: ModelStore | None = None,
    only: Sequence[str] = (),
    threads: int | None = None,
    stages: Sequence[str] = (),
    rounds: int = ROUNDS,
    frames: int = FRAMES,
) -> Report:
    """Time every stage and the whole, say the table, and write JSON where asked.

    All models that are here unless `only` names some; those of the defaults run the pipeline. With `stages`, only
    those whose names begin so, and no pipeline.
    """
    if json_path is not None and not json_path.absolute().parent.is_dir():
        raise OperatorError(f"cannot write {json_path}: there is no such folder")
    registry, store = registry or load_registry(), store or ModelStore.default()
    settings = RuntimeSettings(threads=threads) if threads else RuntimeSettings()
    detectors, embedders = (_chosen(registry, store, task, only) for task in Task)
    machine = this_machine(settings, [*detectors, *embedders], Clock().wall_ms())
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        _progress("making the scene")
        video = make_scene(Path(folder) / "scene.mp4", DECODED if stages else frames)
        models = _Models(detectors, embedders, store, settings)
        timed, ratios = _time_stages(models, video, rounds, stages)
        whole, of_whole = ([], {}) if stages else _time_pipeline(models, video)
    ratios |= of_whole
    report = Report(machine, timed, ratios, whole, _protocol(rounds))
    say(table(report))
    if json_path is not None:
        write_json(report, json_path)
    return report


def interleaved(stages: dict[str, Stage], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Return the seconds of one call of each stage in each round; quick ones are called often and divided."""
    repeats = {}
    for name, stage in stages.items():
        stage()  # the first call pays for what later ones find ready
        start = clock()
        stage()
        took = clock() - start
        repeats[name] = max(1, min(200, int(QUICK_S / took))) if took > 0 else 200
    times: dict[str, list[float]] = {name: [] for name in stages}
    for turn in range(rounds):
        _progress(f"round {turn + 1} of {rounds}")
        for name, stage in stages.items():
            start = clock()
            for _ in range(repeats[name]):
                stage()
            times[name].append((clock() - start) / repeats[name])
    return times


class _Timed:
    """A session that adds up the time spent inside."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.spent_s = 0.0

    @property
    def outputs(self) -> tuple[str, ...]:
        return self._session.outputs

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        start = time.perf_counter()
        results = self._session.run(array)
        self.spent_s += time.perf_counter() - start
        return results


class _Placed(Detector):
    """A detector that does its work and then sees the faces that were placed, frame after frame."""

    shown = 0

    def detect(self, picture: Pixels | Image, *, max_side: int | None = None) -> Faces:
        super().detect(picture, max_side=max_side)
        self.shown += 1
        return faces_at(self.shown - 1)


class _Counting(Embedder):
    """An embedder that counts the faces it is given."""

    count = 0

    def embed(self, chips: Image) -> NDArray[np.float32]:
        self.count += len(chips)
        return super().embed(chips)


@dataclass
class _Models:
    """The models under measurement, each loaded once; the first of a task runs the pipeline."""

    detectors: Sequence[ModelCard]
    embedders: Sequence[ModelCard]
    store: ModelStore
    settings: RuntimeSettings
    sessions: dict[str, _Timed] = field(default_factory=dict)

    def session(self, card: ModelCard) -> _Timed:
        if card.name not in self.sessions:
            self.sessions[card.name] = _Timed(open_session(card, self.store, self.settings))
        return self.sessions[card.name]


def _time_stages(
    models: _Models, video: Path, rounds: int, only: Sequence[str]
) -> tuple[list[StageTime], dict[str, float]]:
    film, faces = Film(video), faces_at(0)
    # What the camera's frames cost is asked in processor time, whoever else runs.
    of_frames = _wanted(frame_stages(film, faces), only)
    others = _wanted(_model_stages(models, film.handed_over().image, faces), only)
    if not of_frames and not others:
        raise OperatorError(f"no stage begins with {', '.join(only)}", hint="sightline bench names them all")
    times = interleaved(of_frames, rounds, time.process_time) | interleaved(others, rounds, time.perf_counter)
    film.close()
    told = [
        StageTime(name, 1000 * float(np.median(taken)), 1000 * float(np.quantile(taken, 0.9)), rounds)
        for name, taken in times.items()
    ]
    return told, _ratios(times, models)


def _wanted(stages: dict[str, Stage], only: Sequence[str]) -> dict[str, Stage]:
    return {name: stage for name, stage in stages.items() if not only or name.startswith(tuple(only))}


def _model_stages(models: _Models, scene: Image, faces: Faces) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    small = _sized(scene, *COMPARED_AT)
    for card in models.detectors:
        stages[f"detect {_side(COMPARED_AT)}, {card.name}"] = partial(
            Detector(card, models.session(card)).detect, small
        )
    first = Detector(models.detectors[0], models.session(models.detectors[0]))
    for size in DETECT_AT:
        stages[f"detect {_side(size)}"] = partial(first.detect, _sized(scene, *size))
    stages["track, 10 faces"] = _tracking()
    chip = align(scene, faces.landmarks[0])
    stages["assess, 1 face"] = lambda: assess(chip, faces.landmarks[0])
    chips = np.stack([align(scene, faces.landmarks[i % PEOPLE]) for i in range(max(BATCHES))])
    for card in models.embedders:
        embedder = Embedder(card, models.session(card))
        for batch in BATCHES:
            stages[f"embed, batch {batch}, {card.name}"] = partial(embedder.embed, chips[:batch])
    for people in GALLERIES:
        gallery, probe = _gallery(people, models.embedders[0].dimension), _units(1, models.embedders[0].dimension)[0]
        stages[f"search, gallery {people:,}"] = partial(gallery.best, probe)
    return stages


def _ratios(times: dict[str, list[float]], models: _Models) -> dict[str, float]:
    ratios = {}

    def compare(one: str, other: str, told: str, scale: float = 1.0) -> None:
        if one in times and other in times:
            ratios[told] = float(np.median(np.array(times[one]) / np.array(times[other]))) / scale

    for stage, over in RATIOS:
        compare(stage, over, f"{stage}, over {over}")
    for one, other in combinations(sorted(models.detectors, key=_shipped_first), 2):
        at = f"detect {_side(COMPARED_AT)}"
        compare(f"{at}, {one.name}", f"{at}, {other.name}", f"{at}, {one.name} over {other.name}")
    small, *larger = (f"detect {_side(size)}" for size in DETECT_AT)
    for size in larger:
        compare(size, small, f"{size} over {small.removeprefix('detect ')}")
    for card in models.embedders:
        for batch in BATCHES[1:]:
            alone, many = f"embed, batch 1, {card.name}", f"embed, batch {batch}, {card.name}"
            compare(many, alone, f"embed, a face in a batch of {batch} over alone, {card.name}", batch)
    for one, other in combinations(sorted(models.embedders, key=_shipped_first), 2):
        for batch in BATCHES:
            at = f"embed, batch {batch}"
            compare(f"{at}, {one.name}", f"{at}, {other.name}", f"{at}, {one.name} over {other.name}")
    return ratios


@dataclass
class _Line:
    """A straight line under measurement, and the time spent in it."""

    name: str
    seeing: _Timed
    embedding: _Timed
    embedder: _Counting
    pipeline: Pipeline
    as_frame: Callable[[Picture], Frame]
    all_s: float = 0.0
    inference_s: float = 0.0

    def process(self, picture: Picture) -> None:
        before, start = self.seeing.spent_s + self.embedding.spent_s, time.perf_counter()
        self.pipeline.process(self.as_frame(picture))
        self.all_s += time.perf_counter() - start
        self.inference_s += self.seeing.spent_s + self.embedding.spent_s - before

    def told(self, frames: int, decode_s: float) -> PipelineTime:
        return PipelineTime(
            embedder=self.name,
            frames=frames,
            embedded=self.embedder.count,
            tracks=self.pipeline.counts.tracks,
            process_ms=1000 * self.all_s / frames,
            inference_ms=1000 * self.inference_s / frames,
            decode_ms=1000 * decode_s / frames,
            ratio=self.all_s / self.inference_s,
            fps=frames / (decode_s + self.all_s),
        )


def _line(models: _Models, card: ModelCard, *, whole: bool = False) -> _Line:
    """Return a straight line with this embedder, over planes or over whole BGR pictures."""
    seeing, embedding = models.session(models.detectors[0]), models.session(card)
    embedder = _Counting(card, embedding)
    pipeline = Pipeline(_Placed(models.detectors[0], seeing), embedder, _gallery(WATCHED, card.dimension), NOBODY)
    name, as_frame = (f"{card.name}, {WHOLE}", whole_bgr) if whole else (card.name, Picture.frame)
    return _Line(name, seeing, embedding, embedder, pipeline, as_frame)


def _time_pipeline(models: _Models, video: Path) -> tuple[list[PipelineTime], dict[str, float]]:
    """Run the straight line over the scene with each embedder, frame by frame in turns, and once over whole BGR."""
    lines = [_line(models, card) for card in models.embedders]
    of_planes, of_bgr = lines[0], _line(models, models.embedders[0], whole=True)
    lines.append(of_bgr)
    decode_s, count = 0.0, 0
    source = VideoFile(video, loop=False, began_at_ms=0, clock=Clock())
    start = time.perf_counter()
    for picture in source:
        decode_s += time.perf_counter() - start
        _progress(f"pipeline, frame {count + 1}")
        for line in lines:
            line.process(picture)
        count += 1
        start = time.perf_counter()
    source.close()
    ratios = {f"pipeline over its inference, {line.name}": line.all_s / line.inference_s for line in lines}
    rest = (of_planes.all_s - of_planes.inference_s) / (of_bgr.all_s - of_bgr.inference_s)
    ratios[f"pipeline without its inference, of planes over {WHOLE}"] = rest
    return [line.told(count, decode_s) for line in lines], ratios


def _chosen(registry: Registry, store: ModelStore, task: Task, only: Sequence[str]) -> list[ModelCard]:
    """Return the models of a task under measurement: the default first, then all that are here, unless named."""
    cards = [card for card in registry.models.values() if card.task is task]
    if unknown := sorted(set(only) - registry.models.keys()):
        raise OperatorError(f"no model {unknown[0]!r} in the registry", hint=f"known: {', '.join(registry.models)}")
    if named := [card for card in cards if card.name in only]:
        return named
    first = registry.wanted("", task, store)
    return [first] if only else [first, *(card for card in cards if card != first and store.has(card))]


def _tracking() -> Stage:
    """Return one frame's tracking: ten faces that walk to and fro."""
    tracker, scores = Tracker(TrackingSettings()), np.full(10, 0.9, np.float32)
    left = np.linspace(50, 1750, 10, dtype=np.float32)
    frames = iter(range(sys.maxsize))

    def step() -> object:
        index = next(frames)
        sway = 40 * np.sin(index / 20 + np.arange(10))
        boxes = np.stack([left + sway, np.full(10, 400), np.full(10, 90), np.full(10, 110)], axis=1)
        return tracker.update(boxes.astype(np.float32), scores, index * 1000 // FPS)

    return step


def _shipped_first(card: ModelCard) -> bool:
    """Sort so that a ratio says how what ships stands to what it learned from and to what was made of that."""
    return not card.shipped


def _side(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _sized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height)), np.uint8)


def _gallery(size: int, dimension: int) -> Gallery:
    return Gallery(_units(size, dimension), [str(i) for i in range(size)])


def _units(count: int, dimension: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(count).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _protocol(rounds: int) -> str:
    return (
        f"{rounds} rounds, in each one call of every stage in turn (quick ones repeated and divided), after one call "
        "to warm up; what comes before the models in processor time, the rest by the clock; detection and embedding "
        "with their input's and output's preparation; a made-up 1080p scene of "
        f"{PEOPLE} patches of texture, H.264 at 4 Mbit/s, {FPS} frames a second, placed as faces after the detector "
        f"has done its work, each pass {PASS_FRAMES / FPS:.0f} s; the pipeline searches {WATCHED:,} references; its "
        "inference is the time inside the models during that same run"
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rbench: {text:40}")
        sys.stderr.flush()
