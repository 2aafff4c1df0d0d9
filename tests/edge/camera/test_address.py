from pathlib import Path

import msgspec
import pytest

from edge.camera.address import holds_password, read_address, without_secrets
from edge.camera.feed import Feed
from edge.camera.settings import CameraSettings
from edge.errors import OperatorError


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("rtsp://root:pass@camera.local:554/media.amp?fps=10", "rtsp://camera.local:554/media.amp"),
        ("rtsp://root:p@ss@camera/media.amp", "rtsp://camera/media.amp"),
        ("rtsp://root:pa/s:@s/x@camera:554/media.amp", "rtsp://camera:554/media.amp"),
        ("rtsp://root:12/pass@camera/media.amp", "rtsp://camera/media.amp"),
        ("rtsp://root:pa?ss/x@camera/media.amp", "rtsp://"),
        ("rtsp://root@camera/media.amp", "rtsp://camera/media.amp"),
        ("rtsp://camera/live@2", "rtsp://camera/live@2"),
        ("http://[::1]:80/video.cgi?user=a@b&pwd=pass", "http://[::1]:80/video.cgi"),
        ("http://camera/video.cgi?user=root&pwd=pass", "http://camera/video.cgi"),
        ("http://camera?pwd=pass", "http://camera"),
        ("rtsp://root:pass@[bad/x", "rtsp://[bad/x"),
        ("clips/street.mp4", "clips/street.mp4"),
    ],
)
def test_a_place_has_no_secrets(source: str, place: str) -> None:
    assert without_secrets(source) == place


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("rtsp://root:pass@camera/media.amp", True),
        ("rtsp://root:pa/ss@camera/media.amp", True),
        ("rtsp://root:pa?ss@camera/media.amp", True),
        ("rtsp://root@camera/media.amp", False),
        ("rtsp://camera:554/media.amp", False),
        ("rtsp://[::1]/media.amp?user=a@b", False),
        ("street:1@2.mp4", False),
    ],
)
def test_a_password_in_an_address_is_noticed(source: str, holds: bool) -> None:
    assert holds_password(source) is holds


def test_a_password_in_the_address_is_handed_to_the_decoder_and_shown_to_nobody() -> None:
    address = read_address("rtsp://root:p%40ss@camera:8554/media.amp?fps=5", None)
    assert address.url() == "rtsp://root:p%40ss@camera:8554/media.amp?fps=5"
    assert "p%40ss" not in repr(address)
    assert "p@ss" not in repr(address)


def test_a_credentials_file_goes_before_the_address(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("operator:to:p/secret\n")
    file.chmod(0o600)
    address = read_address("rtsp://root:old@camera/media.amp", str(file))
    assert address.url() == "rtsp://operator:to%3Ap%2Fsecret@camera/media.amp"


def test_an_address_without_credentials_stays_as_it_is() -> None:
    assert read_address("http://camera/video.cgi?fps=5", None).url() == "http://camera/video.cgi?fps=5"


@pytest.mark.parametrize(
    "source",
    ["rtmp://root:pass@camera/live", "rtsp:///path", "rtsp://root:pass@camera:port/x", "rtsp://u:pass@["],
)
def test_a_source_that_is_no_cameras_address_is_refused_before_anything_starts(source: str) -> None:
    with pytest.raises(OperatorError, match="is not a camera's address") as refusal:
        Feed(CameraSettings(id="gate-3", source=source))
    assert "pass" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "hunter", ":hunter2", "me:hunter2\nand more"])
def test_a_credentials_file_that_is_not_one_line_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(OperatorError, match="write one line in it: username:password") as refusal:
        read_address("rtsp://camera/media.amp", str(file))
    assert "hunter" not in str(refusal.value)


def test_a_missing_credentials_file_is_named() -> None:
    with pytest.raises(OperatorError, match=r"credentials file /nowhere cannot be read: No such file"):
        read_address("rtsp://camera/media.amp", "/nowhere")


def test_settings_are_written_out_without_the_password() -> None:
    settings = CameraSettings(id="gate-3", source="rtsp://root:secret@camera/media.amp?pwd=secret")
    assert "secret" not in f"{settings!r} {settings}"


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="framerate"):
        msgspec.convert({"id": "gate-3", "source": "a.mp4", "framerate": 3}, CameraSettings)
