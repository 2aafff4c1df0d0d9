"""The straight line, with people made of colour."""

import numpy as np
import pytest

from edge.bestshot import BestShotSettings
from edge.faces.align import align
from edge.faces.compare import Gallery
from edge.pipeline import MAX_CROP, Finding, Pipeline, PipelineSettings
from edge.policy import PolicySettings
from tests.edge.people import PatchDetector, PatchEmbedder, Person, frame, template_of

RED, BLUE, GREEN = (40, 40, 180), (180, 40, 40), (40, 180, 40)
WANTED = Gallery(np.stack([template_of(RED)]), ["entry-red"])


def run(
    script: list[list[Person]], gallery: Gallery = WANTED, settings: PipelineSettings | None = None
) -> tuple[Pipeline, list[Finding], PatchEmbedder]:
    embedder = PatchEmbedder([RED, BLUE, GREEN])
    pipeline = Pipeline(PatchDetector(script), embedder, gallery, 0.36, settings or PipelineSettings())
    findings = []
    for index, people in enumerate(script):
        findings += pipeline.process(frame(people, index, index * 40))
    pipeline.end()
    return pipeline, findings, embedder


def walk(colour: tuple[int, int, int], frames: int = 50, lane: float = 180) -> list[Person]:
    return [Person(colour, 100 + 6 * i, lane, 60 + i) for i in range(frames)]


def test_a_wanted_person_becomes_one_candidate() -> None:
    pipeline, findings, _ = run([[one] for one in walk(RED)])
    first = [found for found in findings if found.revision == 0]
    assert [found.match.owner for found in first] == ["entry-red"]
    assert first[0].first_seen_ms == 0
    assert pipeline.counts.tracks == 1
    assert pipeline.counts.candidates == 1


def test_somebody_else_becomes_a_number_and_nothing_more() -> None:
    pipeline, findings, _ = run([[one] for one in walk(BLUE)])
    assert findings == []
    assert (pipeline.counts.tracks, pipeline.counts.candidates) == (1, 0)


def test_of_a_walk_a_few_looks_are_embedded_not_every_frame() -> None:
    _, _, embedder = run([[one] for one in walk(BLUE, frames=50)])
    assert 2 <= embedder.embedded <= 14


def test_nobody_is_matched_against_an_empty_watchlist() -> None:
    pipeline, findings, _ = run([[one] for one in walk(RED)], gallery=Gallery.of_nobody())
    assert findings == []
    assert pipeline.counts.tracks == 1


def test_a_face_that_is_never_usable_is_counted_and_not_matched() -> None:
    settings = PipelineSettings(best_shot=BestShotSettings(min_eyes_px=500))
    pipeline, findings, embedder = run([[one] for one in walk(RED)], settings=settings)
    assert findings == []
    assert embedder.embedded == 0
    assert (pipeline.counts.tracks, pipeline.counts.unusable) == (1, 1)


def test_when_a_track_changes_hands_the_other_person_is_judged_anew() -> None:
    blue, red = walk(BLUE, 25), walk(RED, 50)[25:]
    _, findings, _ = run([[one] for one in blue + red])
    assert findings
    assert {found.track for found in findings} == {"1.1"}
    assert all(found.first_seen_ms >= 25 * 40 for found in findings)


def test_a_revision_never_outnumbers_what_policy_allows() -> None:
    settings = PipelineSettings(policy=PolicySettings(revise_better=1.01, revise_gain=0.0, max_revisions=1))
    _, findings, _ = run([[one] for one in walk(RED, 100)], settings=settings)
    assert [found.revision for found in findings] == [0, 1]


@pytest.mark.parametrize("size", [40.0, 300.0])
def test_landmarks_of_a_cut_picture_align_to_the_same_chip_as_in_the_frame(size: float) -> None:
    person = Person(RED, 320, 180, size)
    _, findings, _ = run([[person]] * 10)
    look = findings[0].looks[0]
    assert max(look.crop.shape[:2]) <= MAX_CROP
    whole = align(frame([person], 0, 0).image, _landmarks(person))
    cut = align(look.crop, look.landmarks)
    assert np.abs(whole[20:92, 20:92].mean() - cut[20:92, 20:92].mean()) < 4


def _landmarks(person: Person) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.asarray(PatchDetector([[person]]).detect(np.zeros((1, 1, 3), np.uint8)).landmarks[0], np.float32)
