"""What the public models make of the finished scene: read back from its files, as any user would."""

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from edge.camera.planes import pixels_of
from edge.faces.align import align
from edge.faces.pixels import whole
from scene.casting import Eyes
from scene.looks import Floats

SIZES_PX = (20, 30, 40, 60, 80, 110, 200)
READABLE_PX = 60
THRESHOLDS = (0.40, 0.44, 0.50, 0.55)


@dataclass
class Seen:
    """All that was seen of one person's walk: template (n,d), face width and detection score of each sighting."""

    watched: bool
    templates: list[Floats] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """References (n,d) with their owners, what was seen of each walk, and what the detector missed or invented."""

    references: Floats
    owners: list[str]
    seen: dict[str, Seen]
    missed: list[float]
    invented: int


def read_scene(folder: Path, eyes: Eyes) -> Scene:
    """Detect and embed every face of street.mp4, and match faces to the truth by where they are."""
    truth = json.loads((folder / "street.json").read_text())
    owners, references = [], []
    for path in sorted((folder / "references").glob("*/*.jpg")):
        look = eyes.template(np.asarray(cv2.imread(str(path)), np.uint8))
        if look is None:
            raise ValueError(f"no face in {path}")
        owners.append(path.parent.name)
        references.append(look[1])
    seen = {w["identity"]: Seen(w["watched"]) for w in truth["walks"]}
    missed: list[float] = []
    invented = 0
    with av.open(str(folder / "street.mp4")) as container:
        for frame, present in zip(container.decode(video=0), truth["frames"], strict=True):
            image = whole(pixels_of(frame))
            invented += _read_frame(image, present, eyes, seen, missed)
    return Scene(np.array(references), owners, seen, missed, invented)


def report(scene: Scene, real: Floats | None = None) -> dict[str, Any]:
    """Return the measured numbers; real (m,d): templates of the photographs the face model learnt from."""
    sizes = np.concatenate([s.sizes for s in scene.seen.values()])
    scores = np.concatenate([s.scores for s in scene.seen.values()])
    same, other = _cosines(scene)
    across = _between_walkers(scene)
    result: dict[str, Any] = {
        "detection": [
            {
                "face_px": [low, high],
                "found": int(((sizes >= low) & (sizes < high)).sum()),
                "missed": sum(low <= m < high for m in scene.missed),
                "score_median": _rounded(np.median(scores[(sizes >= low) & (sizes < high)])),
                "score_5th": _rounded(np.percentile(scores[(sizes >= low) & (sizes < high)], 5)),
            }
            for low, high in pairwise(SIZES_PX)
        ],
        "invented_faces": scene.invented,
        "same_person": _spread(same),
        "reference_against_others": _spread(other),
        "walker_against_walker": _spread(across),
        "walks": {t: _walks(scene, t) for t in THRESHOLDS},
    }
    if real is not None:
        result["nearest_real_reference"] = _spread((scene.references @ real.T).max(axis=1))
        means = np.array([_mean(s) for s in scene.seen.values() if s.templates])
        result["nearest_real_walker"] = _spread((means @ real.T).max(axis=1))
    return result


def _read_frame(
    image: np.ndarray[Any, np.dtype[np.uint8]],
    present: list[dict[str, Any]],
    eyes: Eyes,
    seen: dict[str, Seen],
    missed: list[float],
) -> int:
    """Add what one frame shows; return how many faces nobody has."""
    faces = eyes.detector.detect(image)
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    free = np.ones(len(faces), bool)
    for person in sorted(present, key=lambda p: -p["face"]):
        cut_off = person["y"] + person["face"] / 2 > image.shape[0]
        away = np.hypot(*(centres - (person["x"], person["y"])).T) + np.where(free, 0, np.inf)
        best = int(away.argmin()) if len(away) else -1
        if best < 0 or away[best] > 0.5 * person["face"]:
            missed += [] if cut_off else [person["face"]]
            continue
        free[best] = False
        if cut_off:
            continue
        found = seen[person["identity"]]
        found.sizes.append(person["face"])
        found.scores.append(float(faces.scores[best]))
        if person["face"] >= READABLE_PX / 2:
            found.templates.append(eyes.embedder.embed(align(image, faces.landmarks[best])[None])[0])
        else:
            found.templates.append(np.zeros(eyes.embedder.dimension, np.float32))
    return int(free.sum())


def _cosines(scene: Scene) -> tuple[Floats, Floats]:
    """Return cosines of readable sightings to the person's own references, and to those of others."""
    owners = np.array(scene.owners)
    same, other = [], []
    for name, seen in scene.seen.items():
        cosines = _readable(seen) @ scene.references.T
        same.append(cosines[:, owners == name].ravel())
        other.append(cosines[:, owners != name].ravel())
    return np.concatenate(same), np.concatenate(other)


def _between_walkers(scene: Scene) -> Floats:
    means = np.array([_mean(s) for s in scene.seen.values() if len(_readable(s))])
    return np.asarray((means @ means.T)[np.triu_indices(len(means), 1)], np.float32)


def _walks(scene: Scene, threshold: float) -> dict[str, int]:
    """Count walks whose best single sighting passes, right and wrong; no tracking and no fusion."""
    owners = np.array(scene.owners)
    counts = {"watched": 0, "recognised": 0, "others": 0, "false_alerts": 0}
    for name, seen in scene.seen.items():
        cosines = np.array(seen.templates) @ scene.references.T
        own, foreign = cosines[:, owners == name], cosines[:, owners != name]
        counts["watched" if seen.watched else "others"] += 1
        counts["recognised"] += int(own.size > 0 and own.max() >= threshold)
        counts["false_alerts"] += int(foreign.size > 0 and foreign.max() >= threshold)
    return counts


def _readable(seen: Seen) -> Floats:
    large = np.array(seen.sizes) >= READABLE_PX
    return np.array(seen.templates)[large]


def _mean(seen: Seen) -> Floats:
    mean = _readable(seen).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _spread(values: Floats) -> dict[str, float]:
    low, median, high = np.percentile(values, [5, 50, 95])
    return {
        "mean": _rounded(values.mean()),
        "min": _rounded(values.min()),
        "5th": _rounded(low),
        "median": _rounded(median),
        "95th": _rounded(high),
        "max": _rounded(values.max()),
    }


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 3)
