"""One door to every kind of camera."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge.camera.address import Address, is_address, read_address
from edge.camera.clock import Clock
from edge.camera.credentials import Credentials
from edge.camera.frame import Picture
from edge.camera.settings import CameraSettings
from edge.camera.vapix.stream import Wish, is_axis, stream_of
from edge.errors import OperatorError


class Source(Protocol):
    """One connection or one medium, read by one thread."""

    @property
    def video_bytes(self) -> int:
        """Return the compressed bytes read so far; 0 where the reader does not know."""

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
    """Open what the settings name; a CameraError (or OperatorError) says why it cannot be.

    `login` goes before what the settings say. Readers are imported here, so that a stream needs no PyAV where it is
    read by OpenCV.
    """
    if is_live(settings):
        return _open_stream(address_of(settings, login), settings, clock)
    try:
        from edge.camera.files import ImageFolder, VideoFile
    except ModuleNotFoundError as error:
        raise _without_pyav(error, "files are read by it alone: install the package av") from error
    path, loop = Path(settings.source).expanduser(), settings.at_end == "loop"
    began_at_ms = clock.wall_ms() if settings.recorded_at_ms is None else settings.recorded_at_ms
    if path.is_dir():
        return ImageFolder(path, fps=settings.fps, loop=loop, began_at_ms=began_at_ms, clock=clock)
    return VideoFile(path, loop=loop, began_at_ms=began_at_ms, clock=clock)


def _open_stream(address: Address, settings: CameraSettings, clock: Clock) -> Source:
    if settings.reader == "opencv":
        from edge.camera.opencv import OpenCvStream

        return OpenCvStream(address, settings, clock)
    try:
        from edge.camera.streams import Stream
    except ModuleNotFoundError as error:
        raise _without_pyav(error, "install the package av, or set camera.reader to opencv") from error
    return Stream(address, settings, clock)


def _without_pyav(error: ModuleNotFoundError, hint: str) -> Exception:
    if error.name != "av":
        return error
    return OperatorError("PyAV is not installed here, and camera.reader asks for it", hint=hint)
