"""One typed tree from one YAML file: parsed once, unknown keys refused with the nearest known one."""

import difflib
import re
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta, Struct

from edge.camera.settings import CameraSettings
from edge.errors import OperatorError
from edge.faces.runtime import RuntimeSettings
from edge.link import LinkSettings
from edge.outbox import OutboxSettings
from edge.pipeline import PipelineSettings
from edge.watchlist import WatchlistSettings
from edge.wire.messages import Id


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which registered models run, and how."""

    detector: str = "yunet-n"
    embedder: str = "mobilefacenet"
    runtime: RuntimeSettings = RuntimeSettings()


class CentreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may open what this box saw, and whose watchlist it takes."""

    sealing_key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    """The centre's public sealing key, 64 hex digits: `sightline keys` prints it."""


class DeviceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which box this is."""

    id: Id
    state: str
    """Folder of keys and outbox; readable by the box alone."""
    tally_s: float = 60.0
    """How often the counts of what was seen go to the centre, seconds."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a box is told."""

    device: DeviceSettings
    centre: CentreSettings
    camera: CameraSettings
    watchlist: WatchlistSettings
    link: LinkSettings
    models: ModelSettings = ModelSettings()
    pipeline: PipelineSettings = PipelineSettings()
    outbox: OutboxSettings = OutboxSettings()


def load_config(path: Path) -> Config:
    """Read and check a configuration file."""
    try:
        tree = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise OperatorError(f"cannot read the configuration {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise OperatorError(f"the configuration {path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise OperatorError(f"the configuration {path} is wrong: {error}", hint=_nearest(str(error))) from error


def _nearest(message: str) -> str:
    """Suggest the known key that an unknown one was probably meant to be."""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if not unknown:
        return ""
    near = difflib.get_close_matches(unknown.group(1), sorted(_fields(Config)), n=1)
    return f"did you mean {near[0]!r}?" if near else "remove it"


def _fields(struct: type[Struct]) -> set[str]:
    names: set[str] = set()
    for one in msgspec.structs.fields(struct):
        names.add(one.name)
        if isinstance(one.type, type) and issubclass(one.type, Struct):
            names |= _fields(one.type)
    return names
