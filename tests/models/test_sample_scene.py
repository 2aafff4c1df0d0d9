"""The sample scene: its files fit each other, and the public models see in it what they should."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from edge.faces.registry import ModelStore, load_registry

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = CHECKOUT / "models" / "sample"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLE / "street.json").read_text())
    return loaded


def test_video_and_truth_have_as_many_frames_and_the_same_size_and_rate(truth: dict[str, Any]) -> None:
    with av.open(str(SAMPLE / "street.mp4")) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.demux(stream) if _.size)
        assert [stream.width, stream.height] == truth["size"]
        assert stream.average_rate == truth["fps"]
        assert stream.codec_context.name == "h264"
    assert frames == len(truth["frames"])


def test_everybody_watched_has_references_and_nobody_else_has(truth: dict[str, Any]) -> None:
    watched = {walk["identity"] for walk in truth["walks"] if walk["watched"]}
    assert {path.name for path in (SAMPLE / "references").iterdir()} == watched
    for name in watched:
        assert list((SAMPLE / "references" / name).glob("*.jpg"))


def test_references_are_square_and_large_enough_to_enrol() -> None:
    for path in (SAMPLE / "references").glob("*/*.jpg"):
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape[0] == picture.shape[1] >= 250


def test_everybody_walks_once_and_is_in_the_frames_only_during_their_walk(truth: dict[str, Any]) -> None:
    walks = {walk["identity"]: walk for walk in truth["walks"]}
    assert len(walks) == len(truth["walks"])
    for index, present in enumerate(truth["frames"]):
        for person in present:
            walk = walks[person["identity"]]
            assert walk["watched"] == person["watched"]
            assert walk["enters"] - 0.01 <= index / truth["fps"] <= walk["leaves"] + 0.01


def test_faces_come_from_afar_to_close_by(truth: dict[str, Any]) -> None:
    for walk in truth["walks"]:
        sizes = [p["face"] for frame in truth["frames"] for p in frame if p["identity"] == walk["identity"]]
        assert sizes == sorted(sizes)
        assert sizes[0] < 25
        assert sizes[-1] > 100


def test_the_scene_is_small_enough_to_come_with_every_clone() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert (SAMPLE / "street.mp4").stat().st_size <= 2.5 * MEGABYTE
    assert sum(path.stat().st_size for path in files) < 3 * MEGABYTE


@pytest.mark.slow
def test_the_public_models_find_the_faces_and_tell_the_people_apart() -> None:
    store, models = ModelStore.default(), load_registry().models
    for name in ("yunet-n", "mobilefacenet"):
        if not store.holds(models[name]) and not store.take_from_mirror(models[name]):
            pytest.skip(f"model {name} is not here: sightline models pull")
    done = subprocess.run(
        [sys.executable, "models/training/sample_scene.py", "--measure", "--out", str(SAMPLE)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout)
    for size in measured["detection"]:
        if size["face_px"][0] >= 40:
            assert size["score_median"] >= 0.8
    assert measured["same_person"]["5th"] > 0.5
    assert measured["reference_against_others"]["mean"] < 0.3
    assert measured["reference_against_others"]["max"] < 0.44
    assert measured["walker_against_walker"]["max"] < 0.4
    assert measured["walks"]["0.44"]["recognised"] == measured["walks"]["0.44"]["watched"]
    assert measured["walks"]["0.44"]["false_alerts"] == 0
