"""Where pushed files come from: pieces of a file, by path and offset, so that a cut download goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.errors import WorldError


@dataclass(frozen=True, repr=False)
class Piece:
    """Bytes of a file."""

    data: bytes
    eof: bool
    """Whether they are its last."""


class Carrier(Protocol):
    """Brings pieces; nothing it brings is believed."""

    def piece(self, path: str, offset: int, max_bytes: int) -> Piece | None:
        """Return at most `max_bytes` from `offset` on; None where there is no such file.

        Raises WorldError where the way is cut: what was brought is kept, and asked for from there the next time.
        """


class FolderCarrier:
    """A repository in a folder: a stick, a shared disk, a test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def piece(self, path: str, offset: int, max_bytes: int) -> Piece | None:
        """Read a piece of a file below the folder."""
        file = self._folder / path
        if ".." in Path(path).parts or not file.is_file():
            return None
        try:
            with file.open("rb") as opened:
                opened.seek(offset)
                data = opened.read(max_bytes)
                return Piece(data, eof=opened.tell() >= file.stat().st_size)
        except OSError as error:
            raise WorldError(f"cannot read {file}: {error.strerror}") from error
