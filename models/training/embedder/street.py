"""Faces as a street camera gives them: new people by blending, then distance, motion, light and compression.

The probabilities were set by eye on sheets of results (`--sheet`): about a third stays nearly clean, since
references are clean.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.faces.align import CHIP
from models.training.embedder.faces import MARGIN, STORED, ZOOM

Face = NDArray[np.uint8]
Floats = NDArray[np.float32]
EYES = 35.2
"""Pixels between the eyes of an ArcFace chip."""
GRID = np.stack(np.meshgrid(np.arange(STORED), np.arange(STORED)), axis=2).astype(np.float32)
"""Where each pixel of a stored face is: x, y."""


def street_chip(faces: NDArray[np.uint8], random: np.random.Generator) -> Face:
    """Return one (112,112,3) uint8 chip made of one to three of the stored faces (n,192,192,3)."""
    chip = _moved(_reshaped(_somebody(faces, random), random), random)
    if random.random() < 0.12:
        chip = _occluded(chip, faces, random)
    if random.random() < 0.30:
        return _lit(chip, random) if random.random() < 0.5 else chip
    chip = _lit(chip, random)
    if random.random() < 0.25:
        chip = _smeared(chip, random)
    if random.random() < 0.65:
        chip = _distant(chip, random)
    if random.random() < 0.35:
        noise = random.normal(0, random.uniform(1, 9), chip.shape).astype(np.float32)
        chip = _bytes(chip.astype(np.float32) + noise)
    return _compressed(chip, random) if random.random() < 0.5 else chip


def _somebody(faces: NDArray[np.uint8], random: np.random.Generator) -> Face:
    """Return one face, or a new one: a mixture of two or three, evenly or by parts."""
    kind = random.random()
    first = faces[random.integers(len(faces))]
    if kind < 0.40:
        return np.asarray(first, np.uint8)
    second = faces[random.integers(len(faces))]
    if random.random() < 0.5:
        second = second[:, ::-1]
    if kind < 0.80:
        weight = random.uniform(0.2, 0.8)
        mixed = cv2.addWeighted(first, weight, second, 1 - weight, 0)
        if kind > 0.70:
            weight = random.uniform(0.5, 0.8)
            mixed = cv2.addWeighted(mixed, weight, faces[random.integers(len(faces))], 1 - weight, 0)
        return np.asarray(mixed, np.uint8)
    # By parts: a smooth wave over the face decides who shows where.
    coarse = random.normal(0, 1, (4, 4)).astype(np.float32)
    mask = 1 / (1 + np.exp(-6 * cv2.resize(coarse, (STORED, STORED), interpolation=cv2.INTER_CUBIC)))[..., None]
    return np.asarray(first * mask + second * (1 - mask), np.uint8)


def _reshaped(face: Face, random: np.random.Generator) -> Face:
    """Return the face with its parts a little elsewhere, as another person has them; half stay as they are."""
    if random.random() < 0.5:
        return face
    cells = int(random.integers(3, 6))
    reach = random.uniform(0.5, 2.5) * ZOOM
    field = reach * random.standard_normal((cells, cells, 2), np.float32)
    there = cv2.resize(field, (STORED, STORED), interpolation=cv2.INTER_CUBIC) + GRID
    x, y = (np.ascontiguousarray(there[..., axis], np.float32) for axis in (0, 1))
    return np.asarray(cv2.remap(face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _moved(face: Face, random: np.random.Generator) -> Face:
    """Return the chip as an unsteady detector would cut it, mirrored or not, a little wider or narrower."""
    careless = 2.5 if random.random() < 0.15 else 1.0
    turn, zoom = np.deg2rad(random.normal(0, 3 * careless)), np.exp(random.normal(0, 0.03 * careless))
    stretch = np.exp(random.normal(0, 0.025))
    linear = zoom / ZOOM * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.diag([stretch, 1 / stretch])
    if random.random() < 0.5:
        linear[:, 0] *= -1
    middle = np.full(2, CHIP / 2) + random.normal(0, 1.0 * careless, 2)
    shift = middle - linear @ np.full(2, (CHIP / 2 + MARGIN) * ZOOM)
    matrix = np.column_stack([linear, shift])
    return np.asarray(cv2.warpAffine(face, matrix, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _occluded(chip: Face, faces: NDArray[np.uint8], random: np.random.Generator) -> Face:
    """Return the chip with something in front of it: a block of one colour, of noise, or of another picture."""
    chip = chip.copy()
    width, height = random.integers(14, 60, 2)
    x, y = random.integers(0, CHIP - width), random.integers(0, CHIP - height)
    if random.random() < 0.3:  # a mask or a scarf
        x, y, width, height = 10, random.integers(68, 84), CHIP - 20, CHIP
    part = chip[y : y + height, x : x + width]
    kind = random.random()
    if kind < 0.5:
        part[:] = random.integers(0, 256, 3)
    elif kind < 0.7:
        part[:] = random.integers(0, 256, part.shape)
    else:
        part[:] = faces[random.integers(len(faces))][: part.shape[0], : part.shape[1]]
    return chip


def _lit(chip: Face, random: np.random.Generator) -> Face:
    """Return the chip in other light: gamma, gain, a cast, a side in shadow, less colour."""
    levels = np.linspace(0, 1, 256, dtype=np.float32) ** np.exp(random.normal(0, 0.35))
    cast = 1 + random.normal(0, 0.06, 3).astype(np.float32)
    gain, lift = np.exp(random.normal(0, 0.2)), random.normal(0, 0.05)
    table = _bytes(255 * (levels[:, None] * gain * cast + lift))
    chip = np.asarray(cv2.LUT(chip, table[:, None].transpose(1, 0, 2)), np.uint8)
    kind = random.random()
    if kind < 0.2:
        angle = random.uniform(0, 2 * np.pi)
        ramp = np.linspace(-1, 1, CHIP, dtype=np.float32)
        shade = 1 + random.uniform(0.1, 0.6) * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None]) / 1.4
        chip = _bytes(chip * shade[..., None])
    elif kind < 0.4:
        grey = cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY)[..., None]
        chip = _bytes(grey + random.uniform(0, 1) * (chip.astype(np.float32) - grey))
    return chip


def _smeared(chip: Face, random: np.random.Generator) -> Face:
    """Return the chip blurred by motion or by want of focus."""
    if random.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(chip, (0, 0), random.uniform(0.5, 2.5)), np.uint8)
    length = int(random.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = (length - 1) / 2
    ends = [tuple(np.rint(middle + sign * reach).astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(chip, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)


def _distant(chip: Face, random: np.random.Generator) -> Face:
    """Return the chip as if it had been cut from a face with 10 to 35 pixels between the eyes."""
    side = max(12, round(CHIP * random.uniform(10, EYES) / EYES))
    small = cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA)
    if random.random() < 0.5:
        small = _compressed(np.asarray(small, np.uint8), random)
    how = cv2.INTER_LINEAR if random.random() < 0.8 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (CHIP, CHIP), interpolation=how), np.uint8)


def _compressed(chip: Face, random: np.random.Generator) -> Face:
    _, data = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(20, 90))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _bytes(values: Floats) -> Face:
    return np.clip(values, 0, 255).astype(np.uint8)
