"""Session: arrays in, arrays out, whatever engine runs the model.

The engine follows from the file: ONNX Runtime, or TensorFlow Lite for a `.tflite`. What was asked for and is
missing is an error, never a silent fall-back to something slower.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edge.faces.golden import prove
from edge.faces.onnx_session import OnnxSession
from edge.faces.prepare import free_batch
from edge.faces.registry import ModelCard, ModelStore
from edge.faces.tflite_session import TfliteSession

TFLITE = ".tflite"


class RuntimeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How models are run."""

    provider: str = "cpu"
    """Execution provider: cpu, xnnpack, cuda or tensorrt."""
    threads: int = 2
    """Threads inside one inference; more than the machine's cores only slows it."""


class Session(Protocol):
    """A loaded model."""

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        """Infer; `array` is in the layout of the model's card, outputs come in `outputs` order."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs."""


def open_session(card: ModelCard, store: ModelStore, settings: RuntimeSettings) -> Session:
    """Verify, prepare, load and, where it has a golden file, try a registered model."""
    engine = TfliteSession if card.file.endswith(TFLITE) else OnnxSession
    session = engine(read_model(card, store), card.name, provider=settings.provider, threads=settings.threads)
    if card.golden:
        prove(session, card, store)
    return session


def read_model(card: ModelCard, store: ModelStore) -> bytes:
    """Return the bytes to load: the verified file, prepared as its card says."""
    path: Path = store.path(card)
    model = path.read_bytes()
    return free_batch(model, card.name) if card.prepare == "free-batch" else model
