"""How shapes and complexions of faces vary: between people, and within one person.

A look is a shape (flow from the average face) and a complexion (colours in the average shape); each is a
point in the space of its principal modes. Looks of one person differ by expression, pose and light; the
covariance of those differences, taken from the covariance of all looks, leaves what differs between people.
A new person is drawn from the latter, and each of their looks adds something of the former.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scene.looks import HEIGHT, WIDTH, Bytes, Floats, Looks
from scene.registration import COLUMNS, FACE, ROWS, full_size, principal, resampled

SHAPE_MODES, COMPLEXION_MODES = 90, 320
BANDS_PX = (1.0, 2.0, 4.0)
MOST_GAIN = 2.4
# Of pose and of light from the side, which are antisymmetric, a person as such has little.
ASYMMETRY = 0.35

_EDGE = np.minimum(np.minimum(COLUMNS, WIDTH - 1 - COLUMNS) / 22, (HEIGHT - 1 - ROWS) / 16)
_FACE_ONLY = np.clip(np.minimum(_EDGE, (ROWS - 22) / 36), 0, 1)


@dataclass(frozen=True, kw_only=True)
class FaceModel:
    """Modes of shape (s,h/2*w/2*2) and complexion (c,pixels*3), and how they are spread.

    deviations (s+c,) scales coefficients to deviation 1; there, `axes` (s+c,s+c) columns have the variance
    `within` (s+c,) within one person and 1 - within between people. `contrast` (bands,h,w): the usual
    deviation of each band of detail.
    """

    shape_mean: Floats
    shape_modes: Floats
    complexion_mean: Floats
    complexion_modes: Floats
    deviations: Floats
    axes: Floats
    within: Floats
    contrast: Floats
    symmetric: Floats
    """How much of each mode (s+c,) a person has: all of the symmetric, little of the others."""

    def person(self, random: np.random.Generator, strength: float) -> Floats:
        """Draw who someone is, in coefficients of deviation 1."""
        between = np.sqrt(np.clip(1 - self.within, 0, 1))
        drawn = self.axes @ (strength * between * random.normal(size=len(between)))
        return np.asarray(drawn * self.symmetric, np.float32)

    def mood(self, random: np.random.Generator, strength: float) -> Floats:
        """Draw how one person happens to look: expression, pose and light of a moment."""
        spread = np.sqrt(np.clip(self.within, 0, 1))
        return np.asarray(self.axes @ (strength * spread * random.normal(size=len(spread))), np.float32)

    def shape(self, look: Floats) -> Floats:
        """Return a look's flow (208,160,2), which fades towards the hair: hair has no shape of its own here."""
        weights = (look * self.deviations)[:SHAPE_MODES]
        flow = (self.shape_mean + weights @ self.shape_modes).reshape(HEIGHT // 2, WIDTH // 2, 2)
        return np.asarray(full_size(flow.astype(np.float32)) * _FACE_ONLY[..., None], np.float32)

    def complexion(self, look: Floats) -> Floats:
        """Return a look's colours (208,160,3) float32 BGR in the average shape, as crisp as a photograph."""
        weights = (look * self.deviations)[SHAPE_MODES:]
        colours = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        inside = (self.complexion_mean + weights @ self.complexion_modes).reshape(-1, 3)
        colours[:] = inside.mean(axis=0)
        colours[FACE] = inside
        return self._crisp(colours)

    def _crisp(self, colours: Floats) -> Floats:
        """Give each band of detail the contrast that it has in photographs: modes alone are a little soft."""
        light = colours.mean(axis=2)
        better, finer = np.zeros_like(light), light
        for band, sigma in enumerate(BANDS_PX):
            coarser = np.asarray(cv2.GaussianBlur(finer, (0, 0), sigma), np.float32)
            detail = finer - coarser
            usual = cv2.GaussianBlur(self.contrast[band] ** 2, (0, 0), 9)
            here = cv2.GaussianBlur(detail**2, (0, 0), 9)
            better += detail * (np.clip(np.sqrt(usual / (here + 0.05)), 0.8, MOST_GAIN) - 1)
            finer = coarser
        return np.asarray(colours + better[..., None], np.float32)

    def save(self, path: Path) -> None:
        """Write the model to a .npz file."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "FaceModel":
        """Read a model from a .npz file."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] for name in file.files})


def learn(looks: Looks, flows: Floats) -> FaceModel:
    """Learn a model from calm looks and their flows, each also mirrored."""
    mirrored = flows[:, :, ::-1].copy()
    mirrored[..., 0] *= -1
    both = np.concatenate([flows, mirrored])
    shape_mean, shape_modes, shape_weights = principal(both.reshape(len(both), -1).copy(), SHAPE_MODES)
    smooth = (shape_mean + shape_weights @ shape_modes).reshape(both.shape)
    pictures = np.concatenate([looks.pictures, looks.pictures[:, :, ::-1]])
    colours, contrast = _colours(pictures, smooth)
    complexion_mean, complexion_modes, complexion_weights = principal(colours, COMPLEXION_MODES)
    weights = np.concatenate([shape_weights, complexion_weights], axis=1)
    deviations = weights.std(axis=0)
    # With every look mirrored too, each mode is its own mirror image, or the negative of it.
    half = len(weights) // 2
    parity = (weights[:half] * weights[half:]).sum(axis=0)
    axes, within = _within(weights / deviations, np.concatenate([looks.people, looks.people]))
    return FaceModel(
        shape_mean=shape_mean,
        shape_modes=shape_modes,
        complexion_mean=complexion_mean,
        complexion_modes=complexion_modes,
        deviations=deviations,
        axes=axes,
        within=within,
        contrast=contrast,
        symmetric=np.where(parity > 0, 1.0, ASYMMETRY).astype(np.float32),
    )


def _colours(pictures: Bytes, flows: Floats) -> tuple[Floats, Floats]:
    """Return the colours inside FACE (n,pixels*3) in the average shape, and the contrast of each band."""
    colours = np.empty((len(pictures), int(FACE.sum()) * 3), np.float32)
    power = np.zeros((len(BANDS_PX), HEIGHT, WIDTH), np.float32)
    for i in tqdm(range(len(pictures)), desc="complexions", unit=""):
        registered = resampled(pictures[i], flows[i])
        colours[i] = registered[FACE].ravel()
        finer = registered.astype(np.float32).mean(axis=2)
        for band, sigma in enumerate(BANDS_PX):
            coarser = np.asarray(cv2.GaussianBlur(finer, (0, 0), sigma), np.float32)
            power[band] += (finer - coarser) ** 2
            finer = coarser
    return colours, np.sqrt(power / len(pictures))


def _within(weights: Floats, people: NDArray[np.str_]) -> tuple[Floats, Floats]:
    """Return the axes of the variation within one person, and the variance along each."""
    names, owner, count = np.unique(people, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), weights.shape[1]))
    np.add.at(means, owner, weights)
    means /= count[:, None]
    # A person with one photograph has two looks here, one the mirror of the other: no evidence.
    repeated = count[owner] > 2
    differences = (weights - means[owner])[repeated]
    freedom = (1 - 1 / count[owner][repeated]).sum()
    variance, axes = np.linalg.eigh(differences.T @ differences / freedom)
    return axes.astype(np.float32), variance.astype(np.float32)
