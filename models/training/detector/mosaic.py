"""Scenes to learn from: photographs of many sizes over backgrounds without a face, and where the faces are."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detector.labels import Labelled

Image = NDArray[np.uint8]
SIDE = 320
LEAST, MOST = 7.0, 330.0
"""Widths of faces, pixels."""
COVERED, GRAZED = 0.8, 0.08
"""Share of a face that a later photograph hides: above the first it is gone, above the second left out."""
MIRRORED = [1, 0, 2, 4, 3]
"""Landmarks of a mirrored face: right and left change places."""


@dataclass
class Scene:
    """A picture (320,320,3) BGR; boxes (n,4) left, top, width, height; landmarks (n,5,2); sure (n,)."""

    image: Image
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    landmarks: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 5, 2), np.float32))
    sure: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))


def mosaic(photos: list[Labelled], random: np.random.Generator) -> Scene:
    """Return a scene of some photographs, or of none."""
    scene = Scene(backdrop(random))
    crowd = random.random() < 0.5
    for _ in range(int(random.integers(4, 14)) if crowd else int(random.integers(0, 4))):
        width = float(np.exp(random.uniform(np.log(LEAST), np.log(48 if crowd else MOST))))
        _paste(scene, photos[random.integers(len(photos))], width, random)
    if random.random() < 0.5:
        _mirror(scene)
    scene.image = _seen(scene.image, random)
    return scene


def backdrop(random: np.random.Generator) -> Image:
    """Return something without a face: a ramp, blocks, stripes, blobs of skin colour, scribbles, rough texture."""
    low, high = random.uniform(0, 255, (2, 3))
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    image = np.ascontiguousarray(np.broadcast_to(low + (high - low) * ramp, (SIDE, SIDE, 3)), np.uint8)
    if random.random() < 0.5:
        image = np.ascontiguousarray(image.transpose(1, 0, 2))
    for _ in range(int(random.integers(0, 30))):
        colour = random.uniform(0, 255, 3)
        if random.random() < 0.25:  # skin, in BGR, dark to light
            colour = np.array([0.62, 0.74, 1.0]) * random.uniform(50, 255) * random.uniform(0.85, 1.15, 3)
        _draw(image, colour.tolist(), random)
    cells = int(2 ** random.integers(2, 8))
    coarse = random.standard_normal((cells, cells, 3), np.float32) * np.float32(random.uniform(0, 25))
    rough = image + cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.clip(rough, 0, 255).astype(np.uint8)


def _draw(image: Image, colour: list[float], random: np.random.Generator) -> None:
    """Draw one shape on a picture."""
    x, y = (int(value) for value in random.integers(0, SIDE, 2))
    kind = random.random()
    if kind < 0.4:
        width, height = (int(value) for value in random.integers(4, 140, 2))
        part = image[y : y + height, x : x + width]
        part[:] = (part + random.uniform(0.2, 1) * (np.array(colour, np.float32) - part)).astype(np.uint8)
    elif kind < 0.65:
        axes = (int(random.integers(3, 60)), int(random.integers(3, 60)))
        cv2.ellipse(image, (x, y), axes, float(random.uniform(0, 180)), 0, 360, colour, -1)
        if random.random() < 0.4:  # with dark spots: buttons, lamps, windows
            for _ in range(int(random.integers(1, 4))):
                at = (x + int(random.normal(0, axes[0] / 2)), y + int(random.normal(0, axes[1] / 2)))
                cv2.circle(image, at, max(1, axes[0] // 6), [value * 0.3 for value in colour], -1)
    elif kind < 0.8:
        step, thick = int(random.integers(3, 24)), int(random.integers(1, 6))
        for at in range(0, int(random.integers(20, 120)), step):
            ends = ((x + at, y), (x + at, y + 80)) if random.random() < 0.5 else ((x, y + at), (x + 80, y + at))
            cv2.line(image, *ends, colour, thick)
    elif kind < 0.9:
        text = "".join(chr(int(code)) for code in random.integers(48, 123, 5))
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, float(random.uniform(0.3, 2)), colour, 2)
    else:
        points = random.integers(0, 100, (6, 2)) + np.array([x, y])
        cv2.fillPoly(image, [points.astype(np.int32)], colour)


def _paste(scene: Scene, photo: Labelled, width: float, random: np.random.Generator) -> None:
    """Put a photograph into the scene so that its widest face has this width; without a face, at any size."""
    if not len(photo.boxes):
        return
    image, boxes, landmarks, sure = photo.image, photo.boxes, photo.landmarks, photo.sure
    if random.random() < 0.12:  # the same picture without its faces teaches what surrounds one
        image, boxes, landmarks, sure = _erased(image, boxes, random), boxes[:0], landmarks[:0], sure[:0]
    mask = _mask(image.shape[0], image.shape[1], random)
    matrix = _turned(width / float(photo.boxes[:, 2].max()), random)
    corners = np.array([[0, 0], [image.shape[1], 0], [0, image.shape[0]], [image.shape[1], image.shape[0]]])
    reach = corners @ matrix[:, :2].T
    least, most = reach.min(axis=0), reach.max(axis=0)
    # Anywhere, over the edge too; the face itself mostly inside.
    span = most - least
    matrix[:, 2] = random.uniform(*np.sort([-0.35 * span, SIDE - 0.65 * span], axis=0)) - least
    shown = _merged(scene.image, image, mask, matrix, (least + matrix[:, 2], most + matrix[:, 2]))
    _hide(scene, shown)
    _enter(scene, boxes, landmarks, sure, matrix)


def _merged(
    into: Image,
    image: Image,
    mask: NDArray[np.float32],
    matrix: NDArray[np.float64],
    reach: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Draw a photograph, moved by a matrix, into a picture; return how much of it shows where (320,320)."""
    shown = np.zeros((SIDE, SIDE), np.float32)
    low = np.clip(np.floor(reach[0]), 0, SIDE).astype(int)
    high = np.clip(np.ceil(reach[1]) + 1, 0, SIDE).astype(int)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    if min(size) <= 0:
        return shown
    warp = np.column_stack([matrix[:, :2], matrix[:, 2] - low])
    zoom = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if zoom < 0.5:  # a warp does not average: shrink first
        small = (max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom)))
        warp[:, :2] = warp[:, :2] @ np.diag([image.shape[1] / small[0], image.shape[0] / small[1]])
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, small, interpolation=cv2.INTER_AREA), np.float32)
    moved = cv2.warpAffine(image, warp, size, borderMode=cv2.BORDER_REPLICATE)
    part = np.asarray(cv2.warpAffine(mask, warp, size), np.float32)
    there = into[low[1] : high[1], low[0] : high[0]]
    there[:] = there + part[..., None] * (moved.astype(np.float32) - there)
    shown[low[1] : high[1], low[0] : high[0]] = part
    return shown


