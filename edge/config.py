"""One typed tree from one YAML file: parsed once, unknown keys refused with the nearest known one."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from edge.camera.settings import CameraSettings
from edge.faces.runtime import RuntimeSettings
from edge.link import LinkSettings
from edge.outbox import OutboxSettings
from edge.pipeline import PipelineSettings
from edge.watchlist import WatchlistSettings
from edge.wire.messages import Id
from edge.written import read


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which registered models run, and how."""

    detector: str = ""
    """Name in models.yaml; empty: the default there."""
    embedder: str = ""
    """Name in models.yaml; empty: the default there. It must be the one that the watchlist was made with."""
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
    return read(path, Config, "the configuration")
