"""Each bad input gives one clear line, the right exit code, and no traceback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from edge.faces.registry import ModelCard, ModelStore, Task, load_registry
from tests.edge.test_config import GOOD
from tests.journeys.conftest import Scene

pytestmark = pytest.mark.slow


def run(*words: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr.strip()


def one_line(words: tuple[str, ...], code: int, *says: str, **environment: str) -> str:
    """Run a command that must fail with this code and say all of this in its last line, without a traceback."""
    returned, said, complained = run(*words, **environment)
    last = (complained.splitlines() or [""])[-1]
    assert returned == code, (returned, said, complained)
    assert "Traceback" not in complained
    for part in says:
        assert part in last, last
    return last


def replay(scene: Scene, video: str) -> tuple[str, ...]:
    return ("central", "replay", "--pace", "fast", "--video", video, "--watchlist", str(scene.references))


def test_a_missing_video(scene: Scene) -> None:
    one_line(replay(scene, "/nowhere/street.mp4"), 2, "there is no video /nowhere/street.mp4")


def test_a_video_that_is_none(tmp_path: Path, scene: Scene) -> None:
    video = tmp_path / "noise.mp4"
    video.write_bytes(np.random.default_rng(1).bytes(20_000))
    one_line(replay(scene, str(video)), 2, str(video))


def test_a_video_that_breaks_off(tmp_path: Path, scene: Scene) -> None:
    video = tmp_path / "short.mp4"
    video.write_bytes(scene.video.read_bytes()[:200_000])
    one_line(replay(scene, str(video)), 2, str(video), "cut short")


def test_a_camera_that_cannot_be_reached_is_told_and_given_up(scene: Scene) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"rtsp://operator:secret@127.0.0.1:{held.getsockname()[1]}/axis-media/media.amp"
        last = one_line(replay(scene, address), 3, "no picture", "refused")
    assert "secret" not in last


def test_a_watchlist_folder_that_is_not_there(scene: Scene) -> None:
    words = ("central", "replay", "--video", str(scene.video), "--watchlist", "/nowhere")
    one_line(words, 2, "there is no folder /nowhere")


def test_a_photograph_without_a_face_and_one_with_two(tmp_path: Path, scene: Scene) -> None:
    photos = sorted(scene.references.glob("*/*"))
    one, other = (cv2.imread(str(path)) for path in (photos[0], photos[-1]))
    assert one is not None
    assert other is not None
    side = min(one.shape[0], other.shape[0])
    cv2.imwrite(
        str(tmp_path / "two.png"), np.hstack([cv2.resize(one, (side, side)), cv2.resize(other, (side, side))])
    )
    cv2.imwrite(str(tmp_path / "none.png"), np.full((200, 200, 3), 128, np.uint8))
    (tmp_path / "text.png").write_text("not a picture")
    for name, reason in (("two", "several-faces"), ("none", "no-face"), ("text", "unreadable")):
        photo = str(tmp_path / f"{name}.png")
        code, said, _ = run("central", "enrol", photo, "--name", "Nobody", "--state", str(tmp_path / "state"))
        assert code == 2
        assert photo in said
        assert reason in said


def public_detector(tmp_path: Path) -> tuple[ModelCard, Path]:
    """Return a registered detector that has to be fetched, and settings that ask for it."""
    store = ModelStore.default()
    card = next(c for c in load_registry().models.values() if c.task is Task.DETECT and c.url)
    if not store.has(card):
        pytest.skip(f"model {card.name} is not here: sightline models pull {card.name}")
    settings = tmp_path / "centre.yaml"
    settings.write_text(f"models: {{detector: {card.name}}}\n")
    return card, settings


@pytest.mark.parametrize("change", ["truncated", "altered"])
def test_a_model_that_is_not_what_was_registered_is_not_run(tmp_path: Path, scene: Scene, change: str) -> None:
    card, settings = public_detector(tmp_path)
    data = ModelStore.default().path(card).read_bytes()
    folder = tmp_path / "cache" / "sightline" / "models"
    folder.mkdir(parents=True)
    (folder / card.file).write_bytes(data[:1000] if change == "truncated" else data[:-1] + b"!")
    words = ("central", "enrol", str(scene.references), "--state", str(tmp_path / "state"), "--config", str(settings))
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "SIGHTLINE_MIRROR": str(tmp_path)}
    one_line(words, 5, card.name, "not the registered file", "sightline models pull", **environment)


def test_a_model_that_cannot_be_had_says_how_to_get_it(tmp_path: Path, scene: Scene) -> None:
    card, settings = public_detector(tmp_path)
    words = ("central", "enrol", str(scene.references), "--state", str(tmp_path / "state"), "--config", str(settings))
    environment = {"XDG_CACHE_HOME": str(tmp_path / "empty"), "SIGHTLINE_MIRROR": str(tmp_path)}
    one_line(words, 2, card.name, "is not here", f"sightline models pull {card.name}", **environment)


def test_an_unknown_key_in_the_box_s_configuration(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "pipelines": {}}))
    for verb in ("watch", "link", "check", "status", "keys"):
        one_line(("edge", verb, "--config", str(path)), 2, "unknown key pipelines", "did you mean pipeline?")


def test_an_unknown_key_in_the_centre_s_settings(tmp_path: Path) -> None:
    path = tmp_path / "centre.yaml"
    path.write_text("alert_treshold: 0.4\n")
    words = ("central", "serve", "--state", str(tmp_path / "state"), "--config", str(path))
    one_line(words, 2, "alert_treshold", "alert_threshold")


@pytest.mark.usefixtures("models")
def test_ports_in_use(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        for settings in (
            {"endpoint": f"tcp://127.0.0.1:{port}", "console": {"port": 0}},
            {"console": {"port": port}},
        ):
            path = tmp_path / "centre.yaml"
            path.write_text(yaml.safe_dump(settings))
            words = ("central", "serve", "--state", str(tmp_path / "state"), "--config", str(path))
            one_line(words, 3, str(port))


@pytest.mark.usefixtures("models")
def test_a_box_with_another_centre_s_key_is_refused_its_watchlist(tmp_path: Path) -> None:
    tree = {**GOOD, "device": {"id": "box-1", "state": str(tmp_path / "box")}}
    tree["watchlist"] = {"file": str(tmp_path / "box" / "watchlist.sealed")}
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump(tree))
    code, said, _ = run("edge", "keys", "--config", str(path))
    assert code == 0
    assert set(json.loads(said)) == {"device", "curve", "seal"}
    (tmp_path / "box" / "watchlist.sealed").write_bytes(b"garbage" * 20)
    one_line(("edge", "watch", "--config", str(path)), 5, "does not open")
