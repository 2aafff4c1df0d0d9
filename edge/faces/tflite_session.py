"""A model in TensorFlow Lite; the only place that knows this engine.

The interpreter goes by two names: `ai_edge_litert`, the one that is kept up, and `tflite_runtime`, the older
one that a board's image may have. The older one ends at Python 3.11 and does not work with numpy 2, which
shows as a SystemError or an ImportError in the middle of a load.

Sizes are free, but memory is planned for one: it is planned again when the size changes, and only then.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import IntegrityError, OperatorError

PACKAGES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
PROVIDERS = ("cpu", "xnnpack")
"""Both are the processor: XNNPACK takes all operations that it knows without being asked."""
_BAD_MODEL = (ValueError, RuntimeError)

# The file was verified before: it is the one that is registered.
HINT = "this version of TensorFlow Lite cannot run the registered file: install the one of constraints.txt"


class TfliteSession:
    """A model in TensorFlow Lite."""

    def __init__(self, model: bytes, name: str, *, provider: str = "cpu", threads: int = 1) -> None:
        if provider not in PROVIDERS:
            raise OperatorError(
                f"model {name} is a TensorFlow Lite file, which execution provider {provider!r} does not run",
                hint=f"choose its ONNX form, or one of: {', '.join(PROVIDERS)}",
            )
        self._name = name
        made = _interpreter()
        try:
            self._interpreter = made(model_content=model, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (SystemError, ImportError) as error:
            raise _mismatch(error) from error
        except _BAD_MODEL as error:
            raise self._refused("does not load", error) from error
        given = self._interpreter.get_input_details()
        told = self._interpreter.get_output_details()
        if len(given) != 1 or not told:
            raise IntegrityError(f"model {name} has {len(given)} inputs and {len(told)} outputs, not one and some")
        self._input = int(given[0]["index"])
        self._shape: tuple[int, ...] = tuple(int(side) for side in given[0]["shape"])
        self._indices = [int(output["index"]) for output in told]
        self.outputs = tuple(str(output["name"]) for output in told)

    def run(self, array: NDArray[np.generic]) -> Sequence[NDArray[np.float32]]:
        """Infer."""
        try:
            if array.shape != self._shape:
                self._interpreter.resize_tensor_input(self._input, array.shape, strict=True)
                self._interpreter.allocate_tensors()
                self._shape = array.shape
            self._interpreter.set_tensor(self._input, array)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._indices]
        except _BAD_MODEL as error:
            self._shape = ()  # whatever state it is in, the next picture starts with a plan of its own
            raise self._refused(f"does not take {array.dtype} {array.shape}", error) from error

    def _refused(self, how: str, error: Exception) -> IntegrityError:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        return IntegrityError(f"model {self._name} {how}: {words}", hint=HINT)


def _interpreter() -> Callable[..., Any]:
    """Return the interpreter's class, of whichever package is installed."""
    for package in PACKAGES:
        try:
            found: Callable[..., Any] = import_module(package).Interpreter
        except ModuleNotFoundError as error:
            if error.name is None or not package.startswith(error.name):
                raise _mismatch(error) from error
        except (ImportError, AttributeError, SystemError) as error:
            raise _mismatch(error) from error
        else:
            return found
    raise OperatorError(
        "TensorFlow Lite is not installed", hint="pip install ai-edge-litert, or choose a model's ONNX form"
    )


def _mismatch(error: Exception) -> OperatorError:
    words = " ".join(str(error).split())[:160] or type(error).__name__
    return OperatorError(
        f"the installed TensorFlow Lite does not work with Python's packages here (numpy {np.__version__}): {words}",
        hint="pip install ai-edge-litert; the older tflite-runtime needs numpy below 2",
    )
