"""What a camera gives: pictures as decoded, frames with pixels that can be read, each with its times."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.camera.planes import pixels_of
from edge.faces.pixels import Image, Pixels, whole

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
    """One image of the camera, by reference: it may pin a buffer of the decoder, so copy what is to outlive it."""

    index: int
    """Its number in the source, from 0; numbers are missing where pictures were dropped."""
    captured_at_ms: int
    """Milliseconds since 1970, UTC."""
    monotonic_at: float
    """When it was here, in seconds of the box's monotonic clock."""
    clock_source: ClockSource
    pixels: Pixels

    @property
    def image(self) -> Image:
        """Return the whole as (height, width, 3) uint8 BGR, for people and for tests."""
        return whole(self.pixels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A frame before anybody looks at it, so that what is dropped costs nothing more.

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
        """Make it readable, upright."""
        return Frame(
            index=self.index,
            captured_at_ms=self.captured_at_ms,
            monotonic_at=self.monotonic_at,
            clock_source=self.clock_source,
            pixels=pixels_of(self.decoded),
        )
