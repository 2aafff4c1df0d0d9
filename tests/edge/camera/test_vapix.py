"""What an Axis camera is asked, as dialogues with a simulated one over real sockets."""

import contextlib
import io
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.camera.credentials import Credentials
from edge.camera.errors import CameraError, Reason
from edge.camera.vapix import errors
from edge.camera.vapix.client import Vapix
from edge.camera.vapix.device import read_device
from edge.camera.vapix.door import Patience
from tests.simulator.certificate import self_signed, signed_by_an_authority
from tests.simulator.vapix import PARAM, PROFILES, READY, SERIAL, TIME, WHO, AxisCamera, running_axis
from tests.simulator.web import SNAPSHOT_PATH

PASSWORD = 'hunter2 "quoted" ä:/@'
RIGHT, WRONG = Credentials("root", PASSWORD), Credentials("root", "hunter3")
HASTE = Patience(step_s=0.5, whole_s=1.0)


@pytest.fixture(scope="module")
def made(video: Path) -> Iterator[AxisCamera]:
    """A camera with a password; tests leave it as they found it."""
    with running_axis(video, password=PASSWORD, offers=("MD5", "SHA-256")) as axis:
        yield axis


@pytest.fixture
def axis(made: AxisCamera) -> Iterator[AxisCamera]:
    kept = dict(vars(made.axis))
    made.axis.requests = []
    made.gate.logins.clear()
    yield made
    vars(made.axis).update(kept | {"codes": {}, "bodies": {}, "statuses": {}})


@contextlib.contextmanager
def asking(axis: AxisCamera, login: Credentials | None = RIGHT, patience: Patience = HASTE) -> Iterator[Vapix]:
    with Vapix(read_device(axis.host), credentials=login, patience=patience) as camera:
        yield camera


def trouble(ask: Callable[[], object], kind: type[CameraError] = CameraError) -> CameraError:
    """Return how it fails, having seen that no password is in it, nor in what it came from."""
    with pytest.raises(kind) as raised:
        ask()
    told = io.StringIO()
    traceback.print_exception(raised.value, file=told)
    for secret in ("hunter", "Authorization", "username="):
        assert secret not in told.getvalue()
    assert raised.value.__context__ is None
    assert raised.value.hint or isinstance(raised.value, errors.AbsentError)
    return raised.value


def test_anybody_may_ask_who_the_camera_is_and_whether_it_is_ready(axis: AxisCamera) -> None:
    with asking(axis, login=None) as camera:
        who, ready = camera.identify(), camera.readiness()
    assert (who.brand, who.prod_nbr, who.serial_number, who.version) == ("AXIS", "P3265-LVE", SERIAL, "11.9.60")
    assert (ready.systemready, ready.needsetup, ready.bootid) == ("yes", "no", axis.axis.boot)
    assert axis.gate.logins == []


def test_logged_in_it_says_more(axis: AxisCamera) -> None:
    with asking(axis) as camera:
        more, values, profiles = camera.identify_fully(), camera.parameters("Network.RTSP"), camera.stream_profiles()
    assert (more.soc, more.architecture, more.hardware_id) == ("Axis Artpec-8", "aarch64", "9A7")
    assert values.get("Network.RTSP.Port") == str(axis.device.rtsp_port)
    assert values.get("Properties.Image.Format") == ""
    assert [each.name for each in profiles] == ["Quality"]
    assert all("algorithm=SHA-256" in each for each in axis.gate.logins)


def test_a_snapshot_comes_with_its_size_and_a_question_has_its_target_in_the_digest(axis: AxisCamera) -> None:
    with asking(axis) as camera:
        shot = camera.snapshot("640x360")
    assert (shot.width, shot.height, shot.logged_in) == (320, 240, True)
    assert shot.jpeg.startswith(b"\xff\xd8")
    assert axis.axis.requests[-1].uri == f"{SNAPSHOT_PATH}?resolution=640x360"


def test_several_calls_share_a_connection_and_each_logs_in_once(axis: AxisCamera) -> None:
    with asking(axis) as camera:
        for _ in range(3):
            camera.identify_fully()
        assert len(axis.device._connections) == 1
    assert len(axis.gate.logins) == 3


