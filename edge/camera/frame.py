"""What a camera gives: pictures as decoded, frames as pixels, each with its times."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a stream is read without PyAV where it is not there
    from av import VideoFrame


class ClockSource(StrEnum):
    """By which clock `captured_at_ms` was read."""

    CAMERA = "camera"
    """The camera's own, from its RTCP sender reports."""
    ARRIVAL = "arrival"
    """The box's, when the picture came, less the time the stream is known to hold it back."""
    MEDIA = "media"
    """The box's when the file was opened, plus the position in the file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One image of the camera."""

    index: int
    """Its number in the source, from 0; numbers are missing where pictures were dropped."""
    captured_at_ms: int
    """Milliseconds since 1970, UTC."""
    monotonic_at: float
    """When it was here, in seconds of the box's monotonic clock."""
    clock_source: ClockSource
    image: NDArray[np.uint8]
    """(height, width, 3) uint8, BGR."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A frame before it is turned into BGR, so that what is dropped costs nothing more (2 to 3 ms at 1080p).

    Each pins a buffer of the decoder: keep two or three at most.
    """

    index: int
    captured_at_ms: int
    monotonic_at: float
    clock_source: ClockSource
    media_s: float
    """Seconds since the source's first picture, by the medium's timestamps."""
    decoded: "VideoFrame | NDArray[np.uint8]"
    arrival_ms: int | None = None
    """Streams: when it came, ms since 1970 by the box's clock, less the time the stream holds it back."""

    def frame(self) -> Frame:
        """Turn into pixels, upright."""
        return Frame(
            index=self.index,
            captured_at_ms=self.captured_at_ms,
            monotonic_at=self.monotonic_at,
            clock_source=self.clock_source,
            image=_pixels(self.decoded),
        )


def _pixels(decoded: "VideoFrame | NDArray[np.uint8]") -> NDArray[np.uint8]:
    if isinstance(decoded, np.ndarray):
        return decoded
    image = np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8)
    # The display matrix of a telephone held upright; degrees anticlockwise, as rot90 counts.
    turns = round(decoded.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
