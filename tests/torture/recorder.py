"""`edge watch` as it is, but that a ledger elsewhere notes what it computed: what must be found nowhere else.

Run as `python -m tests.torture.recorder LEDGER CONFIG`. Only what goes through is written down, nothing is changed.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edge.pipeline
from edge import cli
from edge.faces.embed import Embedder


def main(ledger: Path, config: str) -> int:
    """Watch until told to stop."""
    embed, cut = Embedder.embed, edge.pipeline._cut
    with (ledger / "templates").open("ab") as templates, (ledger / "pixels").open("ab") as pixels:

        def noted(self: Embedder, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
            made = embed(self, chips)
            # The model is tried before the first frame, with chips of no face.
            templates.write(made.astype("<f4").tobytes())
            for chip in chips:
                _rows(chip)
            templates.flush()
            return made

        def cut_noted(*arguments: object) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
            crop, landmarks = cut(*arguments)  # type: ignore[arg-type]  # whatever it takes
            _rows(crop)
            return crop, landmarks

        def _rows(picture: NDArray[np.uint8]) -> None:
            """Note a stretch of 48 bytes from the middle of each of three rows."""
            height, width = picture.shape[:2]
            left = max(0, width // 2 - 8)
            for row in (height // 3, height // 2, 2 * height // 3):
                pixels.write(picture[row, left : left + 16].tobytes().ljust(48, b"\0"))
            pixels.flush()

        Embedder.embed = noted  # type: ignore[method-assign]
        edge.pipeline._cut = cut_noted  # type: ignore[assignment]
        return cli.main(["watch", "--config", config])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
