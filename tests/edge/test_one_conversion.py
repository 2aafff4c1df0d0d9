"""Planes against whole BGR pictures by FFmpeg: the same faces, and templates as near as the same face's."""

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera.planes import pixels_of
from edge.faces.align import align
from edge.faces.detect import Detector, Faces, open_detector
from edge.faces.embed import Embedder, open_embedder
from edge.faces.geometry import overlaps
from edge.faces.pixels import Bgr
from edge.faces.registry import ModelStore, load_registry
from edge.faces.runtime import RuntimeSettings

STREET = Path(__file__).resolve().parents[2] / "models" / "sample" / "street.mp4"
EVERY = 60
USED_EYES_PX = 10.0


def models() -> tuple[Detector, Embedder]:
    registry, store, settings = load_registry(), ModelStore.default(), RuntimeSettings(threads=1)
    detector = open_detector(registry.models["sightline-detector"], store, settings)
    return detector, open_embedder(registry.models["sightline-embedder"], store, settings)


def paired(one: Faces, other: Faces) -> list[int]:
    """Return for each face of one the face of the other that is it."""
    shared = overlaps(one.boxes, other.boxes)
    assert np.all(shared.max(axis=1) > 0.7)
    return [int(index) for index in shared.argmax(axis=1)]


@pytest.mark.slow
def test_faces_and_templates_are_the_same_from_planes_as_from_whole_pictures() -> None:
    detector, embedder = models()
    moved, cosines = [], []
    with av.open(str(STREET)) as container:
        for decoded in islice(container.decode(video=0), 0, None, EVERY):
            planes, whole = pixels_of(decoded), Bgr(np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8))
            one, other = detector.detect(whole, max_side=1280), detector.detect(planes, max_side=1280)
            assert len(one) == len(other)
            for index, same in enumerate(paired(one, other) if len(one) else []):
                eyes_px = float(np.linalg.norm(one.landmarks[index, 1] - one.landmarks[index, 0]))
                if eyes_px < USED_EYES_PX:
                    continue
                moved.append(float(np.abs(one.boxes[index] - other.boxes[same]).max()) / eyes_px)
                chips = np.stack([align(whole, one.landmarks[index]), align(planes, one.landmarks[index])])
                template, from_planes = embedder.embed(chips)
                cosines.append(float(template @ from_planes))
    assert len(cosines) > 15
    assert np.median(moved) < 0.05
    assert np.median(cosines) > 0.995
    assert min(cosines) > 0.985