def _turned(zoom: float, random: np.random.Generator) -> NDArray[np.float64]:
    angle, stretch = np.deg2rad(random.normal(0, 8)), np.exp(random.normal(0, 0.06))
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear @ np.diag([stretch, 1 / stretch]), np.zeros(2)])


def _mask(height: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return what of a photograph shows: all of it, or head and shoulders with a soft outline."""
    if random.random() < 0.45:
        return np.ones((height, width), np.float32)
    mask = np.zeros((height, width), np.float32)
    grow = random.uniform(0.9, 1.15)
    head = (int(width * 0.28 * grow), int(height * 0.38 * grow))
    cv2.ellipse(mask, (width // 2, int(height * 0.48)), head, 0, 0, 360, 1.0, -1)
    shoulders = (int(width * 0.46 * grow), int(height * 0.3 * grow))
    cv2.ellipse(mask, (width // 2, int(height * 1.02)), shoulders, 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), random.uniform(2, 7)), np.float32)


def _erased(image: Image, boxes: NDArray[np.float32], random: np.random.Generator) -> Image:
    """Return a photograph whose faces are painted over, with one colour or with rubble of themselves."""
    image = image.copy()
    for left, top, width, height in boxes:
        grown = np.array([left - 0.15 * width, top - 0.2 * height, 1.3 * width, 1.4 * height])
        x, y, w, h = (max(0, int(value)) for value in grown)
        part = image[y : y + h, x : x + w]
        if random.random() < 0.5 or part.size < 64:
            part[:] = part.reshape(-1, 3).mean(axis=0) if part.size else 0
        else:
            some = part.reshape(-1, 3)[random.integers(0, part.shape[0] * part.shape[1], 36)]
            small = some.reshape(6, 6, 3)
            part[:] = cv2.resize(small, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_CUBIC)
    return image


def _hide(scene: Scene, shown: NDArray[np.float32]) -> None:
    """Take out the faces that a photograph put over them hides; those it grazes are neither face nor background."""
    if not len(scene.boxes):
        return
    hidden = np.array([_share(shown, box) for box in scene.boxes])
    scene.sure &= hidden <= GRAZED
    _keep(scene, hidden <= COVERED)


def _share(shown: NDArray[np.float32], box: NDArray[np.float32]) -> float:
    x, y = (max(0, int(value)) for value in box[:2])
    right, bottom = (int(value) for value in np.ceil(box[:2] + box[2:]))
    part = shown[y:bottom, x:right]
    return float(part.mean()) if part.size else 0.0


def _enter(
    scene: Scene,
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    sure: NDArray[np.bool_],
    matrix: NDArray[np.float64],
) -> None:
    """Add a photograph's faces where they came to lie; what the edge cuts is not sure, or not there at all."""
    if not len(boxes):
        return
    centres = (boxes[:, :2] + boxes[:, 2:] / 2) @ matrix[:, :2].T + matrix[:, 2]
    sizes = boxes[:, 2:] * np.sqrt(np.abs(np.linalg.det(matrix[:, :2])))
    moved = np.concatenate([centres - sizes / 2, sizes], axis=1).astype(np.float32)
    points = (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    inside = np.clip(moved[:, :2] + moved[:, 2:], 0, SIDE) - np.clip(moved[:, :2], 0, SIDE)
    share = np.prod(inside, axis=1) / np.maximum(np.prod(moved[:, 2:], axis=1), 1e-6)
    scene.boxes = np.concatenate([scene.boxes, moved])
    scene.landmarks = np.concatenate([scene.landmarks, points])
    scene.sure = np.concatenate([scene.sure, sure & (share > 0.8) & (moved[:, 2] >= LEAST)])
    _keep(scene, np.concatenate([np.ones(len(scene.boxes) - len(moved), bool), share > 0.1]))


def _keep(scene: Scene, kept: NDArray[np.bool_]) -> None:
    scene.boxes, scene.landmarks, scene.sure = scene.boxes[kept], scene.landmarks[kept], scene.sure[kept]


def _mirror(scene: Scene) -> None:
    scene.image = np.ascontiguousarray(scene.image[:, ::-1])
    scene.boxes[:, 0] = SIDE - scene.boxes[:, 0] - scene.boxes[:, 2]
    scene.landmarks[..., 0] = SIDE - scene.landmarks[..., 0]
    scene.landmarks = scene.landmarks[:, MIRRORED]


def _seen(image: Image, random: np.random.Generator) -> Image:
    """Return a scene as a camera gives it: light, blur, noise, compression."""
    levels = 255 * np.linspace(0, 1, 256) ** np.exp(random.normal(0, 0.3))
    table = np.clip(levels[:, None] * np.exp(random.normal(0, 0.15)) * (1 + random.normal(0, 0.05, 3)), 0, 255)
    image = np.asarray(cv2.LUT(image, table.astype(np.uint8)[None]), np.uint8)
    if random.random() < 0.15:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    if random.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.4)), np.uint8)
    elif random.random() < 0.15:
        length = int(random.integers(3, 7))
        kernel = np.full((1, length), 1 / length, np.float32)
        image = np.asarray(cv2.filter2D(image, -1, kernel if random.random() < 0.7 else kernel.T), np.uint8)
    if random.random() < 0.4:
        noise = random.standard_normal(image.shape, np.float32) * np.float32(random.uniform(1, 10))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.6:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 92))])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image
