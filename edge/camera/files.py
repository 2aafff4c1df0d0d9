"""Pictures from a video file or from a folder of images.

A damaged medium gives all that is good in it, with the numbers the pictures have in the undamaged one, and
then the error that says where it breaks: nobody should take half an evening for the whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from edge.camera.clock import Clock
from edge.camera.errors import Reason, VideoError
from edge.camera.frame import ClockSource, Picture
from edge.camera.trust import Trust

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}

# FFmpeg would also take a text for a picture of its letters, and a playlist for leave to fetch what it names.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,mjpeg,ivf,obu,flv,asf,ogg,mxf,yuv4mpegpipe"
# A file's stated length may be a little longer than its last picture; half a second is not a little.
_SLACK_S = 0.5


@dataclass
class _Damage:
    """What could not be read, and where it began."""

    pictures: int = 0
    first_index: int = 0
    first_s: float = 0.0

    def note(self, index: int, at_s: float) -> None:
        if not self.pictures:
            self.first_index, self.first_s = index, at_s
        self.pictures += 1


class VideoFile:
    """A video file, once or for ever."""

    def __init__(self, path: Path, *, loop: bool, began_at_ms: int, clock: Clock) -> None:
        """Open, and refuse at once what is no video; the error names the file."""
        self.video_bytes = 0
        self._path, self._loop, self._clock = path, loop, clock
        self._began_at_ms = began_at_ms
        self._index, self._base_s = 0, 0.0
        self._container = _opened(path)

    def __iter__(self) -> Iterator[Picture]:
        """Give the pictures in order of showing, as fast as asked."""
        yield from self._round()
        while self._loop:
            self._container.close()
            self._container = _opened(self._path)
            yield from self._round()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _round(self) -> Iterator[Picture]:
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE"
        period_s = float(1 / stream.average_rate) if stream.average_rate else 0.04
        damage, first_s, at_s, start = _Damage(), None, 0.0, self._index
        for decoded in self._decoded(stream):
            if decoded is None:
                damage.note(self._index - start, at_s + period_s)
                self._index += 1
                continue
            shown_s = decoded.time if decoded.pts is not None else (self._index - start) * period_s
            first_s = shown_s if first_s is None else first_s
            at_s = shown_s - first_s
            yield self._picture(decoded, at_s)
            self._index += 1
        count = self._index - start
        self._raise_if_damaged(stream, damage, count=count, end_s=at_s + period_s if count else 0.0)
        self._base_s += at_s + period_s

    def _decoded(self, stream: VideoStream) -> Iterator[av.VideoFrame | None]:
        """Give each picture, or None for one that cannot be decoded or trusted."""
        trust = Trust()
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return  # what is missing at the end shows in the length
            if packet is None:
                return
            self.video_bytes += packet.size
            if packet.is_corrupt:
                trust.broken()
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                trust.broken()
                yield None
                continue
            for picture in pictures:
                yield picture if trust.deserves(picture) else None

    def _picture(self, decoded: av.VideoFrame, at_s: float) -> Picture:
        media_s = self._base_s + at_s
        return Picture(
            index=self._index,
            captured_at_ms=self._began_at_ms + round(media_s * 1000),
            monotonic_at=self._clock.monotonic_s(),
            clock_source=ClockSource.MEDIA,
            media_s=media_s,
            decoded=decoded,
        )

    def _raise_if_damaged(self, stream: VideoStream, damage: _Damage, *, count: int, end_s: float) -> None:
        if count == damage.pictures:
            raise VideoError(
                f"no picture of video {self._path} can be read",
                reason=Reason.CORRUPT,
                hint="copy it again from where it was recorded",
            )
        whole_s = _length_s(self._container, stream)
        if whole_s is not None and end_s < whole_s - _SLACK_S:
            good = damage.first_index if damage.pictures else count
            raise VideoError(
                f"video {self._path} is cut short: it breaks off at frame {good} ({end_s:.2f} s) of {whole_s:.2f} s",
                reason=Reason.CORRUPT,
                hint="what came before was used; copy it again from where it was recorded",
            )
        if damage.pictures:
            raise VideoError(
                f"video {self._path} is damaged from frame {damage.first_index} ({damage.first_s:.2f} s) on: "
                f"{damage.pictures} of {count} frames cannot be read",
                reason=Reason.CORRUPT,
                hint="the others were used; copy it again from where it was recorded",
            )


def _opened(path: Path) -> InputContainer:
    hint = "name a video file, a folder of images or a camera's address"
    try:
        container = av.open(str(path), options={"format_whitelist": _FORMATS})
    except (av.FileNotFoundError, av.NotADirectoryError):
        raise VideoError(f"there is no video {path}", reason=Reason.MISSING, hint=hint) from None
    except (av.OSError, av.PermissionError) as error:
        raise VideoError(
            f"video {path} cannot be opened: {error.strerror}", reason=Reason.MISSING, hint=hint
        ) from error
    except av.FFmpegError as error:
        raise _unreadable(path) from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{path} has no video in it", reason=Reason.NOT_A_VIDEO, hint=hint)
    return container


def _unreadable(path: Path) -> VideoError:
    """Tell a video that lost its index from what never was one."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return VideoError(
            f"video {path} is cut short or damaged: its index (moov) is missing",
            reason=Reason.CORRUPT,
            hint="copy it again, or stop the recording before copying it",
        )
    what = "is empty" if not head else "is not a video that can be read"
    return VideoError(
        f"{path} {what}",
        reason=Reason.NOT_A_VIDEO,
        hint="name a video file (mp4, mkv, avi, ts, ...), a folder of images or a camera's address",
    )


