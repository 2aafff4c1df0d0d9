"""Real processes in their noisy moments: nothing they log, report or count carries a key, a password or a face."""

import base64
import json
import socket
import urllib.request
from pathlib import Path

import pytest
from zmq.utils import z85

from central.rig import Rig, free_ports
from tests.journeys.conftest import Scene, finished, until

pytestmark = pytest.mark.slow

PASSWORD = "Correct-Horse-77"


def forms(secret: bytes) -> set[bytes]:
    """Return how a secret could be written: as it is, in hexadecimal, base64 and z85, each also in part."""
    whole = secret[: len(secret) // 4 * 4]
    written = [secret, secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret)]
    written.append(z85.encode(whole))
    return {form[:20] for form in written}


def secrets_of(rig: Rig) -> dict[str, set[bytes]]:
    """Return every secret that lies in the folders of centre and box."""
    found = {"password": {PASSWORD.encode()}}
    for path in rig.home.rglob("*"):
        if path.is_file() and path.parent.name in ("keys", "push") and path.suffix in (".key", ".pem"):
            found[str(path)] = forms(path.read_bytes().strip())
    return found


def page(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        body: bytes = answer.read()
    return body


def heard(rig: Rig) -> bytes:
    """Return what the centre was told of its boxes."""
    return json.dumps(rig.ask("/api/health")).encode()


def knock(port: int) -> None:
    """Talk to the centre as no box does."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(200))


def test_nothing_is_said_that_must_not_be(rig: Rig, scene: Scene) -> None:
    box_port, centre_port = free_ports(2)
    rig.start_centre({"metrics": {"port": centre_port}})
    rig.sightline("enrol", str(scene.references))
    (dead,) = free_ports(1)
    # A camera that is not there, its password in its address; a centre that comes and goes; strangers.
    blind = f"rtsp://root:{PASSWORD}@127.0.0.1:{dead}/axis-media/media.amp"
    rig.make_box({"source": blind}, [f"metrics.port={box_port}"])
    watch, link = rig.start_watch(), rig.start_link(drain=False)
    knock(rig.port)
    until(lambda: b"does not see" in heard(rig))
    said = [page(box_port), page(centre_port), json.dumps(rig.box_status()).encode()]
    for process in (watch, link):
        process.signal(15)
        assert process.wait(30) is not None
    seeing = rig.box_config.read_text().replace(blind, str(scene.video))
    rig.box_config.write_text(seeing)
    rig.start_watch()
    until(lambda: not rig.box_status()["watch"]["ended"])  # else link would take the last one's end for this one's
    rig.start_link()
    assert finished(rig)["alerts"] > 0
    said += [page(centre_port), json.dumps(rig.box_status()).encode(), heard(rig)]
    logs = [path.read_bytes() for path in rig.home.glob("*.log")]
    told = b"".join([*logs, *said])
    assert b"selftest" in told
    assert b"watch.started" in told
    assert b"intake.connected" in told
    secrets = secrets_of(rig)
    assert len(secrets) >= 5
    for where, written in secrets.items():
        for form in written:
            assert form not in told, where
    for face in (b"\xff\xd8\xff", b"JFIF", b"/9j/", b"\\xff\\xd8"):
        assert face not in told
    for line in b"".join(logs).splitlines():
        if line.startswith(b"{"):
            assert {"timestamp", "level", "event"} <= json.loads(line).keys()
    names = [path.name for path in Path(scene.references).iterdir() if path.is_dir()]
    counted = b"".join(said[:4])
    assert names
    assert not [name for name in names if name.encode() in counted]
