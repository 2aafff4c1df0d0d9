"""The embedder's recipe: what it is, what it learns from, and how its training can be broken off."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from central.holdout import held_out
from edge.faces.onnx_session import OnnxSession
from models.training.course import Course
from models.training.embedder.judge import in_batches, quick_look
from models.training.embedder.shape import DIMENSION, HINTED, embedder_plan
from models.training.embedder.street import street_chip

MOST_BYTES = 1_500_000


def test_plan_fits_the_size_that_was_set_and_ends_in_a_template() -> None:
    plan = embedder_plan()
    assert plan.weights() < MOST_BYTES
    assert plan.channels()[plan.outputs[0]] == DIMENSION
    assert set(HINTED) <= plan.channels().keys()


def test_street_gives_chips_that_repeat_for_a_seed_and_differ_between_seeds() -> None:
    stored = np.random.default_rng(1).integers(0, 256, (4, 192, 192, 3), np.uint8)
    once, again, other = (street_chip(stored, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert once.shape == (112, 112, 3)
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_street_never_fails_over_many_draws() -> None:
    stored = np.random.default_rng(1).integers(0, 256, (4, 192, 192, 3), np.uint8)
    random = np.random.default_rng(2)
    assert {street_chip(stored, random).shape for _ in range(300)} == {(112, 112, 3)}


def test_quick_look_sees_a_perfect_student_and_a_blind_one() -> None:
    random = np.random.default_rng(3)
    people = random.normal(size=(40, 16))
    teacher = np.repeat(people, 4, axis=0) + 0.1 * random.normal(size=(160, 16))
    teacher = (teacher / np.linalg.norm(teacher, axis=1, keepdims=True)).astype(np.float32)
    names = np.array([f"p{i // 4}/{i}.jpg" for i in range(160)])
    cosine, accuracy, fnmr = quick_look(teacher, teacher, names)
    assert (round(cosine, 4), round(accuracy), round(fnmr)) == (1, 100, 0)
    nothing = np.zeros((160, 2, 2, 3), np.uint8)
    blind = in_batches(lambda chips: random.normal(size=(len(chips), 16)).astype(np.float32), nothing)
    cosine, accuracy, fnmr = quick_look(blind, teacher, names)
    assert abs(cosine) < 0.1
    assert accuracy < 60
    assert fnmr > 90


def test_a_fifth_of_identities_is_held_out_whatever_they_are_called() -> None:
    share = np.mean([held_out(f"person {i}") for i in range(5000)])
    assert 0.18 < share < 0.22


def test_course_warms_stays_and_fades() -> None:
    course = Course(steps=1000, rate=1.0, warm=100)
    rates = [course.rate_at(step) for step in range(1000)]
    assert rates[0] < rates[50] < rates[99] == rates[500] == 1.0
    assert rates[course.fades_at] == 1.0
    assert rates[800] > rates[900] > rates[999] > 0


def test_checkpoint_is_whole_or_the_one_before(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch: models/training/requirements.txt")
    checkpoint = importlib.import_module("models.training.checkpoint")
    assert checkpoint.load(tmp_path / "none.pt") is None
    checkpoint.save({"step": 7}, tmp_path / "last.pt")
    assert checkpoint.load(tmp_path / "last.pt") == {"step": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_longer_course_goes_on_before_the_fade_and_a_shorter_one_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch: models/training/requirements.txt")
    checkpoint = importlib.import_module("models.training.checkpoint")
    assert checkpoint.resumable(tmp_path, 90) is None
    checkpoint.save({"step": 70, "net": {"norms.stem.weight": 1}}, tmp_path / "steady.pt")
    checkpoint.save({"step": 100, "net": {"convs.stem.bias": 1}}, tmp_path / "last.pt")
    assert checkpoint.resumable(tmp_path, 92)["step"] == 100
    assert checkpoint.resumable(tmp_path, 184)["step"] == 70
    checkpoint.save({"step": 100, "net": {"norms.stem.weight": 1}}, tmp_path / "last.pt")
    assert checkpoint.resumable(tmp_path, 184)["step"] == 100
    with pytest.raises(SystemExit, match="more steps"):
        checkpoint.resumable(tmp_path, 50)


def test_float_form_gives_what_the_network_gives() -> None:
    torch = pytest.importorskip("torch", reason="needs torch: models/training/requirements.txt")
    write = importlib.import_module("models.training.float_form").write
    net = importlib.import_module("models.training.network.net").Net(embedder_plan())
    chips = np.random.default_rng(3).integers(0, 256, (2, 112, 112, 3), np.uint8)
    net.eval()
    with torch.no_grad():
        wanted = net(torch.from_numpy(chips).permute(0, 3, 1, 2).float())["embedding"].flatten(1).numpy()
    net.fold()
    assert np.abs(OnnxSession(write(net), "floats").run(chips)[0] - wanted).max() < 1e-3 * np.abs(wanted).max()