@pytest.mark.parametrize("ahead_s", [0.0, -7.0, 40.0])
@pytest.mark.parametrize("has_time", [True, False])
def test_the_clocks_are_compared_with_and_without_time_cgi(
    axis: AxisCamera, ahead_s: float, *, has_time: bool
) -> None:
    axis.device.programme.clock_ahead_s, axis.axis.has_time = ahead_s, has_time
    try:
        with asking(axis) as camera:
            clock = camera.clock(login=True)
    finally:
        axis.device.programme.clock_ahead_s = 0.0
    assert clock.told_by == ("time.cgi" if has_time else "web server")
    assert abs(clock.ahead_ms - 1000 * ahead_s) <= clock.within_ms + 100
    assert 500 <= clock.within_ms < 1500


def test_the_clock_is_known_without_a_password(axis: AxisCamera) -> None:
    with asking(axis, login=None) as camera:
        clock = camera.clock(login=False)
    assert clock.told_by == "web server"
    assert abs(clock.ahead_ms) <= clock.within_ms + 100


def test_a_wrong_password_is_sent_once_and_never_again(axis: AxisCamera) -> None:
    with asking(axis, login=WRONG) as camera:
        for _ in range(30):
            refusal = trouble(camera.snapshot, errors.LoginRefusedError)
        trouble(camera.identify_fully, errors.LoginRefusedError)
        assert camera.readiness().systemready == "yes"
    assert refusal.reason is Reason.UNAUTHORISED
    assert len(axis.gate.logins) == 1


def test_who_hurries_is_locked_out_as_by_a_real_camera(video: Path) -> None:
    with running_axis(video, password=PASSWORD) as axis:
        now = [100.0]
        axis.gate.clock = lambda: now[0]
        for _ in range(20):
            with asking(axis, login=WRONG) as camera:
                trouble(camera.snapshot, errors.LoginRefusedError)
        for now[0], blocked in ((100.0, True), (109.9, True), (110.1, False)):
            with asking(axis) as camera:
                if blocked:
                    trouble(camera.snapshot, errors.LoginRefusedError)
                else:
                    camera.snapshot()


def test_without_a_password_nothing_is_tried_that_needs_one(axis: AxisCamera) -> None:
    with asking(axis, login=None) as camera:
        assert "asks for a user name" in trouble(camera.snapshot, errors.LoginMissingError).message
    assert axis.gate.logins == []


def test_a_camera_that_asks_nobody_gets_no_password(video: Path) -> None:
    with running_axis(video) as axis, asking(axis) as camera:
        assert not camera.snapshot().logged_in
        assert all("authorization" not in each.headers for each in axis.axis.requests)


def test_basic_is_never_sent_in_the_clear(video: Path) -> None:
    with running_axis(video, password=PASSWORD, offers=("Basic",)) as axis:
        with asking(axis) as camera:
            assert "none was sent" in trouble(camera.snapshot).message
        assert axis.gate.logins == []


def test_a_viewers_account_may_see_and_is_told_what_it_may_not(axis: AxisCamera) -> None:
    axis.axis.viewer = True
    with asking(axis) as camera:
        camera.snapshot()
        refusal = trouble(lambda: camera.parameters("Network.RTSP"), errors.NotAllowedError)
        assert "for seeing this is not needed" in refusal.hint
        camera.snapshot()


def test_a_factory_new_camera_is_told_from_one_that_refuses(axis: AxisCamera) -> None:
    axis.axis.factory_new = True
    with asking(axis) as camera:
        assert camera.readiness().needsetup == "yes"
        refusal = trouble(camera.snapshot, errors.FactoryNewError)
    assert "set the password" in refusal.hint
    assert axis.gate.logins == []


def test_where_anonymous_questions_are_off_the_password_helps(axis: AxisCamera) -> None:
    axis.axis.anonymous = False
    with asking(axis) as camera:
        trouble(camera.identify, errors.LoginMissingError)
        assert camera.identify(login=True).serial_number == SERIAL


