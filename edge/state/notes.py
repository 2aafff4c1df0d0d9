"""What link must still know after a power cut: which state is on trial, and which one was found wanting."""

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from edge import durable
from edge.errors import WorldError

Note = TypeVar("Note", bound=Struct)


class OnTrial(Struct, frozen=True, kw_only=True):
    """A state is being switched to, or runs and is not yet known to be good."""

    word: str
    version: int
    """Of the box's role in the repository: the same content published again has another."""
    before: str = ""
    """The state that ran before; empty: none."""
    must_see: bool = False
    """Whether the camera was seen before."""
    resumed: int = 0
    """How often link has started since."""


class Refusal(Struct, frozen=True, kw_only=True):
    """A state that this box does not run."""

    word: str
    version: int
    why: str


class Notes:
    """The two notes, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        self._trial = folder / "trial.json"
        self._refusal = folder / "refused.json"

    @property
    def trial(self) -> OnTrial | None:
        """Return the trial that is under way."""
        return _read(self._trial, OnTrial)

    @trial.setter
    def trial(self, note: OnTrial | None) -> None:
        _write(self._trial, note)

    @property
    def refusal(self) -> Refusal | None:
        """Return what was refused last."""
        return _read(self._refusal, Refusal)

    @refusal.setter
    def refusal(self, note: Refusal | None) -> None:
        _write(self._refusal, note)


def _read(path: Path, kind: type[Note]) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except ValueError:  # a disk's fault, never a half write: as if nothing had been noted
        return None
    except OSError as error:
        raise WorldError(f"cannot read {path}: {error.strerror}") from error


def _write(path: Path, note: Struct | None) -> None:
    if note is not None:
        durable.write(path, msgspec.json.encode(note))
    else:
        durable.remove(path)
