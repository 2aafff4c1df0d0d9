"""One door to every kind of camera."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge.camera.address import Address, is_address, read_address
from edge.camera.clock import Clock
from edge.camera.credentials import Credentials
from edge.camera.files import ImageFolder, VideoFile
from edge.camera.frame import Picture
from edge.camera.settings import CameraSettings
from edge.camera.streams import Stream
from edge.camera.vapix.stream import Wish, is_axis, stream_of


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


def wish_of(settings: CameraSettings) -> Wish:
    """Return what an Axis camera is asked for."""
    return Wish(codec=settings.codec, resolution=settings.resolution, fps=settings.fps)


def address_of(settings: CameraSettings, login: Credentials | None = None) -> Address:
    """Return where the stream is and how to be let in; an OperatorError says why that cannot be told.

    `login` goes before what the settings say.
    """
    source = settings.source
    if is_axis(source):
        source = stream_of(source, wish_of(settings), secure=settings.ca_file is not None)
    address = read_address(source, settings.credentials_file)
    return address if login is None else address.with_login(login)


def open_source(settings: CameraSettings, clock: Clock, login: Credentials | None = None) -> Source:
    """Open what the settings name; a CameraError (or OperatorError) says why it cannot be."""
    if is_live(settings):
        return Stream(address_of(settings, login), settings, clock)
    path, loop = Path(settings.source).expanduser(), settings.at_end == "loop"
    began_at_ms = clock.wall_ms() if settings.recorded_at_ms is None else settings.recorded_at_ms
    if path.is_dir():
        return ImageFolder(path, fps=settings.fps, loop=loop, began_at_ms=began_at_ms, clock=clock)
    return VideoFile(path, loop=loop, began_at_ms=began_at_ms, clock=clock)
