import gc
import io
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import cv2
import numpy as np
import pytest

from edge.camera.planes import pixels_of
from edge.faces.pixels import Bgr, Image, Planes, whole
from tests.simulator.pattern import number_of, write_video


def colourful(width: int = 320, height: int = 240) -> Image:
    """Return soft blots of every colour."""
    blots = np.random.default_rng(5).integers(0, 256, (12, 16, 3), np.uint8)
    return np.asarray(cv2.resize(blots, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def as_format(image: Image, name: str, *, full_range: bool = False) -> av.VideoFrame:
    wanted = "JPEG" if full_range else "MPEG"
    return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=name, dst_color_range=wanted)


def differing(one: Image, other: Image) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("size", [(320, 240), (318, 238), (317, 239)], ids=str)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p"])
def test_planes_are_taken_by_reference_without_what_pads_their_rows(name: str, size: tuple[int, int]) -> None:
    decoded = as_format(colourful(*size), name)
    pixels = pixels_of(decoded)
    assert isinstance(pixels, Planes)
    assert (pixels.width, pixels.height) == size
    assert pixels.y.ctypes.data == decoded.planes[0].buffer_ptr
    assert pixels.u.ctypes.data == decoded.planes[1].buffer_ptr
    assert differing(whole(pixels), colourful(*size)) < 4


def test_rows_in_memory_may_be_longer_than_the_picture_is_wide() -> None:
    decoded = as_format(colourful(318, 238), "yuv420p")
    assert decoded.planes[0].line_size > 318
    pixels = pixels_of(decoded)
    assert isinstance(pixels, Planes)
    assert pixels.y.strides == (decoded.planes[0].line_size, 1)


def test_a_decoders_picture_cannot_be_written_to() -> None:
    pixels = pixels_of(as_format(colourful(), "yuv420p"))
    assert isinstance(pixels, Planes)
    for plane in (pixels.y, pixels.u, pixels.v):
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 7


def test_a_picture_that_is_held_stays_while_the_decoder_goes_on(tmp_path: Path) -> None:
    with av.open(str(write_video(tmp_path / "clip.mp4", frames=40))) as container:
        decoding = container.decode(video=0)
        held = [pixels_of(next(decoding)) for _ in range(3)]
        gc.collect()
        assert number_of(whole(pixels_of(list(decoding)[-1]))) == 39
    assert [number_of(whole(pixels)) for pixels in held] == [0, 1, 2]


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, "yuvj420p"),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, "yuvj422p"),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, "yuvj444p"),
    ],
    ids=["4:2:0", "4:2:2", "4:4:4"],
)
def test_a_cameras_jpeg_has_the_colours_of_the_same_jpeg_in_enrolment(sampling: int, name: str) -> None:
    _, jpeg = cv2.imencode(".jpg", colourful(321, 241), [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])
    with av.open(io.BytesIO(jpeg.tobytes()), "r", format="mjpeg") as container:
        decoded = next(container.decode(video=0))
        assert decoded.format.name == name
        seen = whole(pixels_of(decoded))
    enrolled = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
    assert differing(seen, enrolled) < 0.5
    assert np.abs(seen.astype(int) - enrolled).max() <= 4


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_the_range_of_a_picture_is_what_it_says(full_range: bool) -> None:
    image = colourful()
    assert differing(whole(pixels_of(as_format(image, "yuv444p", full_range=full_range))), image) < 1.5


def test_the_colours_of_a_picture_are_what_it_says() -> None:
    image = colourful()
    decoded = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv444p", dst_colorspace="ITU709")
    assert decoded.colorspace == 1
    assert differing(whole(pixels_of(decoded)), image) < 1.5
    decoded.colorspace = 2  # what does not say is taken for BT.601
    assert differing(whole(pixels_of(decoded)), image) > 4


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le", "p010le", "nv12", "yuyv422", "yuv411p"])
def test_deeper_and_rarer_forms_are_made_planes_first_with_the_same_colours(name: str, full_range: bool) -> None:
    pixels = pixels_of(as_format(colourful(), name, full_range=full_range))
    assert isinstance(pixels, Planes)
    assert differing(whole(pixels), colourful()) < 3


@pytest.mark.parametrize("name", ["rgb24", "bgr24", "gbrp", "rgba"])
def test_what_is_no_yuv_comes_as_it_is(name: str) -> None:
    pixels = pixels_of(as_format(colourful(), name))
    assert isinstance(pixels, Bgr)
    np.testing.assert_array_equal(whole(pixels), colourful())


def test_a_grey_picture_is_grey() -> None:
    grey = colourful()[..., 1]
    pixels = pixels_of(av.VideoFrame.from_ndarray(grey, format="gray"))
    assert differing(whole(pixels), np.repeat(grey[..., None], 3, axis=2)) < 1


def test_an_array_is_passed_on_as_it_is() -> None:
    image = colourful()
    pixels = pixels_of(image)
    assert isinstance(pixels, Bgr)
    assert pixels.image is image


def test_a_picture_that_lies_upside_down_in_memory_is_shown_upright() -> None:
    graph = av.filter.Graph()
    decoded = as_format(colourful(), "yuv420p")
    graph.link_nodes(
        graph.add_buffer(width=320, height=240, format=decoded.format, time_base=Fraction(1, 25)),
        graph.add("vflip"),
        graph.add("buffersink"),
    ).configure()
    graph.push(decoded)
    flipped = graph.pull()
    assert isinstance(flipped, av.VideoFrame)
    assert flipped.planes[0].line_size < 0
    np.testing.assert_array_equal(whole(pixels_of(flipped)), whole(pixels_of(decoded))[::-1])
