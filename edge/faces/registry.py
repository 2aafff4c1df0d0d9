"""The models there are, which of them is meant where nobody names one, and whether a file is the one that was meant.

models/models.yaml is the registry, and the only place that says which models are the defaults. Some models ship
with the program; the others live in the store, a folder in the user's cache. A file enters the store whole and
verified (written beside, fsynced, renamed). Every file is verified each time it is opened, so what runs is what
was registered.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from edge import durable
from edge.errors import IntegrityError, OperatorError, WorldError
from edge.written import read

CHECKOUT = Path(__file__).resolve().parents[2]
CHUNK_BYTES = 1 << 20
LOCAL = "local.yaml"
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")]
MaybeFileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]*$")]
MaybeSha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]


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
    dtype: Literal["float32", "uint8"] = "float32"
    """uint8: the bytes themselves go in, and the model does the arithmetic above."""


class Thresholds(Struct, frozen=True, forbid_unknown_fields=True):
    """Cosines from which faces are taken for one person's, as measured for one embedder."""

    candidate: Annotated[float, Meta(gt=-1, lt=1)]
    """At and above this a box asks the centre to look."""
    alert: Annotated[float, Meta(gt=-1, lt=1)]
    """At and above this the centre alerts."""


class ModelCard(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the registry."""

    task: Task
    file: FileName
    """`.onnx`, or `.tflite` for TensorFlow Lite."""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    training_data: str
    input: Input
    url: str = ""
    """Public address, pinned to a commit; empty for a model that ships or is made here."""
    shipped: bool = False
    """Whether the file comes with the program, in models/shipped/."""
    role: Literal["", "teacher"] = ""
    """teacher: what a shipped model learned from, kept for comparison and for whoever prefers it."""
    golden: MaybeFileName = ""
    """Of a shipped model: the file of inputs and expected outputs that it is tried with each time it is loaded."""
    templates: MaybeSha256 = ""
    """Of a second file form: the sha256 of the first, whose templates it makes."""
    outputs: Literal["NCHW", "NHWC"] = "NCHW"
    """Layout of outputs that are maps."""
    prepare: Literal["", "free-batch"] = ""
    decode: Literal["", "yunet", "sightline"] = ""
    align: Literal["", "arcface-112"] = ""
    dimension: int = 0
    thresholds: Thresholds | None = None
    """Of an embedder: each has its own scale of cosines, so there are no thresholds for all."""
    score_threshold: float = 0.6
    nms_iou: float = 0.3
    made_from: MaybeSha256 = ""
    """Of a model made here: its parent's sha256."""
    calibrated_on: MaybeSha256 = ""
    """Of a model made here: the sha256 of the data that set its ranges."""
    name: str = ""

    @property
    def template_identity(self) -> str:
        """Return what templates of this model are marked with: those of another identity are never compared.

        The file's sha256, or that of the other file form of the same network: both forms pass one golden test.
        """
        return self.templates or self.sha256


class Registry(Struct, frozen=True, forbid_unknown_fields=True):
    """All registered models by name, and for each task the defaults, the preferred one first."""

    models: dict[str, ModelCard]
    defaults: dict[Task, tuple[str, ...]] = {}

    def wanted(self, name: str, task: Task, store: "ModelStore") -> ModelCard:
        """Return the card of the model that is named; without a name, the default.

        That is the first of the task's defaults which can be had without a download, or where none can, the
        first, so that the error is about the preferred one.
        """
        if name:
            return self.model(name, task)
        preferred = self.preferred(task)
        return next((card for card in preferred if store.has(card)), preferred[0])

    def preferred(self, task: Task) -> tuple[ModelCard, ...]:
        """Return the defaults of a task, the preferred one first."""
        names = self.defaults.get(task, ()) or tuple(n for n, card in self.models.items() if card.task is task)[:1]
        if not names:
            raise OperatorError(f"the model registry has no model to {task.value}")
        return tuple(self.model(name, task) for name in names)

    def model(self, name: str, task: Task) -> ModelCard:
        """Return the card of a model, which must be for this task."""
        card = self.models.get(name)
        if card is None or card.task is not task:
            known = ", ".join(sorted(n for n, c in self.models.items() if c.task is task))
            raise OperatorError(f"no model {name!r} to {task.value} in the registry", hint=f"known: {known}")
        return card


@dataclass(frozen=True)
class ModelStore:
    """Where model files lie: with the program, or in the user's cache, filled from mirrors or the public address."""

    folder: Path
    mirrors: tuple[Path, ...] = ()
    shipped: Path = field(default_factory=lambda: _beside_registry("shipped"))

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
        path = self.place(card)
        if not path.exists() and not self.take_from_mirror(card):
            hint = "install Sightline again" if card.shipped else f"run: sightline models pull {card.name}"
            raise OperatorError(f"model {card.name} ({card.file}) is not here", hint=hint)
        verify(path, card)
        return path

    def place(self, card: ModelCard) -> Path:
        """Return where the file of a model is or would be."""
        return (self.shipped if card.shipped else self.folder) / card.file

    def holds(self, card: ModelCard) -> bool:
        """Return whether the verified file is here."""
        path = self.place(card)
        return path.exists() and digest(path) == card.sha256

    def has(self, card: ModelCard) -> bool:
        """Return whether a file for a model can be had without a download, whatever it holds."""
        return self.place(card).exists() or self._mirrored(card) is not None

    def take_from_mirror(self, card: ModelCard) -> bool:
        """Copy a model from the first mirror that has it; False if none does."""
        source = self._mirrored(card)
        if source is None:
            return False
        self.put(card, _chunks(source), str(source))
        return True

    def _mirrored(self, card: ModelCard) -> Path | None:
        places = (mirror / card.file for mirror in self.mirrors if not card.shipped)
        return next((place for place in places if place.is_file()), None)

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
            durable.settle(self.folder)
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
    registered = _read(path or _beside_registry("models.yaml"))
    shipped = registered.models
    if path is None and store is None:
        store = ModelStore.default()
    local = _read(store.folder / LOCAL).models if store and (store.folder / LOCAL).exists() else {}
    if taken := sorted(shipped.keys() & local.keys()):
        raise OperatorError(f"a model made here has the name of a registered one: {taken[0]}", hint=f"edit {LOCAL}")
    parents = {card.sha256 for card in shipped.values()}
    made = {name: card for name, card in local.items() if card.made_from in parents}
    return Registry(models=shipped | made, defaults=registered.defaults)


def register_local(card: ModelCard, store: ModelStore) -> None:
    """Enter a model that was made here into the store's own registry, in place of one of the same name."""
    path = store.folder / LOCAL
    cards = (_read(path).models if path.exists() else {}) | {card.name: card}
    entries = {name: _entry(each) for name, each in sorted(cards.items())}
    part = path.with_name(f".{LOCAL}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yaml.safe_dump({"models": entries}, file, sort_keys=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        durable.settle(store.folder)
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
            hint="truncated or replaced: "
            + ("install Sightline again" if card.shipped else "delete it and run: sightline models pull"),
        )


def _read(path: Path) -> Registry:
    registry = read(path, Registry, "the model registry")
    models = {name: msgspec.structs.replace(card, name=name) for name, card in registry.models.items()}
    named = Registry(models=models, defaults=registry.defaults)
    for task in registry.defaults:
        named.preferred(task)  # a default that is not registered is told now, not when it is wanted
    return named


def _entry(card: ModelCard) -> dict[str, object]:
    """Return what a registry file says of a model: fields that are not at their default."""
    entry: dict[str, object] = msgspec.to_builtins(card)
    defaults = {f.name: f.default for f in msgspec.structs.fields(ModelCard)}
    return {key: value for key, value in entry.items() if key != "name" and value != defaults[key]}


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _beside_registry(name: str) -> Path:
    """Return the path of a file or folder that comes with the program, the registry itself among them."""
    checkout = CHECKOUT / "models"
    installed = Path(sys.prefix) / "share" / "sightline" / "models"
    return (checkout if (checkout / "models.yaml").exists() else installed) / name
