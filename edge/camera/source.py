"""One door to every kind of camera."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge.camera.address import is_address, read_address
from edge.camera.clock import Clock
from edge.camera.files import ImageFolder, VideoFile
from edge.camera.frame import Picture
from edge.camera.settings import CameraSettings
from edge.camera.streams import Stream


class Source(Protocol):
    """One connection or one medium, read by one thread."""

    video_bytes: int
    """Compressed bytes read so far."""

    def __iter__(self) -> Iterator[Picture]:
        """Give the pictures; a file's end ends, trouble raises a CameraError."""
        ...

    def close(self) -> None:
        """Let go of the connection or the file."""
        ...


def is_live(settings: CameraSettings) -> bool:
    """Say whether the source is a stream, which goes on without us."""
    return is_address(settings.source)


def open_source(settings: CameraSettings, clock: Clock) -> Source:
    """Open what the settings name; a CameraError (or OperatorError) says why it cannot be."""
    if is_live(settings):
        return Stream(read_address(settings.source, settings.credentials_file), settings, clock)
    path, loop = Path(settings.source).expanduser(), settings.at_end == "loop"
    began_at_ms = clock.wall_ms() if settings.recorded_at_ms is None else settings.recorded_at_ms
    if path.is_dir():
        return ImageFolder(path, fps=settings.fps, loop=loop, began_at_ms=began_at_ms, clock=clock)
    return VideoFile(path, loop=loop, began_at_ms=began_at_ms, clock=clock)
