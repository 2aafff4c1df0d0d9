"""What an operator may set at the centre: one frozen tree, read once from an optional YAML file."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta, Struct

from edge.errors import OperatorError

Port = Annotated[int, Meta(ge=0, le=65535)]
Share = Annotated[float, Meta(gt=-1.0, lt=1.0)]
Seconds = Annotated[float, Meta(gt=0.0)]
Hours = Annotated[float, Meta(gt=0.0, le=31 * 24)]


class ConsoleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the web pages are."""

    host: str = "127.0.0.1"
    """Address the console listens on; loopback only, until it has TLS and accounts."""
    port: Port = 8810
    """TCP port; 0 takes any free one and prints it."""


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which registered models the centre uses."""

    detector: str = "yunet-n"
    """Name in models.yaml; finds the face in an enrolment photograph."""
    embedder: str = "mobilefacenet"
    """Name in models.yaml; makes the templates of references and, again, of every candidate."""
    provider: str = "cpu"
    """Execution provider; one that is missing is an error, never a silent fall-back."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads of one inference."""


class CentreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that may be set; every key has a default."""

    endpoint: Annotated[str, Meta(pattern=r"^tcp://.+:([0-9]+|\*)$")] = "tcp://127.0.0.1:5810"
    """Where the boxes dial in, as ZeroMQ writes it."""
    alert_threshold: Share = 0.44
    """Cosine at and above which a verified candidate becomes an alert."""
    sighting_window_s: Seconds = 60.0
    """Alerts of one entry no further apart than this, on any camera, are one sighting; seconds."""
    late_after_s: Seconds = 10.0
    """A candidate that arrives longer than this after it was raised is marked late; seconds."""
    silent_after_s: Seconds = 15.0
    """A box unheard for longer than this is shown as silent; seconds."""
    retention_h: Hours = 24.0
    """Alerts and their pictures are deleted this long after their last revision; hours, at most 31 days."""
    watchlist_valid_h: Hours = 168.0
    """A watchlist made for a box stops matching there this long after it was made; hours."""
    console: ConsoleSettings = ConsoleSettings()
    models: ModelSettings = ModelSettings()


def load_settings(path: Path | None) -> CentreSettings:
    """Read settings from a YAML file, refusing unknown keys; without a file, the defaults."""
    if path is None:
        return CentreSettings()
    tree = _read(path)
    for where, key, known in _unknown_keys(tree, CentreSettings, ""):
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
        raise OperatorError(f"{path}: unknown key {where}{key}", hint=hint)
    try:
        return msgspec.convert(tree, CentreSettings)
    except msgspec.ValidationError as error:
        raise OperatorError(f"{path}: {error}", hint="correct this value") from error


def _read(path: Path) -> object:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OperatorError(f"cannot read the settings {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise OperatorError(f"{path} is not YAML: {line}", hint="correct the file") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise OperatorError(f"{path} holds no settings", hint="write one `key: value` a line")
    return tree


def _unknown_keys(tree: object, kind: type[Struct], where: str) -> Iterator[tuple[str, str, list[str]]]:
    if not isinstance(tree, dict):
        return
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        inner = fields.get(key)
        if inner is None:
            yield where, str(key), list(fields)
        elif isinstance(inner, type) and issubclass(inner, Struct):
            yield from _unknown_keys(value, inner, f"{where}{key}.")
