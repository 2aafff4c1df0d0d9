"""Make the sample scene of `make demo`: a street, people who do not exist, the truth, and references.

    PYTHONPATH=. python models/training/sample_scene.py --faces ../shared/faces/lfw-dev --out models/sample
    PYTHONPATH=. python models/training/sample_scene.py --measure --out models/sample

The first makes it (half an hour on two cores), the second only measures what is there.
Learns how faces vary from a folder of photographs (`<identity>/<photo>.jpg`, square, the face in the middle),
draws the cast from what it learnt, refuses whoever resembles anybody in the photographs, renders the scene,
and measures the result as the product would see it. Nothing of any photograph enters the scene: a face of
the cast is the mean of all photographs plus random amounts of their common modes. Seeds name people only for
one learnt model, so with other photographs look for a new cast first: `--search 1200 --sheet sheet.png`.
"""

import argparse
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
from scene.casting import Audition, Eyes, audition, likeness_between
from scene.face_model import FaceModel, learn
from scene.film import write_references, write_video
from scene.looks import Floats, calm, frontal, read_looks
from scene.measure import read_scene, report
from scene.people import cast
from scene.plan import references, walkers
from scene.registration import flows, resampled
from scene.street import Camera, backdrop

from edge.faces.detect import open_detector
from edge.faces.embed import open_embedder
from edge.faces.registry import ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings

SEED = 5
MOST_ALIKE = 0.40
"""Highest cosine of any looks of two people of the cast."""


def main() -> None:
    """Run the recipe."""
    options = _arguments()
    eyes = _eyes()
    if options.measure:
        print(json.dumps(report(read_scene(options.out, eyes)), indent=1))
        return
    model, real = _learnt(options.faces, options.cache, eyes)
    if options.search:
        _search(model, eyes, real, options.search, options.sheet)
        return
    people = cast(model)
    _refuse_doubles([_admitted(model, eyes, real, person.grain) for person in people])
    shutil.rmtree(options.out / "references", ignore_errors=True)
    for person in people:
        if person.watched:
            write_references(options.out / "references", person, references(model, person, eyes, real))
    random, camera = np.random.default_rng(SEED), Camera()
    still = backdrop(camera, random)
    write_video(options.out / "street.mp4", camera, still, walkers(model, people, eyes, real, random))
    print(json.dumps(report(read_scene(options.out, eyes), real), indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="folder of <identity>/<photo>.jpg")
    parser.add_argument("--out", type=Path, required=True, help="folder for video, truth and references")
    parser.add_argument("--cache", type=Path, default=Path("build/sample-scene"), help="keeps what was learnt")
    parser.add_argument("--measure", action="store_true", help="only measure the scene in --out")
    parser.add_argument("--search", type=int, default=0, metavar="N", help="only audition the seeds 0..N-1")
    parser.add_argument("--sheet", type=Path, default=Path("build/sheet.png"), help="where a search shows who passed")
    options = parser.parse_args()
    if options.faces is None and not options.measure:
        parser.error("--faces is needed to make a scene")
    return options


def _eyes() -> Eyes:
    registry, store, settings = load_registry(), ModelStore.default(), RuntimeSettings()
    return Eyes(
        open_detector(registry.model("yunet-n", Task.DETECT), store, settings),
        open_embedder(registry.model("mobilefacenet", Task.EMBED), store, settings),
    )


def _learnt(faces: Path, cache: Path, eyes: Eyes) -> tuple[FaceModel, Floats]:
    """Return the face model and the templates of all photographs, learnt now or taken from the cache."""
    model_file, templates_file = cache / "model.npz", cache / "templates.npy"
    if model_file.exists() and templates_file.exists():
        return FaceModel.load(model_file), np.load(templates_file)
    looks = read_looks(faces, eyes.detector, eyes.embedder)
    real = looks.templates
    looks = frontal(looks)
    shapes = flows(looks.pictures)
    chosen = calm(np.array([resampled(p, f) for p, f in zip(looks.pictures, shapes, strict=True)], np.uint8))
    looks = looks.only(chosen)
    print(f"{len(looks.people)} calm looks of {len(set(looks.people))} people")
    model = learn(looks, flows(looks.pictures, shapes[chosen]))
    cache.mkdir(parents=True, exist_ok=True)
    np.save(templates_file, real)
    model.save(model_file)
    return model, real


def _admitted(model: FaceModel, eyes: Eyes, real: Floats, seed: int) -> Audition:
    found = audition(model, eyes, real, seed)
    if found is None:
        raise SystemExit(f"seed {seed} does not qualify with this model: search for a new cast")
    return found


def _refuse_doubles(auditions: list[Audition]) -> None:
    most = likeness_between(auditions)
    for i, j in np.argwhere(np.triu(most, 1) > MOST_ALIKE):
        raise SystemExit(
            f"seeds {auditions[i].seed} and {auditions[j].seed} look alike ({most[i, j]:.2f}): recast one"
        )


def _search(model: FaceModel, eyes: Eyes, real: Floats, count: int, sheet: Path) -> None:
    """Show who passes the audition: seeds on a sheet, to be chosen by looking."""
    passed = [a for a in (audition(model, eyes, real, seed) for seed in range(count)) if a]
    tiles = [cv2.putText(a.picture.copy(), str(a.seed), (8, 24), 0, 0.7, (255, 255, 255), 2) for a in passed]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 10)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(sheet), np.vstack([np.hstack(tiles[i : i + 10]) for i in range(0, len(tiles), 10)]))
    print(f"{len(passed)} of {count} passed, see {sheet}")


if __name__ == "__main__":
    main()
