"""Addresses: of an Axis camera as a person types it, and of its streams."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from edge.camera.settings import CameraSettings
from edge.camera.source import address_of
from edge.camera.vapix.device import Device, read_device
from edge.camera.vapix.stream import Wish, stream_of
from edge.errors import OperatorError
from tests.edge.camera.conftest import settings


def test_an_axis_camera_is_named_simply_and_asked_for_the_stream_that_is_needed() -> None:
    address = address_of(settings("axis://192.0.2.10", fps=5))
    assert address.url() == (
        "rtsp://192.0.2.10:554/axis-media/media.amp?videocodec=h264&resolution=1920x1080&fps=5&audio=0"
        "&videozgopmode=fixed&videozfpsmode=fixed&videokeyframeinterval=10"
    )
    assert address.place == "rtsp://192.0.2.10:554/axis-media/media.amp"


def test_the_stream_may_have_another_port_codec_size_and_sensor() -> None:
    wish = Wish(codec="h265", resolution="", fps=0.2)
    parts = urlsplit(stream_of("axis://[2001:db8::1]:8554?camera=2&audio=1", wish))
    query = parse_qs(parts.query)
    assert parts.netloc == "[2001:db8::1]:8554"
    assert query["videocodec"] == ["h265"]
    assert "resolution" not in query
    assert query["fps"] == ["1"], "0 is as many as there are"
    assert query["camera"] == ["2"]
    assert query["audio"] == ["1"], "what was written by hand goes first"


def test_mjpeg_comes_over_http_and_encrypted_where_a_certificate_is_named() -> None:
    wish = Wish(codec="mjpeg", resolution="640x480", fps=4)
    assert stream_of("axis://camera", wish) == "http://camera/axis-cgi/mjpg/video.cgi?resolution=640x480&fps=4"
    assert stream_of("axis://camera:8443", wish, secure=True).startswith("https://camera:8443/axis-cgi/mjpg/")


def test_credentials_of_the_file_open_the_axis_stream(tmp_path: Path) -> None:
    file = tmp_path / "camera"
    file.write_text("root:p/w\n")
    file.chmod(0o600)
    address = address_of(settings("axis://camera", credentials_file=str(file)))
    assert address.url().startswith("rtsp://root:p%2Fw@camera:554/axis-media/media.amp?")
    assert "p/w" not in repr(address)


@pytest.mark.parametrize(
    "source", ["axis://", "axis://camera/path", "axis://u:hunter2@camera:port", "axis://u:hunter2@["]
)
def test_what_is_no_axis_camera_is_refused_without_its_password(source: str) -> None:
    with pytest.raises(OperatorError, match="is not an Axis camera's address") as refusal:
        address_of(settings(source))
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("resolution", ["big", "1920", "1920x1080x3", "0x0"])
def test_a_resolution_has_two_numbers(resolution: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="resolution"):
        msgspec.convert({"id": "gate-3", "source": "axis://camera", "resolution": resolution}, CameraSettings)


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("camera", "http://camera"),
        ("camera.example:8080", "http://camera.example:8080"),
        ("192.0.2.10", "http://192.0.2.10"),
        ("2001:db8::1", "http://[2001:db8::1]"),
        ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]"),
        ("https://camera/", "https://camera"),
        ("http://camera:443", "http://camera:443"),
    ],
)
def test_a_camera_may_be_typed_in_many_ways(typed: str, place: str) -> None:
    assert read_device(typed).place == place


def test_a_bare_host_is_asked_encrypted_where_a_certificate_was_named() -> None:
    assert read_device("camera", secure=True) == Device("https", "camera", 443)


@pytest.mark.parametrize(
    "typed",
    ["", "-camera", "cam era", "root:hunter2@camera", "camera:0", "camera:x", "ftp://camera", "[::1", "a/b", "a?b"],
)
def test_what_is_no_host_is_refused(typed: str) -> None:
    with pytest.raises(OperatorError, match="not a camera's host") as refusal:
        read_device(typed)
    assert "hunter2" not in str(refusal.value)