@pytest.mark.parametrize("code", [2003, 2004, 4000, 4002, 8000, 1234])
def test_an_error_that_comes_with_status_200_is_an_error(axis: AxisCamera, code: int) -> None:
    axis.axis.codes = {WHO: code, READY: code, PROFILES: code}
    with asking(axis) as camera:
        for ask in (camera.identify, camera.readiness, camera.identify_fully, camera.stream_profiles):
            refusal = trouble(ask, errors.ApiError)
            assert isinstance(refusal, errors.ApiError)
            assert refusal.code == code
            assert f"(code {code})" in refusal.message


def test_a_clock_that_is_deprecated_is_replaced_by_the_web_servers(axis: AxisCamera) -> None:
    axis.axis.codes = {TIME: 2004}
    with asking(axis) as camera:
        assert camera.clock(login=True).told_by == "web server"


NONSENSE = [b"", b"{", b"[]", b"null", b"<html>", b"\xff" * 50, b'{"data": {}}', b'{"data": [1]}', b'{"error": 5}']


@pytest.mark.parametrize("body", NONSENSE)
def test_nonsense_is_told_and_is_not_an_axis_camera(axis: AxisCamera, body: bytes) -> None:
    axis.axis.bodies = {WHO: body, READY: body, SNAPSHOT_PATH: body, PROFILES: body}
    with asking(axis) as camera:
        trouble(camera.identify, errors.NotAxisError)
        for ask in (camera.readiness, camera.identify_fully, camera.snapshot):
            assert trouble(ask).reason is Reason.CORRUPT


@pytest.mark.parametrize("body", [b"\xff\xd8\xff", b"\xff\xd8" + b"x" * 1000])
def test_a_damaged_picture_is_told(axis: AxisCamera, body: bytes) -> None:
    axis.axis.bodies = {SNAPSHOT_PATH: body}
    with asking(axis) as camera:
        assert trouble(camera.snapshot).reason is Reason.CORRUPT


def test_parameters_come_with_and_without_their_root(axis: AxisCamera) -> None:
    axis.axis.bodies = {PARAM: b"# Error: no such group\r\nroot.A.B=1=2\r\n\r\nA.C=\r\n"}
    with asking(axis) as camera:
        values = camera.parameters("A")
    assert values.values == {"A.B": "1=2", "A.C": ""}


def test_another_make_is_told(axis: AxisCamera) -> None:
    axis.axis.statuses = {WHO: "404 Not Found"}
    with asking(axis) as camera:
        refusal = trouble(camera.identify, errors.NotAxisError)
    assert "edge camera probe rtsp://" in refusal.hint


def test_a_busy_camera_is_asked_to_be_patient_with(axis: AxisCamera) -> None:
    axis.axis.statuses = {SNAPSHOT_PATH: "503 Service Unavailable"}
    with asking(axis) as camera:
        assert "status 503; it may be starting" in str(trouble(camera.snapshot))


def test_no_redirect_is_followed_least_of_all_with_a_password(axis: AxisCamera, video: Path) -> None:
    with running_axis(video, password=PASSWORD, offers=("Basic",)) as thief:
        axis.axis.location = f"http://root:x@{thief.host}{SNAPSHOT_PATH}?secret"
        with asking(axis) as camera:
            refusal = trouble(camera.snapshot)
        assert thief.axis.requests == []
    assert refusal.message.endswith(f"wants to be asked at http://{thief.host}{SNAPSHOT_PATH}")


def test_an_answer_that_does_not_end_is_ended(axis: AxisCamera) -> None:
    axis.axis.endless = READY
    with asking(axis) as camera:
        refusal = trouble(camera.readiness)
    assert "more than 262,144 bytes" in refusal.message


def test_an_answer_by_the_byte_is_ended_after_the_whole_time(axis: AxisCamera) -> None:
    axis.axis.dripping = READY
    with asking(axis, patience=Patience(step_s=0.5, whole_s=0.3)) as camera:
        began_s = time.monotonic()
        assert trouble(camera.readiness).reason is Reason.TIMEOUT
        assert time.monotonic() - began_s < 2.0


