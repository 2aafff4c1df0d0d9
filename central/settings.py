"""What an operator may set at the centre: one frozen tree, read once from an optional YAML file."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from edge.exposition import MetricsSettings
from edge.written import read

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

    detector: str = ""
    """Name in models.yaml, empty for the default there; finds the face in an enrolment photograph."""
    embedder: str = ""
    """Name in models.yaml, empty for the default there; makes the templates of references and of every candidate."""
    provider: str = "cpu"
    """Execution provider; one that is missing is an error, never a silent fall-back."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads of one inference."""


class CentreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that may be set; every key has a default."""

    endpoint: Annotated[str, Meta(pattern=r"^tcp://.+:([0-9]+|\*)$")] = "tcp://127.0.0.1:5810"
    """Where the boxes dial in, as ZeroMQ writes it."""
    alert_threshold: Share | None = None
    """Cosine at and above which a verified candidate becomes an alert; null: as the embedder's card says."""
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
    deployment_max_h: Hours = 168.0
    """The longest window that a deployment may have; hours, at most 31 days."""
    console: ConsoleSettings = ConsoleSettings()
    models: ModelSettings = ModelSettings()
    metrics: MetricsSettings = MetricsSettings()


def load_settings(path: Path | None) -> CentreSettings:
    """Read settings from a YAML file, refusing unknown keys; without a file, the defaults."""
    return CentreSettings() if path is None else read(path, CentreSettings, "the settings")
