"""Chips to templates."""

import numpy as np
from numpy.typing import NDArray

from edge.errors import IntegrityError, OperatorError
from edge.faces.registry import ModelCard, ModelStore
from edge.faces.runtime import RuntimeSettings, Session, open_session


class Embedder:
    """A model that turns aligned chips into templates.

    `model_sha256` is what its templates are marked with: templates of two models are never compared.
    """

    def __init__(self, card: ModelCard, session: Session) -> None:
        self._input = card.input
        self._mean = np.array(card.input.mean, np.float32) * np.float32(card.input.divide_by)
        self._gain = 1 / (np.array(card.input.std, np.float32) * np.float32(card.input.divide_by))
        self._session = session
        self._name, self._thresholds = card.name, card.thresholds
        self.model_sha256 = card.template_identity
        self.dimension = card.dimension

    def candidate_threshold(self, told: float | None) -> float:
        """Return the cosine from which a box asks the centre to look: what it was told, else what the card says."""
        known = self._thresholds.candidate if self._thresholds else None
        return self._threshold(told, known, "pipeline.policy.candidate_threshold at the box")

    def alert_threshold(self, told: float | None) -> float:
        """Return the cosine from which the centre alerts: what it was told, else what the card says."""
        known = self._thresholds.alert if self._thresholds else None
        return self._threshold(told, known, "alert_threshold at the centre")

    def _threshold(self, told: float | None, known: float | None, key: str) -> float:
        if told is not None:
            return told
        if known is None:
            raise OperatorError(
                f"model {self._name} has no thresholds on its card",
                hint=f"measure it (sightline evaluate --model {self._name}) and set {key}",
            )
        return known

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (n,d) float32 unit vectors of (n,112,112,3) uint8 BGR chips."""
        if not len(chips):
            return np.zeros((0, self.dimension), np.float32)
        raw = np.asarray(self._session.run(self.as_input(chips))[0], np.float32)
        if raw.shape != (len(chips), self.dimension):
            raise IntegrityError(
                f"model {self._name} gave {raw.shape} for {len(chips)} chips, its card says {self.dimension} numbers"
            )
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        # Seen on one board: NaN embeddings, silently. A template without a direction matches nobody.
        if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
            raise IntegrityError(f"model {self._name} gave embeddings that are not numbers", hint="run: edge check")
        return np.asarray(raw / lengths, np.float32)

    def as_input(self, chips: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Return (n,112,112,3) uint8 BGR chips ordered, scaled and laid out as the card says."""
        values = chips[..., ::-1] if self._input.colour == "RGB" else chips
        channels_first = self._input.layout == "NCHW"
        if self._input.dtype == "uint8":
            return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if channels_first else values)
        scaled = np.asarray((values.astype(np.float32) - self._mean) * self._gain, np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)) if channels_first else scaled


def open_embedder(card: ModelCard, store: ModelStore, settings: RuntimeSettings) -> Embedder:
    """Load a registered embedder."""
    return Embedder(card, open_session(card, store, settings))
