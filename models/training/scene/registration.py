"""Looks into one shape, by optical flow.

Two faces differ in shape and in complexion; averaged pixel by pixel they blur. So every look is compared
with its own projection onto the few strongest modes of all looks: a face with this look's light, but with
the average shape. The flow between the two is this look's shape, and the look resampled along it has the
average shape. A few rounds with more modes each make averages sharp (Kemelmacher-Shlizerman and Seitz,
Collection Flow, 2012).
"""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scene.looks import HEIGHT, WIDTH, Bytes, Floats

Picture = TypeVar("Picture", Bytes, Floats)

ROUNDS = (3, 6, 10)
FINE_ROUNDS = (12, 16)
STIFFNESS_PX = 4.0
FINE_STIFFNESS_PX = 2.5

COLUMNS, ROWS = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
FACE: NDArray[np.bool_] = ((COLUMNS - 80) / 66) ** 2 + ((ROWS - 108) / 94) ** 2 < 1


def principal(rows: Floats, count: int) -> tuple[Floats, Floats, Floats]:  # mean, modes (k,d), coefficients (n,k)
    """Return mean (d,), strongest modes (k,d) and coefficients (n,k) of rows (n,d); `rows` is overwritten.

    Randomised subspace iteration (Halko, Martinsson and Tropp, 2011): exact enough, and in memory's reach.
    """
    mean = rows.mean(axis=0)
    rows -= mean
    basis = np.random.default_rng(0).normal(size=(rows.shape[1], count + 10)).astype(np.float32)
    for _ in range(2):
        basis = np.linalg.qr(rows.T @ np.linalg.qr(rows @ basis)[0])[0]
    left, strength, right = np.linalg.svd(rows @ basis, full_matrices=False)
    modes, weights = (right @ basis.T)[:count], left[:, :count] * strength[:count]
    # A mode and its negative say the same; one rule for the sign keeps seeds meaning the same people.
    signs = np.sign((weights**3).sum(axis=0))
    return mean, modes * signs[:, None], weights * signs


def flows(pictures: Bytes, start: Floats | None = None) -> Floats:
    """Return the flow (n,104,80,2), at half resolution in full pixels, from the average shape to each look."""
    grey = np.array([cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), (0, 0), 1.0) for p in pictures])
    found = np.zeros((len(grey), HEIGHT // 2, WIDTH // 2, 2), np.float32) if start is None else start.copy()
    stiffness = STIFFNESS_PX if start is None else FINE_STIFFNESS_PX
    matcher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    matcher.setVariationalRefinementAlpha(40.0)
    for modes in ROUNDS if start is None else FINE_ROUNDS:
        registered = np.array([resampled(g, f) for g, f in zip(grey, found, strict=True)])
        mean, shapes, weights = principal(registered[:, FACE].astype(np.float32), modes)
        for i in tqdm(range(len(grey)), desc=f"registration, {modes} modes", unit=""):
            look = registered[i] if start is not None else grey[i]
            target = cv2.GaussianBlur(look, (0, 0), 1.0)
            target[FACE] = np.clip(mean + weights[i] @ shapes, 0, 255)
            motion = matcher.calc(target, look, None)  # type: ignore[call-overload]  # no flow to start from
            step = np.asarray(cv2.GaussianBlur(motion, (0, 0), stiffness), np.float32)
            # A later, finer search starts from the registered look and adds to what was found.
            before = resampled(full_size(found[i]), _half(step)) if start is not None else 0
            found[i] = _half(np.asarray(step + before, np.float32))
    return found


def resampled(picture: Picture, flow: Floats) -> Picture:
    """Return the look in the average shape: at x what the picture has at x + flow(x)."""
    full = full_size(flow)
    across, down = COLUMNS + full[..., 0], ROWS + full[..., 1]
    result = cv2.remap(picture, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(result, picture.dtype)


def inverse(flow: Floats) -> Floats:
    """Return the flow (h,w,2) that undoes a flow (h,w,2), both in pixels: from a shape back to the average."""
    columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in flow.shape[1::-1]))
    back: Floats = -flow
    for _ in range(8):
        across, down = columns + back[..., 0], rows + back[..., 1]
        there = cv2.remap(flow, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        back = -np.asarray(there, np.float32)
    return back


def full_size(flow: Floats) -> Floats:
    """Return a flow (104,80,2) as (208,160,2)."""
    return np.asarray(cv2.resize(flow, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32)


def _half(flow: Floats) -> Floats:
    return np.asarray(cv2.resize(flow, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA), np.float32)
