"""The scene that `sightline bench` makes: patches of texture that cross a 1080p picture, and where they are."""

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.align import ARCFACE_112, CHIP
from edge.faces.detect import Faces

Image = NDArray[np.uint8]
FPS = 25
WIDTH, HEIGHT = 1920, 1080
PEOPLE = 4
PASS_FRAMES = 75
FACE_PX = 120


def make_scene(path: Path, frames: int) -> Path:
    """Write a 1080p H.264 file at 4 Mbit/s in which patches of texture cross the picture."""
    draw = np.random.default_rng(7)
    slope = np.linspace(60, 160, WIDTH, dtype=np.float32)[None, :, None]
    wall = np.asarray((slope + draw.normal(0, 6, (HEIGHT, WIDTH, 3))).clip(0, 255), np.uint8)
    patches = [_texture(seed) for seed in range(PEOPLE)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for index in range(frames):
            picture = wall.copy()
            for patch, (left, top) in zip(patches, _corners(index), strict=True):
                picture[top : top + FACE_PX, left : left + FACE_PX] = patch
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


def _corners(index: int) -> list[tuple[int, int]]:
    """Return where the faces are in a frame: left, top; each crosses the picture in PASS_FRAMES."""
    step = (WIDTH - FACE_PX) // PASS_FRAMES
    phases = ((index + person * PASS_FRAMES // PEOPLE) % PASS_FRAMES for person in range(PEOPLE))
    return [(phase * step, 100 + person * (HEIGHT - 200) // PEOPLE) for person, phase in enumerate(phases)]


def faces_at(index: int) -> Faces:
    """Return the faces of a frame: a box each, and landmarks where an aligned chip has them."""
    corners = np.array(_corners(index), np.float32)
    boxes = np.concatenate([corners, np.full((PEOPLE, 2), FACE_PX, np.float32)], axis=1)
    landmarks = ARCFACE_112 * np.float32(FACE_PX / CHIP) + corners[:, None]
    return Faces(boxes, np.asarray(landmarks, np.float32), np.full(PEOPLE, 0.9, np.float32))


def _texture(seed: int) -> Image:
    """Return a patch with detail at several scales, as a lit face has."""
    draw = np.random.default_rng(seed)
    layers = [
        scale**0.5 * cv2.resize(draw.normal(size=(FACE_PX // scale,) * 2), (FACE_PX, FACE_PX))
        for scale in (2, 4, 8, 20)
    ]
    grey = np.sum(layers, axis=0)
    grey = 125 + 35 * (grey - grey.mean()) / grey.std()
    return np.asarray(np.repeat(grey[..., None], 3, axis=2).clip(0, 255), np.uint8)
