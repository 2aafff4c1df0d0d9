"""Session: arrays in, arrays out, whatever engine runs the model.

One engine so far, ONNX Runtime. What was asked for and is missing is an error, never a silent fall-back to
something slower.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from msgspec import Struct
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as engine

from edge.errors import IntegrityError, OperatorError
from edge.faces.prepare import free_batch
from edge.faces.registry import ModelCard, ModelStore

# What the engine raises for a file that it cannot run; the classes share no base of their own.
_BAD_MODEL = (
    engine.Fail,
    engine.InvalidArgument,
    engine.InvalidGraph,
    engine.InvalidProtobuf,
    engine.NotImplemented,
    engine.RuntimeException,
)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


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


class OnnxSession:
    """A model in ONNX Runtime."""

    def __init__(self, model: bytes, name: str, settings: RuntimeSettings) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from decoding and from the other processes of the box.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=[_provider(settings)])
        except _BAD_MODEL as error:
            raise IntegrityError(
                f"model {name} does not load: {_first_line(error)}", hint="run: sightline models pull"
            ) from error
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        """Infer."""
        outputs: Sequence[NDArray[np.float32]] = self._session.run(None, {self._input: array})
        return outputs


def open_session(card: ModelCard, store: ModelStore, settings: RuntimeSettings) -> OnnxSession:
    """Verify, prepare and load a registered model."""
    model = read_model(card, store)
    return OnnxSession(model, card.name, settings)


def read_model(card: ModelCard, store: ModelStore) -> bytes:
    """Return the bytes to load: the verified file, prepared as its card says."""
    path: Path = store.path(card)
    model = path.read_bytes()
    return free_batch(model, card.name) if card.prepare == "free-batch" else model


def _provider(settings: RuntimeSettings) -> str:
    wanted = PROVIDERS.get(settings.provider)
    if wanted is None:
        raise OperatorError(f"no execution provider {settings.provider!r}", hint=f"known: {', '.join(PROVIDERS)}")
    if wanted not in ort.get_available_providers():
        raise OperatorError(
            f"execution provider {settings.provider!r} is not in this build of ONNX Runtime",
            hint="install the build of the board's vendor, or set provider: cpu",
        )
    return wanted


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
