"""A model in ONNX Runtime; the only place that knows this engine."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as engine

from edge.errors import IntegrityError, OperatorError

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

# The file was verified before: it is the one that is registered.
HINT = "this version of ONNX Runtime cannot run the registered file: install the one of constraints.txt"


class OnnxSession:
    """A model in ONNX Runtime."""

    def __init__(self, model: bytes, name: str, *, provider: str = "cpu", threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from decoding and from the other processes of the box.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=[_known(provider)])
        except _BAD_MODEL as error:
            raise IntegrityError(f"model {name} does not load: {_first_line(error)}", hint=HINT) from error
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        """Infer."""
        outputs: Sequence[NDArray[np.float32]] = self._session.run(None, {self._input: array})
        return outputs


def _known(provider: str) -> str:
    wanted = PROVIDERS.get(provider)
    if wanted is None:
        raise OperatorError(f"no execution provider {provider!r}", hint=f"known: {', '.join(PROVIDERS)}")
    if wanted not in ort.get_available_providers():
        raise OperatorError(
            f"execution provider {provider!r} is not in this build of ONNX Runtime",
            hint="install the build of the board's vendor, or set provider: cpu",
        )
    return wanted


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
