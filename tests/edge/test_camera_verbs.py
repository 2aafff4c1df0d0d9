"""`edge camera probe` and `edge camera discover` as real processes, against a simulated Axis camera."""

import base64
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from zeroconf import ServiceInfo, Zeroconf

from tests.edge.announcements import announcing_alone
from tests.simulator.certificate import self_signed
from tests.simulator.pattern import write_video
from tests.simulator.vapix import READY, AxisCamera, running_axis

__all__ = ["announcing_alone"]

PASSWORD = "hunter2:/@"
TIMEOUT_S = 60
# In every form in which it could be told: as it is, in an address, and as Basic has it.
SECRETS = (PASSWORD, "hunter2", "hunter2%3A%2F%40", base64.b64encode(f"root:{PASSWORD}".encode()).decode())


@dataclass(frozen=True)
class Done:
    """What a process left behind, and what could be seen of it while it ran."""

    code: int
    out: str
    err: str
    seen: str

    def step(self, name: str) -> str:
        """Return the line of a step."""
        found = re.search(rf"^(\S+) +{name} .*$", self.out, re.MULTILINE)
        assert found, self.out
        return found[0]


def edge(*arguments: str, typed: str | None = None) -> Done:
    """Run a verb with --debug, looking at the process meanwhile; no password may show anywhere."""
    command = [sys.executable, "-m", "edge", "--debug", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        seen = ""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not seen.endswith("\0\0") and process.poll() is None and time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):
                kept = [(Path("/proc") / str(process.pid) / name).read_bytes() for name in ("cmdline", "environ")]
                # Python puts its own name there first; the verb is there once it has been started.
                seen = b"\0\0".join(kept).decode(errors="replace") + "\0\0" * (
                    b"camera" in kept[0] or b"-c" in kept[0]
                )
        out, err = process.communicate(None if typed is None else typed.encode(), timeout=TIMEOUT_S)
    done = Done(process.returncode, out.decode(), err.decode(), seen)
    for secret in SECRETS:
        assert secret not in done.out + done.err + done.seen
    return done


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "street.mp4", frames=50)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "camera.pem", "axis-b8a44f123456")


@pytest.fixture(scope="module")
def made(video: Path, own: Path) -> Iterator[AxisCamera]:
    with running_axis(video, password=PASSWORD, certificate=own, offers=("SHA-256", "MD5")) as axis:
        yield axis


@pytest.fixture
def axis(made: AxisCamera) -> Iterator[AxisCamera]:
    kept = dict(vars(made.axis))
    made.gate.logins.clear()
    yield made
    vars(made.axis).update(kept)


def credentials(folder: Path, password: str = PASSWORD, *, mode: int = 0o600) -> str:
    file = folder / "camera"
    file.write_text(f"root:{password}\n")
    file.chmod(mode)
    return str(file)


pytestmark = pytest.mark.slow


def test_a_camera_is_probed_by_its_host_alone(axis: AxisCamera, tmp_path: Path) -> None:
    began_s = time.monotonic()
    done = edge("camera", "probe", axis.host, "--credentials", credentials(tmp_path))
    assert time.monotonic() - began_s < 30
    assert (done.code, done.err) == (0, "")
    assert "AXIS P3265-LVE, serial B8A44F123456, AXIS OS 11.9.60" in done.step("device")
    assert axis.axis.boot in done.step("ready")
    assert "accepted for root" in done.step("password")
    assert "320x240" in done.step("snapshot")
    assert "by its time.cgi" in done.step("clock")
    assert f"rtsp://127.0.0.1:{axis.device.rtsp_port}/axis-media/media.amp?videocodec=h264" in done.step("address")
    assert re.search(r"h264 320x240, 25 a second, the first after \d", done.step("stream"))
    assert "dated by the camera" in done.step("stream")
    assert "FAIL" not in done.out


