"""The straight line, with people made of colour."""

import cv2
import numpy as np
import pytest

from edge.bestshot import BestShotSettings
from edge.faces.align import align
from edge.faces.compare import Gallery
from edge.faces.detect import NOBODY, Faces
from edge.faces.pixels import Pixels, whole
from edge.pipeline import MAX_CROP, Counts, Finding, Pipeline, PipelineSettings
from edge.policy import PolicySettings
from edge.zone import MARGIN, Zone
from tests.edge.people import LANDMARKS, PatchDetector, PatchEmbedder, Person, frame, template_of

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


LEFT_HALF = Zone(((0, 0), (0.5, 0), (0.5, 1), (0, 1)))


class Spotting:
    """Finds patches by looking, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int, int | None]] = []

    def detect(self, picture: Pixels, *, max_side: int | None = None) -> Faces:
        self.shown.append((picture.width, picture.height, max_side))
        image = whole(picture)
        painted = (np.abs(image.astype(int) - 90).max(axis=2) > 20).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(painted)
        boxes = found[1:, :4].astype(np.float32)
        if not len(boxes):
            return NOBODY
        landmarks = boxes[:, None, :2] + LANDMARKS * boxes[:, None, 2:]
        return Faces(boxes, landmarks.astype(np.float32), np.full(len(boxes), 0.95, np.float32))


def watched(script: list[list[Person]], zone: Zone | None) -> tuple[Pipeline, list[Finding], Spotting]:
    seeing = Spotting()
    pipeline = Pipeline(
        seeing, PatchEmbedder([RED, BLUE, GREEN]), WANTED, 0.36, PipelineSettings(search_side=320), zone=zone
    )
    findings = [
        found for index, people in enumerate(script) for found in pipeline.process(frame(people, index, index * 40))
    ]
    pipeline.end()
    return pipeline, findings, seeing


def test_outside_the_zone_nobody_is_tracked_counted_or_matched() -> None:
    script = [[Person(RED, 450 + i, 180, 60), Person(BLUE, 330, 180, 40)] for i in range(20)]
    pipeline, findings, _ = watched(script, LEFT_HALF)
    assert findings == []
    assert vars(pipeline.counts) == vars(Counts(frames=20))
    _, findings, _ = watched(script, None)
    assert findings


def test_inside_the_zone_people_are_found_where_they_are_in_the_whole_picture() -> None:
    zone = Zone(((0.3, 0.2), (0.7, 0.2), (0.7, 0.8), (0.3, 0.8)))
    script = [[Person(RED, 250 + i, 180, 60)] for i in range(20)]
    pipeline, findings, _ = watched(script, zone)
    _, everywhere, _ = watched(script, None)
    assert [found.match for found in findings] == [found.match for found in everywhere]
    for found, same in zip(findings[0].looks, everywhere[0].looks, strict=True):
        np.testing.assert_array_equal(found.box, same.box)
        np.testing.assert_array_equal(found.crop, same.crop)
    assert (pipeline.counts.tracks, pipeline.counts.candidates) == (1, 1)


def test_a_face_on_the_zones_edge_is_in_while_its_middle_is() -> None:
    script = [[Person(RED, 300 + i, 180, 60)] for i in range(40)]
    pipeline, findings, _ = watched(script, LEFT_HALF)
    assert findings
    assert pipeline.counts.faces == 20


def test_beyond_the_zone_and_its_margin_nothing_is_looked_at() -> None:
    _, _, seeing = watched([[]], LEFT_HALF)
    (width, height, max_side) = seeing.shown[0]
    assert width == pytest.approx(320 + MARGIN * 640, abs=2)
    assert (height, max_side) == (360, 180)
    _, _, seeing = watched([[]], None)
    assert seeing.shown == [(640, 360, 320)]


def _landmarks(person: Person) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.asarray(PatchDetector([[person]]).detect(np.zeros((1, 1, 3), np.uint8)).landmarks[0], np.float32)
