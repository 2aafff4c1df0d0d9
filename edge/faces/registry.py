"""The models there are, and whether a file is the one that was meant.

models/models.yaml is the registry; the store is a folder in the user's cache. A file enters the store whole
and verified (written beside, fsynced, renamed) and is verified again each time it is opened, so what runs
is what was registered.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.written import read

CHECKOUT = Path(__file__).resolve().parents[2]
CHUNK_BYTES = 1 << 20
LOCAL = "local.yaml"


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
    made_from: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Of a model made here: its parent's sha256."""
    calibrated_on: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Of a model made here: the sha256 of the data that set its ranges."""
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
                self.put(card, _chunks(source), str(source))
                return True
        return False

    def put(self, card: ModelCard, chunks: Iterator[bytes], origin: str) -> Path:
        """Write a model beside its place, verify it, and move it there; a half or wrong file never shows.

        `origin` is where the chunks come from, for the message about a wrong one.
        """
        target = self.folder / card.file
        part = target.with_name(f".{card.file}.{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            verify(part, card, origin=origin)
            part.replace(target)
            _settle(self.folder)
        except OSError as error:
            raise WorldError(
                f"cannot store model {card.name} in {self.folder}: {error.strerror}",
                hint="make room or give it back its rights, or name another cache by XDG_CACHE_HOME",
            ) from error
        finally:
            with suppress(OSError):  # what kept it from being written is told already
                part.unlink(missing_ok=True)
        return target


def load_registry(path: Path | None = None, *, store: ModelStore | None = None) -> Registry:
    """Read the registry, by default the one that came with this program, with the models made here.

    Those are in `local.yaml` in the store (the user's, where no path is given). One that is made from a model
    which is no longer registered is left out.
    """
    shipped = _read(path or _shipped())
    if path is None and store is None:
        store = ModelStore.default()
    local = _read(store.folder / LOCAL) if store and (store.folder / LOCAL).exists() else {}
    if taken := sorted(shipped.keys() & local.keys()):
        raise OperatorError(f"a model made here has the name of a registered one: {taken[0]}", hint=f"edit {LOCAL}")
    parents = {card.sha256 for card in shipped.values()}
    made = {name: card for name, card in local.items() if card.made_from in parents}
    return Registry(models=shipped | made)


def register_local(card: ModelCard, store: ModelStore) -> None:
    """Enter a model that was made here into the store's own registry, in place of one of the same name."""
    path = store.folder / LOCAL
    cards = (_read(path) if path.exists() else {}) | {card.name: card}
    entries = {name: _entry(each) for name, each in sorted(cards.items())}
    part = path.with_name(f".{LOCAL}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yaml.safe_dump({"models": entries}, file, sort_keys=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _settle(store.folder)
    except OSError as error:
        raise WorldError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the sha256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, card: ModelCard, *, origin: str = "") -> None:
    """Refuse a file that is not the registered one; the message names where it came from."""
    try:
        actual, size = digest(path), path.stat().st_size
    except OSError as error:
        raise WorldError(f"cannot read model {card.name} ({path}): {error.strerror}") from error
    if actual != card.sha256:
        raise IntegrityError(
            f"model {card.name}: {origin or path} is not the registered file (sha256 {actual[:12]}… of {size} bytes, "
            f"expected {card.sha256[:12]}…)",
            hint="truncated or replaced: delete it and run: sightline models pull",
        )


def _read(path: Path) -> dict[str, ModelCard]:
    registry = read(path, Registry, "the model registry")
    return {name: msgspec.structs.replace(card, name=name) for name, card in registry.models.items()}


def _entry(card: ModelCard) -> dict[str, object]:
    """Return what a registry file says of a model: fields that are not at their default."""
    entry: dict[str, object] = msgspec.to_builtins(card)
    defaults = {f.name: f.default for f in msgspec.structs.fields(ModelCard)}
    return {key: value for key, value in entry.items() if key != "name" and value != defaults[key]}


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _settle(folder: Path) -> None:
    """Make a rename in a folder last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _shipped() -> Path:
    checkout = CHECKOUT / "models" / "models.yaml"
    return checkout if checkout.exists() else Path(sys.prefix) / "share" / "sightline" / "models" / "models.yaml"
