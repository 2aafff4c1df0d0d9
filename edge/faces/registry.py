"""The models there are, and whether a file is the one that was meant.

models/models.yaml is the registry; the store is a folder in the user's cache. A file enters the store whole
and verified (written beside, fsynced, renamed) and is verified again each time it is opened, so what runs
is what was registered.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from edge.errors import IntegrityError, OperatorError, WorldError

CHECKOUT = Path(__file__).resolve().parents[2]
CHUNK_BYTES = 1 << 20


class Task(Enum):
    """What a model is for."""

    DETECT = "detect"
    EMBED = "embed"


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    """How a picture becomes a model's input: (byte / divide_by - mean) / std, per channel."""

    layout: Literal["NCHW", "NHWC"]
    colour: Literal["BGR", "RGB"]
    divide_by: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None = None
    """Height and width, where they are fixed."""
    multiple_of: int = 1
    """Height and width are padded, right and bottom, to multiples of this."""


class ModelCard(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the registry."""

    task: Task
    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    training_data: str
    input: Input
    url: str = ""
    """Public address, pinned to a commit; empty for a model that is made here."""
    prepare: Literal["", "free-batch"] = ""
    decode: Literal["", "yunet"] = ""
    align: Literal["", "arcface-112"] = ""
    dimension: int = 0
    score_threshold: float = 0.6
    nms_iou: float = 0.3
    name: str = ""


class Registry(Struct, frozen=True, forbid_unknown_fields=True):
    """All registered models by name."""

    models: dict[str, ModelCard]

    def model(self, name: str, task: Task) -> ModelCard:
        """Return the card of a model, which must be for this task."""
        card = self.models.get(name)
        if card is None or card.task is not task:
            known = ", ".join(sorted(n for n, c in self.models.items() if c.task is task))
            raise OperatorError(f"no model {name!r} to {task.value} in the registry", hint=f"known: {known}")
        return card


@dataclass(frozen=True)
class ModelStore:
    """Where model files lie: the user's cache, filled from mirrors or from the public address."""

    folder: Path
    mirrors: tuple[Path, ...] = ()

    @classmethod
    def default(cls) -> "ModelStore":
        """Return the user's store, with the mirrors named by SIGHTLINE_MIRROR or beside the checkout."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        named = os.environ.get("SIGHTLINE_MIRROR")
        beside = CHECKOUT.parent / "shared" / "mirror"
        mirrors = (Path(named),) if named else (beside,) if beside.is_dir() else ()
        return cls(cache / "sightline" / "models", mirrors)

    def path(self, card: ModelCard) -> Path:
        """Return the verified file of a model, taken from a mirror if the store lacks it."""
        path = self.folder / card.file
        if not path.exists() and not self.take_from_mirror(card):
            raise OperatorError(f"model {card.name} ({card.file}) is not here", hint="run: sightline models pull")
        verify(path, card)
        return path

    def holds(self, card: ModelCard) -> bool:
        """Return whether the verified file is in the store."""
        path = self.folder / card.file
        return path.exists() and digest(path) == card.sha256

    def take_from_mirror(self, card: ModelCard) -> bool:
        """Copy a model from the first mirror that has it; False if none does."""
        for mirror in self.mirrors:
            source = mirror / card.file
            if source.is_file():
                with source.open("rb") as file:
                    self.put(card, iter(lambda: file.read(CHUNK_BYTES), b""))
                return True
        return False

    def put(self, card: ModelCard, chunks: Iterator[bytes]) -> Path:
        """Write a model beside its place, verify it, and move it there; a half or wrong file never shows."""
        target = self.folder / card.file
        part = target.with_name(f".{card.file}.{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            verify(part, card)
            part.replace(target)
        except OSError as error:
            raise WorldError(f"cannot store model {card.name} in {self.folder}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return target


def load_registry(path: Path | None = None) -> Registry:
    """Read the registry, by default the one that came with this program."""
    path = path or _shipped()
    try:
        registry = msgspec.convert(yaml.safe_load(path.read_bytes()), Registry)
    except OSError as error:
        raise OperatorError(f"cannot read the model registry {path}: {error.strerror}") from error
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise OperatorError(f"the model registry {path} is wrong: {error}") from error
    named = {name: msgspec.structs.replace(card, name=name) for name, card in registry.models.items()}
    return Registry(models=named)


def digest(path: Path) -> str:
    """Return the sha256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, card: ModelCard) -> None:
    """Refuse a file that is not the registered one."""
    actual = digest(path)
    if actual != card.sha256:
        size = path.stat().st_size
        raise IntegrityError(
            f"model {card.name}: {path} is not the registered file (sha256 {actual[:12]}… of {size} bytes, "
            f"expected {card.sha256[:12]}…)",
            hint="truncated or replaced: delete it and run: sightline models pull",
        )


def _shipped() -> Path:
    checkout = CHECKOUT / "models" / "models.yaml"
    return checkout if checkout.exists() else Path(sys.prefix) / "share" / "sightline" / "models" / "models.yaml"
