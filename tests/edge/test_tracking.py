"""One pass of a person is one track."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.tracking import Tracker, TrackingSettings, Update

STEP_MS = 40


def see(tracker: Tracker, at_ms: int, *faces: tuple[float, float, float], score: float = 0.9) -> Update:
    """Show the tracker faces given as centre x, centre y, width."""
    boxes = np.array([[x - w / 2, y - w / 2, w, w] for x, y, w in faces], np.float32).reshape(-1, 4)
    return tracker.update(boxes, np.full(len(faces), score, np.float32), at_ms)


def test_a_walk_is_one_track_from_far_to_near() -> None:
    tracker = Tracker(TrackingSettings())
    numbers = set()
    for i in range(100):
        width = 24 * 1.02**i
        update = see(tracker, i * STEP_MS, (200 + 3 * i, 100 + i, width))
        numbers |= {track.number for track in update.tracks.values()}
    assert numbers == {1}


def test_a_head_that_sways_while_hidden_is_found_again() -> None:
    tracker = Tracker(TrackingSettings())
    numbers = set()
    for i in range(120):
        x = 400 + 16 * math.sin(2 * math.pi * 1.8 * i * STEP_MS / 1000)
        hidden = i % 20 in range(12, 20)  # behind somebody for a third of a second, again and again
        update = see(tracker, i * STEP_MS, *([] if hidden else [(x, 200, 50)]))
        numbers |= {track.number for track in update.tracks.values()}
    assert numbers == {1}


def test_two_people_who_pass_each_other_keep_their_tracks() -> None:
    tracker = Tracker(TrackingSettings())
    owners: dict[int, set[int]] = {}
    for i in range(100):
        one, other = (100 + 5 * i, 200, 60), (600 - 5 * i, 260, 60)
        update = see(tracker, i * STEP_MS, one, other)
        for face, track in update.tracks.items():
            owners.setdefault(face, set()).add(track.number)
    assert owners == {0: {1}, 1: {2}}


def test_somebody_new_where_somebody_left_is_a_new_track() -> None:
    tracker = Tracker(TrackingSettings(max_lost_ms=1000))
    first = see(tracker, 0, (100, 100, 50)).tracks[0].number
    assert see(tracker, 1500).ended[0].number == first
    assert see(tracker, 1540, (100, 100, 50)).tracks[0].number != first


def test_a_face_seen_badly_continues_a_track_but_never_begins_one() -> None:
    tracker = Tracker(TrackingSettings(start_score=0.7))
    assert see(tracker, 0, (100, 100, 50), score=0.62).tracks == {}
    begun = see(tracker, 40, (100, 100, 50), score=0.9).tracks[0]
    assert see(tracker, 80, (101, 100, 50), score=0.62).tracks[0] is begun


def test_a_face_far_away_or_of_another_size_is_somebody_else() -> None:
    tracker = Tracker(TrackingSettings())
    see(tracker, 0, (100, 100, 50))
    assert see(tracker, 40, (300, 100, 50)).tracks[0].number == 2
    assert see(tracker, 80, (300, 100, 120)).tracks[0].number == 3


def test_a_flicker_is_not_a_pass() -> None:
    tracker = Tracker(TrackingSettings(confirm_hits=3))
    for i in range(3):
        assert tracker.confirmed(see(tracker, i * STEP_MS, (100, 100, 50)).tracks[0]) is (i == 2)


def test_a_clock_that_steps_back_ends_the_tracks_rather_than_keeping_them_for_ever() -> None:
    tracker = Tracker(TrackingSettings(max_lost_ms=1000))
    see(tracker, 1_000_000, (100, 100, 50))
    assert [track.number for track in see(tracker, 500_000).ended] == [1]


def test_when_the_camera_stops_every_track_ends() -> None:
    tracker = Tracker(TrackingSettings())
    see(tracker, 0, (100, 100, 50), (300, 100, 50))
    assert len(tracker.end()) == 2
    assert tracker.end() == []


@given(
    st.lists(st.lists(st.tuples(st.floats(0, 1900), st.floats(0, 1000), st.floats(1, 400)), max_size=6), max_size=12)
)
def test_no_face_has_two_tracks_and_no_track_two_faces(scene: list[list[tuple[float, float, float]]]) -> None:
    tracker = Tracker(TrackingSettings())
    for i, faces in enumerate(scene):
        tracks = see(tracker, i * STEP_MS, *faces).tracks
        assert set(tracks) == set(range(len(faces)))
        assert len({track.number for track in tracks.values()}) == len(tracks)
