"""The finished files: video, truth, references."""

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from scene.looks import Bytes, Floats
from scene.people import Person
from scene.street import Camera
from scene.walk import Walker

FPS = 15
JPEG_QUALITY = 92
# Constant quality that keeps faces of 40 pixels sharp; the still street costs nothing after its first frame.
X264 = {"preset": "veryslow", "crf": "23", "g": str(10 * FPS), "tune": "film"}


def write_video(path: Path, camera: Camera, still: Floats, walkers: list[Walker]) -> None:
    """Render everybody's walk over the still street, and write the truth beside it as .json."""
    last = max(w.walk.start_s + w.walk.seconds for w in walkers) + 0.5
    frames = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=X264)
        stream.width, stream.height, stream.pix_fmt = camera.width, camera.height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for index in tqdm(range(int(last * FPS)), desc="frames", unit=""):
            now = index / FPS
            scene, present = still.copy(), []
            # The far are painted first, so that the near stand in front of them.
            for walker in sorted(walkers, key=lambda w: -(w.walk.depth(now) or 0)):
                sight = walker.step(scene, camera, now)
                if sight is not None:
                    person = walker.walk.person
                    present.append(
                        {
                            "identity": person.name,
                            "watched": person.watched,
                            "x": round(float(sight.x), 1),
                            "y": round(float(sight.y), 1),
                            "face": round(float(sight.face), 1),
                        }
                    )
            frames.append(present)
            picture = av.VideoFrame.from_ndarray(np.clip(scene, 0, 255).astype(np.uint8), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    walks = [
        {
            "identity": w.walk.person.name,
            "watched": w.walk.person.watched,
            "photo": "walking",
            "enters": round(w.walk.start_s, 2),
            "leaves": round(w.walk.start_s + w.walk.seconds, 2),
        }
        for w in walkers
    ]
    truth = {"fps": FPS, "size": [camera.width, camera.height], "walks": walks, "frames": frames}
    path.with_suffix(".json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")


def write_references(folder: Path, person: Person, pictures: list[Bytes]) -> None:
    """Write `<identity>/<identity>-<number>.jpg`."""
    (folder / person.name).mkdir(parents=True)
    for number, picture in enumerate(pictures, start=1):
        path = folder / person.name / f"{person.name.lower()}-{number}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
