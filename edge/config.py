"""One typed tree from one YAML file: parsed once, unknown keys refused with the nearest known one.

A box that was only just provisioned knows a part of it, the `Base`: who it is and where its centre is. That is
enough for link; watch waits for the rest, which the centre pushes. The file is /etc/sightline/edge.yaml, which a
person wrote, or else /var/lib/sightline/provisioned.yaml, which `edge provision` wrote: on an image whose root is
read-only there is only the latter.
"""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from edge.camera.settings import CameraSettings
from edge.exposition import MetricsSettings
from edge.faces.runtime import RuntimeSettings
from edge.gate import GateSettings
from edge.link import LinkSettings
from edge.outbox import OutboxSettings
from edge.pipeline import PipelineSettings
from edge.trial import UpdateSettings
from edge.watchlist import WatchlistSettings
from edge.wire.messages import Id
from edge.written import keys, read


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


class Base(Struct, frozen=True, kw_only=True):
    """What a box must know before the centre can tell it the rest; in a whole configuration it is a part."""

    device: DeviceSettings
    centre: CentreSettings
    link: LinkSettings
    outbox: OutboxSettings = OutboxSettings()
    metrics: MetricsSettings = MetricsSettings()
    update: UpdateSettings = UpdateSettings()


class Config(Base, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a box is told."""

    camera: CameraSettings
    watchlist: WatchlistSettings
    models: ModelSettings = ModelSettings()
    pipeline: PipelineSettings = PipelineSettings()
    gate: GateSettings = GateSettings()


def load_config(path: Path) -> Config:
    """Read and check a whole configuration."""
    return read(path, Config, "the configuration")


def load_base(path: Path) -> Base:
    """Read who this box is, from a whole configuration or from one that says no more."""
    return read(path, Base, "the configuration", known=Config)


def load(path: Path) -> Config | Base:
    """Read a whole configuration, or a base where the file says nothing of what watch needs."""
    beyond = set(Config.__struct_fields__) - set(Base.__struct_fields__)
    return load_config(path) if beyond & keys(path, "the configuration") else load_base(path)