def test_a_program_gets_the_same_as_json(axis: AxisCamera, own: Path, tmp_path: Path) -> None:
    secret = credentials(tmp_path)
    done = edge("camera", "probe", axis.https, "--credentials", secret, "--ca-file", str(own), "--json")
    report = json.loads(done.out)
    found = {each["step"]: each for each in report["findings"]}
    assert report["exit_code"] == done.code == 0
    assert found["device"]["facts"]["SerialNumber"] == "B8A44F123456"
    assert found["snapshot"]["facts"] == {"width": 320, "height": 240, "jpeg_bytes": pytest.approx(6000, rel=0.9)}
    assert found["settings"]["facts"]["port"] == axis.device.rtsp_port
    assert found["stream"]["facts"]["codec"] == "h264"
    assert found["stream"]["facts"]["clock_source"] == "camera"
    assert abs(found["stream"]["facts"]["clock_ahead_ms"]) < 1000


def test_a_wrong_password_is_tried_once_and_nothing_that_needs_it(axis: AxisCamera, tmp_path: Path) -> None:
    done = edge("camera", "probe", axis.host, "--credentials", credentials(tmp_path, "hunter3"))
    assert done.code == 3
    assert done.step("password").startswith("FAIL")
    assert "refuses the user name or the password" in done.step("password")
    assert "not tried" in done.step("stream")
    assert "ok    clock" in done.step("clock"), "the clock needs no password"
    assert len(axis.gate.logins) == 1
    assert "hunter3" not in done.out + done.err + done.seen


def test_a_password_may_be_typed(axis: AxisCamera) -> None:
    done = edge("camera", "probe", axis.device.rtsp_url, "--user", "root", typed=f"{PASSWORD}\n")
    assert (done.code, done.step("stream")[:6]) == (0, "ok    ")


def test_a_host_that_is_down_is_told_in_seconds(tmp_path: Path) -> None:
    done = edge("camera", "probe", "127.0.0.1:1", "--credentials", credentials(tmp_path))
    assert done.code == 3
    assert "refuses the connection" in done.step("device")
    assert "not tried" in done.step("stream")


def test_a_factory_new_camera_says_what_to_do(axis: AxisCamera) -> None:
    axis.axis.factory_new = True
    done = edge("camera", "probe", axis.host)
    assert done.code == 3
    assert "set the password of its administrator" in done.step("ready")


def test_a_camera_that_starts_and_one_with_other_sizes_are_seen_with_a_note(axis: AxisCamera, tmp_path: Path) -> None:
    axis.axis.starting, axis.axis.resolutions, axis.axis.viewer = True, "1280x960,640x480", False
    axis.axis.codes = {READY: 8000}
    done = edge("camera", "probe", axis.host, "--credentials", credentials(tmp_path))
    assert done.code == 0
    assert done.step("ready").startswith("note  ready      it does not say")
    assert "set camera.resolution (1280x960, 640x480)" in done.step("settings")


def test_a_viewers_account_is_enough(axis: AxisCamera, tmp_path: Path) -> None:
    """The port of the stream is what an administrator's account would be told; so it is given."""
    axis.axis.viewer = True
    secret = credentials(tmp_path)
    done = edge("camera", "probe", axis.device.rtsp_url, "--credentials", secret)
    assert (done.code, done.step("stream")[:6]) == (0, "ok    ")
    done = edge("camera", "probe", axis.host, "--credentials", secret)
    assert "does not let this account" in done.step("settings")
    assert "rtsp://127.0.0.1:554/" in done.step("address")


@pytest.mark.parametrize("kind", ["mjpeg_url", "rtsp_url"])
def test_a_stream_of_any_make_is_probed_by_its_address(axis: AxisCamera, tmp_path: Path, kind: str) -> None:
    done = edge("camera", "probe", getattr(axis.device, kind), "--credentials", credentials(tmp_path))
    assert done.code == 0
    assert ("h264" if kind == "rtsp_url" else "mjpeg") in done.step("stream")
    assert len(done.out.splitlines()) == 1