def _length_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return how long the file says its video is, in seconds, if it says so."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None


class ImageFolder:
    """The images of a folder in the order of their names (10 after 9), at a given rate."""

    def __init__(self, path: Path, *, fps: float, loop: bool, began_at_ms: int, clock: Clock) -> None:
        """List the images; a folder without any is refused."""
        self.video_bytes = 0
        self._path, self._period_s, self._loop, self._clock = path, 1 / fps, loop, clock
        self._began_at_ms = began_at_ms
        self._images = sorted((each for each in path.iterdir() if each.suffix.lower() in IMAGES), key=_natural)
        if not self._images:
            raise VideoError(
                f"folder {path} has no images in it",
                reason=Reason.NOT_A_VIDEO,
                hint=f"images end in {', '.join(sorted(IMAGES))}",
            )

    def __iter__(self) -> Iterator[Picture]:
        """Give the pictures, as fast as asked."""
        index = 0
        while True:
            damaged: list[str] = []
            for path in self._images:
                image = self._read(path)
                if image is None:
                    damaged.append(path.name)
                else:
                    yield self._picture(image, index)
                index += 1
            if damaged:
                raise VideoError(
                    f"{len(damaged)} of {len(self._images)} images in folder {self._path} cannot be read, "
                    f"first {damaged[0]}",
                    reason=Reason.CORRUPT,
                    hint="the others were used; replace or remove it",
                )
            if not self._loop:
                return

    def close(self) -> None:
        """Hold nothing open between images."""

    def _read(self, path: Path) -> cv2.typing.MatLike | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        self.video_bytes += len(data)
        # imdecode raises on an empty buffer and returns None on any other that is no image.
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None

    def _picture(self, image: cv2.typing.MatLike, index: int) -> Picture:
        media_s = index * self._period_s
        return Picture(
            index=index,
            captured_at_ms=self._began_at_ms + round(media_s * 1000),
            monotonic_at=self._clock.monotonic_s(),
            clock_source=ClockSource.MEDIA,
            media_s=media_s,
            decoded=np.asarray(image, np.uint8),
        )


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order names as people do: digits by their value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
