"""Streams over TLS: the decoder by itself believes any certificate, so it is told which."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from edge.camera.address import read_address
from edge.camera.certificate import checked, context_for
from edge.camera.clock import Clock
from edge.camera.errors import CameraError, Reason
from edge.camera.source import Source, open_source
from edge.camera.streams import Stream
from tests.edge.camera.conftest import impatient
from tests.simulator.certificate import self_signed, signed_by_an_authority
from tests.simulator.vapix import AxisCamera, running_axis
from tests.simulator.web import MJPEG_PATH

PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "camera.pem", "axis-b8a44f123456")


@pytest.fixture(scope="module")
def axis(video: Path, own: Path) -> Iterator[AxisCamera]:
    with running_axis(video, password=PASSWORD, certificate=own) as axis:
        yield axis


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    file = tmp_path / "credentials"
    file.write_text(f"root:{PASSWORD}")
    file.chmod(0o600)
    return str(file)


def seen(source: str, **options: object) -> Source:
    """Open a stream and take one picture of it."""
    stream = open_source(impatient(source, connect_timeout_s=3.0, read_timeout_s=3.0, **options), Clock())
    try:
        next(iter(stream))
    finally:
        stream.close()
    return stream


def test_a_stream_is_seen_whose_cameras_own_certificate_was_named(
    axis: AxisCamera, own: Path, credentials: str
) -> None:
    stream = seen(axis.https + MJPEG_PATH, ca_file=str(own), credentials_file=credentials)
    assert isinstance(stream, Stream)
    assert stream.codec == "mjpeg"


def test_an_axis_camera_is_seen_by_mjpeg_over_tls(axis: AxisCamera, own: Path, credentials: str) -> None:
    source = axis.https.replace("https", "axis")
    seen(source, codec="mjpeg", ca_file=str(own), credentials_file=credentials)
    assert axis.axis.requests[-1].uri == f"{MJPEG_PATH}?resolution=1920x1080&fps=10"


def test_an_authority_is_believed_in_its_own_name_only(video: Path, tmp_path: Path) -> None:
    for address, believed in (("127.0.0.1", True), ("127.0.0.2", False)):
        authority, file = signed_by_an_authority(tmp_path, address)
        with running_axis(video, certificate=file) as axis:
            if believed:
                seen(axis.https + MJPEG_PATH, ca_file=str(authority))
            else:
                refused(axis.https + MJPEG_PATH, ca_file=str(authority))


def test_a_host_that_shows_another_certificate_after_the_first_look_gets_nothing(
    axis: AxisCamera, own: Path, video: Path, tmp_path: Path
) -> None:
    first = read_address(axis.https + MJPEG_PATH, None)
    options = checked(first, str(own), timeout_s=3.0)
    context = context_for("127.0.0.1", axis.device.https_port, own, timeout_s=3.0)
    other = self_signed(tmp_path / "other.pem", "axis-b8a44f123456")
    with running_axis(video, certificate=other) as thief:
        with pytest.raises(av.FFmpegError):
            av.open(thief.https + MJPEG_PATH, format="mpjpeg", options=options, timeout=(3.0, 3.0))
        with (
            socket.create_connection(("127.0.0.1", thief.device.https_port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
        assert thief.axis.requests == []


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_no_password_goes_to_a_camera_whose_certificate_is_not_known(
    axis: AxisCamera, tmp_path: Path, credentials: str, scheme: str
) -> None:
    axis.axis.requests.clear()
    source = axis.https.replace("https", scheme) + MJPEG_PATH
    for ca_file in (None, str(self_signed(tmp_path / "other.pem", "axis-b8a44f123456"))):
        refused(source, ca_file=ca_file, credentials_file=credentials)
    assert axis.axis.requests == []


def test_the_reader_opencv_checks_certificates_by_the_same_rule(
    axis: AxisCamera, own: Path, credentials: str
) -> None:
    source, options = axis.https + MJPEG_PATH, {"reader": "opencv", "credentials_file": credentials}
    seen(source, ca_file=str(own), **options)
    axis.axis.requests.clear()
    refused(source, **options)
    assert axis.axis.requests == []


def refused(source: str, **options: object) -> None:
    with pytest.raises(CameraError, match="a certificate that is not trusted") as refusal:
        seen(source, **options)
    assert refusal.value.reason is Reason.UNTRUSTED
    assert refusal.value.__context__ is None


def test_nobody_at_an_encrypted_port_is_told_as_elsewhere(own: Path) -> None:
    for ca_file in (None, str(own)):
        with pytest.raises(CameraError) as refusal:
            seen("rtsps://127.0.0.1:1/media", ca_file=ca_file)
        assert refusal.value.reason is Reason.REFUSED
