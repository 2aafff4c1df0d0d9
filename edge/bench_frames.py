"""The stages of `sightline bench` before the models: from packets to what a detector and an embedder are given."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av import VideoFrame

from edge.camera.clock import Clock
from edge.camera.files import VideoFile
from edge.camera.frame import Frame, Picture
from edge.camera.handover import Handover
from edge.faces.align import align
from edge.faces.detect import Faces
from edge.faces.pixels import Area, Bgr, Image, whole

DECODED = "decode 1920x1080"
HANDED_OVER = "decode and hand over 1920x1080"
SEARCHED, SEARCHED_WHOLE = "input 1280x720 of planes", "input 1280x720 of whole BGR"
CROP_PX = 256
CROPPED = f"crop {CROP_PX}x{CROP_PX} of planes"
WHOLE, WHOLE_BY_FFMPEG = "whole BGR of planes", "whole BGR by FFmpeg"
ALIGNED, ALIGNED_WHOLE = "align, 1 face, of planes", "align, 1 face"
RATIOS = (
    (HANDED_OVER, DECODED),
    (SEARCHED, SEARCHED_WHOLE),
    (CROPPED, WHOLE_BY_FFMPEG),
    (WHOLE, WHOLE_BY_FFMPEG),
    (ALIGNED, ALIGNED_WHOLE),
)
"""What is told over what."""
SEARCH_SIDE = 1280


@dataclass
class Film:
    """A video read twice for ever: by the decoder alone, and as a camera's frames are."""

    path: Path

    def __post_init__(self) -> None:
        """Open it twice."""
        self._bare = self._packets()
        self._source = VideoFile(self.path, loop=True, began_at_ms=0, clock=Clock())
        self._pictures = iter(self._source)
        self._handover = Handover(newest_wins=True)

    def decoded(self) -> VideoFrame:
        """Decode a picture and do nothing else."""
        return next(self._bare)

    def handed_over(self) -> Frame:
        """Decode a picture and hand it over, as a feed and its consumer do."""
        self._handover.put(next(self._pictures))
        picture = self._handover.take(timeout_s=0)
        if picture is None:
            raise AssertionError("what was put can be taken")
        return picture.frame()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()
        self._bare.close()

    def _packets(self) -> Generator[VideoFrame]:
        while True:
            with av.open(str(self.path)) as container:
                container.streams.video[0].thread_type = "SLICE"
                yield from container.decode(video=0)


def whole_bgr(picture: Picture) -> Frame:
    """Return a frame as it was before planes were read: all of it turned into BGR by FFmpeg."""
    return replace(picture.frame(), pixels=Bgr(_by_ffmpeg(picture.decoded)))


def frame_stages(film: Film, faces: Faces) -> dict[str, Callable[[], object]]:
    """Return what happens to a frame around the models; `faces` are where the film begins."""
    decoded = film.decoded()
    pixels = film.handed_over().pixels
    image, landmarks = _by_ffmpeg(decoded), faces.landmarks[0]
    crop = Area(400, 300, 400 + CROP_PX, 300 + CROP_PX)
    return {
        DECODED: film.decoded,
        HANDED_OVER: film.handed_over,
        SEARCHED: lambda: pixels.shrunk(SEARCH_SIDE),
        SEARCHED_WHOLE: lambda: Bgr(_by_ffmpeg(decoded)).shrunk(SEARCH_SIDE),
        CROPPED: lambda: pixels.region(crop),
        WHOLE: lambda: whole(pixels),
        WHOLE_BY_FFMPEG: lambda: _by_ffmpeg(decoded),
        ALIGNED: lambda: align(pixels, landmarks),
        ALIGNED_WHOLE: lambda: align(image, landmarks),
    }


def _by_ffmpeg(decoded: VideoFrame | Image) -> Image:
    return np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8) if isinstance(decoded, VideoFrame) else decoded