def test_nobody_at_the_port_and_no_such_host() -> None:
    with Vapix(read_device("127.0.0.1:1"), patience=HASTE) as camera:
        assert trouble(camera.identify).reason is Reason.REFUSED
    with Vapix(read_device("camera.invalid"), patience=HASTE) as camera:
        assert trouble(camera.identify).reason is Reason.MISSING


@contextlib.contextmanager
def a_host_that(answers: bytes | None, then: float = 0.0) -> Iterator[str]:
    """Take connections; answer each so and hang up, or never answer."""
    leaving = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    if answers is None:
                        leaving.wait(5)
                    else:
                        connection.recv(4096)
                        connection.sendall(answers)
                        leaving.wait(then)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = threading.Thread(target=talk)
        host.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            leaving.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            host.join()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, Reason.TIMEOUT),
        (b"", Reason.ENDED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", Reason.ENDED),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.CORRUPT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Reason.CORRUPT),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, Reason.CORRUPT),
    ],
)
def test_a_host_that_is_no_web_server_is_told(answer: bytes | None, reason: Reason) -> None:
    with a_host_that(answer) as host, Vapix(read_device(host), patience=HASTE) as camera:
        assert trouble(camera.readiness).reason is reason


def test_a_proxy_of_the_environment_is_not_asked(axis: AxisCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with asking(axis) as camera:
        assert camera.snapshot().logged_in


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's own certificate, in the name of its serial number."""
    return self_signed(tmp_path_factory.mktemp("tls") / "camera.pem", "axis-b8a44f123456")


@pytest.fixture(scope="module")
def encrypted(video: Path, own: Path) -> Iterator[AxisCamera]:
    with running_axis(video, password=PASSWORD, offers=("Basic",), certificate=own) as axis:
        yield axis


def asking_tls(axis: AxisCamera, ca_file: Path | None) -> Vapix:
    return Vapix(read_device(axis.https), credentials=RIGHT, ca_file=ca_file, patience=HASTE)


def test_basic_is_sent_to_the_camera_whose_own_certificate_was_named(encrypted: AxisCamera, own: Path) -> None:
    encrypted.gate.logins.clear()
    with asking_tls(encrypted, own) as camera:
        assert camera.snapshot().logged_in
    assert [each.partition(" ")[0] for each in encrypted.gate.logins] == ["Basic"]


def test_a_certificate_that_is_not_known_gets_nothing_and_its_fingerprint_is_shown(
    encrypted: AxisCamera, tmp_path: Path
) -> None:
    encrypted.axis.requests.clear()
    for ca_file in (None, self_signed(tmp_path / "other.pem", "axis-b8a44f123456")):
        with asking_tls(encrypted, ca_file) as camera:
            refusal = trouble(camera.snapshot)
        assert refusal.reason is Reason.UNTRUSTED
        assert ":" in refusal.message.partition("SHA-256 ")[2]
    assert encrypted.axis.requests == []


def test_an_authority_is_believed_in_its_own_name_only(video: Path, tmp_path: Path) -> None:
    for address, reason in (("127.0.0.1", None), ("127.0.0.2", Reason.UNTRUSTED)):
        authority, camera_file = signed_by_an_authority(tmp_path, address)
        with running_axis(video, certificate=camera_file) as axis, asking_tls(axis, authority) as camera:
            if reason is None:
                assert camera.identify().brand == "AXIS"
            else:
                assert trouble(camera.identify).reason is reason


def test_a_port_without_encryption_is_told(encrypted: AxisCamera, own: Path) -> None:
    plain = read_device(f"https://{encrypted.host}")
    for ca_file in (None, own):
        with Vapix(plain, ca_file=ca_file, patience=HASTE) as camera:
            assert trouble(camera.identify).reason in {Reason.CORRUPT, Reason.ENDED, Reason.TIMEOUT}


def test_a_silent_host_is_given_up_also_before_the_handshake(own: Path) -> None:
    with a_host_that(None) as host, Vapix(read_device(f"https://{host}"), ca_file=own, patience=HASTE) as camera:
        assert trouble(camera.identify).reason is Reason.TIMEOUT
