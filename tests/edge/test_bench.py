import json
from pathlib import Path

import numpy as np
import pytest

from edge.bench import interleaved, run
from edge.bench_scene import FPS, PASS_FRAMES, PEOPLE, faces_at, make_scene
from edge.camera.clock import Clock
from edge.camera.files import VideoFile
from edge.errors import OperatorError
from edge.faces.align import ARCFACE_112, align
from edge.faces.quality import assess
from edge.faces.registry import ModelStore, Task
from tests.edge.faces.conftest import Public, public

__all__ = ["public"]


class Stopwatch:
    """A clock that stages move on by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_every_stage_is_called_once_in_every_round_so_that_noise_hits_all_alike() -> None:
    watch, order = Stopwatch(), list[str]()

    def stage(name: str, seconds: float) -> None:
        order.append(name)
        watch.now_s += seconds

    times = interleaved({"slow": lambda: stage("slow", 0.5), "slower": lambda: stage("slower", 2.0)}, 3, watch)
    assert times == {"slow": [0.5] * 3, "slower": [2.0] * 3}
    assert order[4:] == ["slow", "slower"] * 3


def test_quick_stages_are_repeated_and_the_time_divided() -> None:
    watch, calls = Stopwatch(), list[int]()

    def quick() -> None:
        calls.append(1)
        watch.now_s += 1e-5

    times = interleaved({"quick": quick}, 2, watch)
    assert times["quick"] == pytest.approx([1e-5, 1e-5])
    assert 150 < len(calls) < 250


def test_the_scene_shows_textured_patches_where_it_says_that_faces_are(tmp_path: Path) -> None:
    video = VideoFile(make_scene(tmp_path / "scene.mp4", 3), loop=False, began_at_ms=0, clock=Clock())
    frames = [picture.frame().image for picture in video]
    video.close()
    assert len(frames) == 3
    assert frames[0].shape == (1080, 1920, 3)
    for index, image in enumerate(frames):
        faces = faces_at(index)
        assert len(faces) == PEOPLE
        for face in faces.landmarks:
            assert assess(align(image, face), face).score > 0.1


def test_placed_faces_are_those_of_people_who_cross_the_picture_once() -> None:
    first = [faces_at(index).boxes[0, 0] for index in range(PASS_FRAMES + 1)]
    assert np.all(np.diff(first[:PASS_FRAMES]) > 0)
    assert first[PASS_FRAMES] == first[0]
    assert np.ptp(faces_at(0).landmarks[0, :, 0]) > np.ptp(ARCFACE_112[:, 0])
    assert PASS_FRAMES / FPS == 3


def test_numbers_that_could_not_be_written_are_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="there is no such folder"):
        run(tmp_path / "none" / "bench.json", store=ModelStore(tmp_path))


@pytest.mark.slow
def test_a_stage_that_is_named_is_timed_alone_and_an_unknown_one_or_model_refused(public: Public) -> None:
    store, said = public.store, list[str]()
    names = [public.cards(task)[0].name for task in Task]
    report = run(
        registry=public.registry, store=store, only=names, stages=["search, gallery 1,"], rounds=2, say=said.append
    )
    assert [each.stage for each in report.stages] == ["search, gallery 1,000"]
    assert not report.pipeline
    assert "pipeline, per frame" not in said[0]
    with pytest.raises(OperatorError, match="no model 'nobody'"):
        run(registry=public.registry, store=store, only=["nobody"], rounds=1)
    with pytest.raises(OperatorError, match="no stage begins with sing"):
        run(registry=public.registry, store=store, only=names, stages=["sing"], rounds=1, say=said.append)


@pytest.mark.slow
def test_every_stage_and_the_whole_are_timed_and_told(public: Public, tmp_path: Path) -> None:
    said: list[str] = []
    run(tmp_path / "bench.json", say=said.append, registry=public.registry, store=public.store, rounds=2, frames=10)
    told = json.loads((tmp_path / "bench.json").read_bytes())
    stages = [each["stage"] for each in told["stages"]]
    for begin in (
        "decode 1920x1080",
        "decode and hand over",
        "input 1280x720 of planes",
        "crop 256x256",
        "whole BGR",
        "detect 640x384, ",
        "detect 640x640",
        "detect 1280x736",
        "detect 1920x1088",
        "track",
        "align",
        "assess",
    ):
        assert any(stage.startswith(begin) for stage in stages), begin
    for begin in ("embed, batch 1,", "embed, batch 4,", "embed, batch 16,", "search, gallery 100,000"):
        assert any(stage.startswith(begin) for stage in stages), begin
    assert all(0 < each["median_ms"] <= each["p90_ms"] for each in told["stages"])
    whole, of_bgr = told["pipeline"][0], told["pipeline"][-1]
    assert of_bgr["embedder"] == f"{whole['embedder']}, whole BGR"
    assert of_bgr["embedded"] == whole["embedded"]
    assert whole["frames"] == 10
    assert whole["embedded"] >= PEOPLE
    assert whole["process_ms"] > whole["inference_ms"] > 0
    assert {"date", "machine", "cores", "threads", "versions", "models"} <= told["machine"].keys()
    assert "pipeline, per frame" in said[0]
