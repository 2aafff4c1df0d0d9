"""Real video in, alert out."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.conftest import Scene, until

pytestmark = pytest.mark.slow

KEYS = {
    "frames",
    "seconds",
    "fps",
    "tracks",
    "candidates",
    "alerts",
    "bytes_sent",
    "video_bytes",
    "cpu_seconds",
    "latency_ms",
}


def processes_under(folder: Path) -> list[str]:
    """Return the command lines of running processes that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and int(entry.name) != os.getpid():
            found.append(line)
    return found


def replay(folder: Path, scene: Scene, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "central", "replay", "--video", str(scene.video)),
            *("--watchlist", str(scene.references), "--keep", str(folder / "kept"), *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_wanted_people_who_walk_past_become_alerts_and_nobody_else_does(tmp_path: Path, scene: Scene) -> None:
    out = tmp_path / "out.json"
    process = replay(tmp_path, scene, "--pace", "fast", "--truth", str(scene.truth), "--json", str(out))
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    report = json.loads(out.read_text())
    assert set(report) >= KEYS
    assert {"identity", "score", "first_seen_s", "alerted_s", "frame", "box"} <= set(report["alerts"][0])
    truth = report["truth"]
    assert truth["false_alerts"] == [], said
    assert len(truth["missed"]) <= 1, said
    assert truth["tpir"]["low"] < truth["tpir"]["rate"] <= truth["tpir"]["high"]
    frames = len(json.loads(scene.truth.read_text())["frames"])
    assert (report["frames"], report["dropped"]) == (frames, 0)
    assert 0 < report["bytes_sent"] < report["video_bytes"]
    assert "ALERT" in said
    assert processes_under(tmp_path) == []


def test_ctrl_c_leaves_nothing_running_and_still_tells_what_was_measured(tmp_path: Path, scene: Scene) -> None:
    process = replay(tmp_path, scene, "--pace", "real")
    until(lambda: any("edge watch" in line for line in processes_under(tmp_path)))
    until(lambda: (tmp_path / "kept" / "watch.log").read_text().count("watch.started"))
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "faces seen" in said
    assert processes_under(tmp_path) == []


def test_a_replay_that_is_killed_takes_its_processes_with_it(tmp_path: Path, scene: Scene) -> None:
    process = replay(tmp_path, scene, "--pace", "real")
    until(lambda: any("edge watch" in line for line in processes_under(tmp_path)))
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not processes_under(tmp_path), within_s=20)
