"""A centre that knows whom to look for, and a box that it knows: made once, copied for every chapter."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from central.rig import Rig
from central.store.state import StateDir, open_store
from edge.faces.align import align
from edge.faces.detect import open_detector
from edge.faces.embed import Embedder, open_embedder
from edge.faces.pixels import Bgr
from edge.faces.registry import ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings
from edge.pipeline import _cut

SAMPLE = Path(__file__).resolve().parents[2] / "models" / "sample"
QUICK_LINK = ("link.pace.backoff_first_s=0.2", "link.pace.backoff_cap_s=1.0", "link.pace.resend_s=2.0")


def make(home: Path) -> None:
    """Make the stage under an empty folder: keys, entries, an admitted box with its watchlist, the cast."""
    with Rig(home) as rig:
        rig.start_centre()
        rig.sightline("enrol", str(SAMPLE / "references"))
        rig.make_box({"source": str(SAMPLE / "street.mp4"), "pace": "fast", "at_end": "loop"}, QUICK_LINK)
    _write_cast(home)


def copied(stage: Path, home: Path) -> Rig:
    """Return a rig on a copy of the stage, with ports and paths of its own."""
    shutil.copytree(stage, home)
    rig = Rig(home)
    box = rig.box_config.read_text().replace(str(stage), str(home))
    before = next(line for line in box.splitlines() if "tcp://" in line).rpartition(":")[2].strip().strip("\"'")
    rig.box_config.write_text(box.replace(f":{before}", f":{rig.port}"))
    rig.centre_config.write_text(
        f'endpoint: "tcp://127.0.0.1:{rig.port}"\nconsole: {{host: 127.0.0.1, port: {rig.console_port}}}\n'
    )
    return rig


def _write_cast(home: Path) -> None:
    registry, store = load_registry(), ModelStore.default()
    detector = open_detector(registry.wanted("", Task.DETECT, store), store, RuntimeSettings())
    embedder: Embedder = open_embedder(registry.wanted("", Task.EMBED, store), store, RuntimeSettings())
    centre = open_store(StateDir(home / "centre"))
    enrolled = centre.entries.all()
    centre.close()
    known = np.stack(enrolled.templates)
    arrays: dict[str, NDArray[np.generic]] = {}
    entries, landmarks, templates = [], [], []
    for index, path in enumerate(sorted((SAMPLE / "references").glob("*/*.*"))):
        picture = Bgr(np.asarray(cv2.imread(str(path)), np.uint8))
        faces = detector.detect(picture)
        crop, points = _cut(picture, faces.boxes[0], faces.landmarks[0])
        template = embedder.embed(align(picture, faces.landmarks[0])[None])[0]
        entries.append(enrolled.entries[int(np.argmax(known @ template))])
        landmarks.append(points)
        templates.append(template)
        arrays[f"crop{index}"] = crop
    np.savez(
        home / "cast.npz",
        entries=np.array(entries),
        landmarks=np.stack(landmarks),
        templates=np.stack(templates),
        **arrays,  # type: ignore[arg-type]  # names of arrays, which the stubs take for the function's own flags
    )