def test_what_a_camera_says_of_itself_cannot_command_the_terminal(axis: AxisCamera) -> None:
    axis.axis.identity = axis.axis.identity | {"ProdNbr": "\x1b[2J\x07P1\u202e\n"}
    done = edge("camera", "probe", axis.host)
    assert done.out.isascii()
    assert done.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("target", [f"rtsp://root:{PASSWORD}@127.0.0.1/x", "root:hunter9@127.0.0.1"])
def test_a_password_on_the_command_line_is_refused(target: str) -> None:
    command = [sys.executable, "-m", "edge", "camera", "probe", target]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 2
    assert "--credentials FILE" in done.stderr
    assert "hunter" not in done.stdout + done.stderr


def test_a_credentials_file_for_all_to_read_is_refused(tmp_path: Path) -> None:
    file = credentials(tmp_path, mode=0o644)
    command = [sys.executable, "-m", "edge", "camera", "probe", "127.0.0.1:1", "--credentials", file]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"edge camera: credentials file {file} is open to every user; chmod 600 {file}\n"


WATCHING = """
import sys
from edge import program
from edge.camera.feed import Feed
from edge.camera.settings import CameraSettings

def watch():
    settings = CameraSettings(id="gate", source=sys.argv[1], credentials_file=sys.argv[2], retry_password_s=0.3)
    with Feed(settings) as feed:
        print("saw" if feed.next(1.5) else "saw nothing", feed.state())
    return 0

sys.exit(program.run("edge watch", watch, debug=True))
"""


@pytest.mark.parametrize("what", ["right", "wrong", "down"])
def test_what_watches_a_camera_logs_no_password(axis: AxisCamera, tmp_path: Path, what: str) -> None:
    # Of the wrong password no more than of the right one: it may be right for something else.
    secret = credentials(tmp_path, PASSWORD + "x" * (what == "wrong"))
    source = "rtsp://127.0.0.1:1/x" if what == "down" else f"axis://127.0.0.1:{axis.device.rtsp_port}"
    done = subprocess.run(
        [sys.executable, "-c", WATCHING, source, secret],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("saw" if what == "right" else "saw nothing")
    assert {"right": "camera.seeing", "wrong": "unauthorised", "down": "refused"}[what] in done.stderr
    for each in SECRETS:
        assert each not in done.stdout + done.stderr


@pytest.mark.usefixtures("announcing_alone")
def test_a_camera_that_announces_itself_is_found_and_the_next_command_told() -> None:
    zeroconf = Zeroconf(interfaces=["127.0.0.1"])
    name = "AXIS P3265-LVE - B8A44F123456"
    info = ServiceInfo(
        "_axis-video._tcp.local.",
        f"{name}._axis-video._tcp.local.",
        addresses=[socket.inet_aton("192.0.2.10")],
        port=80,
        properties={"macaddress": "B8A44F123456"},
        server="axis-b8a44f123456.local.",
    )
    try:
        zeroconf.register_service(info, cooperating_responders=True)
        listen = ("camera", "discover", "--seconds", "1.5", "--interface", "127.0.0.1")
        done, told = edge(*listen), edge(*listen, "--json")
    finally:
        zeroconf.close()
    assert (done.code, done.err) == (0, "")
    assert f"{name}  serial B8A44F123456  192.0.2.10" in done.out
    assert "edge camera probe 192.0.2.10" in done.out
    assert json.loads(told.out)[0]["serial"] == "B8A44F123456"


@pytest.mark.usefixtures("announcing_alone")
def test_where_no_camera_is_found_it_says_what_to_do() -> None:
    for _ in range(10):  # what another program of this machine announces just now is none of this test's
        done = edge("camera", "discover", "--seconds", "0.3", "--interface", "127.0.0.1")
        assert done.code == 0
        if "serial" not in done.out:
            break
    assert "no Axis camera announced itself within 0.3 s" in done.out
    assert "a typed address always works: edge camera probe HOST" in done.out
