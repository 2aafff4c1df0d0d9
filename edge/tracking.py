"""One pass of a person is one track: faces of successive frames joined by where they should be by now.

Each track predicts its next box by constant velocity of centre and (logarithmic) size. Pairs of track and
face are gated by distance and size change, the reach growing with the time unseen, and joined cheapest
first; sure faces before doubtful ones (after ByteTrack, Zhang et al., 2022: a face seen badly continues a
track but never begins one). A brief occlusion leaves the track coasting, so that it is found again.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class TrackingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How faces are joined into passes."""

    max_lost_ms: int = 1200
    """A track unseen for longer has ended."""
    confirm_hits: int = 3
    """A track is a pass once it was seen in this many frames; fewer is a flicker of the detector."""
    start_score: float = 0.7
    """Detector score that a face needs to begin a track; lower ones can only continue one."""
    reach: float = 0.9
    """How far from its prediction a face may be, in face widths, for a track seen in the last frame."""
    reach_per_s: float = 2.5
    """What is added to `reach` for each second unseen, in face widths."""
    size_ratio: float = 1.6
    """How much larger or smaller than predicted a face may be."""
    memory_ms: int = 800
    """Over what time motion is averaged; a walking head sways twice a second, and that is not its course."""


@dataclass
class Track:
    """One pass so far: identity, times, and the motion it predicts by."""

    number: int
    first_seen_ms: int
    last_seen_ms: int
    box: Floats
    """(4,) left, top, width, height when last seen."""
    score: float
    hits: int = 1
    velocity: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    """Per second: centre x and y in pixels, natural logarithm of size."""

    def predicted(self, at_ms: int) -> Floats:
        """Return centre x, y and size (3,) expected at a time; a coasting track slows down within a second."""
        elapsed_s = max(0, at_ms - self.last_seen_ms) / 1000
        travelled = 1 - math.exp(-elapsed_s)
        x, y, size = _place(self.box)
        dx, dy, growth = self.velocity * travelled
        return np.array([x + dx, y + dy, size * math.exp(float(np.clip(growth, -1, 1)))], np.float32)

    def seen(self, box: Floats, score: float, at_ms: int, memory_ms: int) -> None:
        """Take a new sight of the face; motion is averaged over about `memory_ms`."""
        elapsed_s = max(1, at_ms - self.last_seen_ms) / 1000
        old, new = _place(self.box), _place(box)
        moved = np.array([new[0] - old[0], new[1] - old[1], math.log(new[2] / old[2])], np.float32) / elapsed_s
        share = max(1 - math.exp(-1000 * elapsed_s / memory_ms), 1 / (1 + self.hits))
        self.velocity = np.asarray(self.velocity * (1 - share) + moved * share, np.float32)
        self.box, self.score, self.last_seen_ms = box, score, at_ms
        self.hits += 1


@dataclass(frozen=True)
class Update:
    """What one frame did: the track of every face that has one (by face index), and tracks that ended."""

    tracks: dict[int, Track]
    ended: list[Track]


class Tracker:
    """All tracks of one camera; `update` once a frame is the one way in."""

    def __init__(self, settings: TrackingSettings) -> None:
        self._settings = settings
        self._tracks: list[Track] = []
        self._made = 0

    def update(self, boxes: Floats, scores: Floats, at_ms: int) -> Update:
        """Join the faces of a frame, boxes (n,4) and scores (n,), captured at `at_ms`, to tracks."""
        sure = scores >= self._settings.start_score
        joined: dict[int, Track] = {}
        for faces in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            taken = {track.number for track in joined.values()}
            free = [track for track in self._tracks if track.number not in taken]
            joined.update(self._join(free, boxes, faces, at_ms))
        for index, track in joined.items():
            track.seen(boxes[index], float(scores[index]), at_ms, self._settings.memory_ms)
        for index in map(int, np.flatnonzero(sure)):
            if index not in joined:
                joined[index] = self._begin(boxes[index], float(scores[index]), at_ms)
        return Update(joined, self._retire(at_ms))

    def end(self) -> list[Track]:
        """End every track: the camera has stopped."""
        ended, self._tracks = self._tracks, []
        return ended

    def confirmed(self, track: Track) -> bool:
        """Return whether a track was seen often enough to be a person."""
        return track.hits >= self._settings.confirm_hits

    def _begin(self, box: Floats, score: float, at_ms: int) -> Track:
        self._made += 1
        track = Track(self._made, at_ms, at_ms, box, score)
        self._tracks.append(track)
        return track

    def _retire(self, at_ms: int) -> list[Track]:
        ended = [t for t in self._tracks if abs(at_ms - t.last_seen_ms) > self._settings.max_lost_ms]
        self._tracks = [t for t in self._tracks if abs(at_ms - t.last_seen_ms) <= self._settings.max_lost_ms]
        return ended

    def _join(self, tracks: list[Track], boxes: Floats, faces: NDArray[np.intp], at_ms: int) -> dict[int, Track]:
        """Join the cheapest pairs first; at street densities this differs from the optimum too rarely to matter."""
        if not tracks or not len(faces):
            return {}
        costs = np.stack([self._costs(track, boxes[faces], at_ms) for track in tracks])
        joined: dict[int, Track] = {}
        while np.isfinite(lowest := costs.min()):
            row, column = np.argwhere(costs == lowest)[0]
            joined[int(faces[column])] = tracks[row]
            costs[row, :] = np.inf
            costs[:, column] = np.inf
        return joined

    def _costs(self, track: Track, boxes: Floats, at_ms: int) -> Floats:
        """Return the cost (n,) of each box for a track: distance and size change; infinite beyond reach."""
        settings = self._settings
        x, y, size = track.predicted(at_ms)
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        sizes = np.sqrt(np.maximum(boxes[:, 2] * boxes[:, 3], 1))
        distance = np.hypot(centres[:, 0] - x, centres[:, 1] - y) / size
        change = np.abs(np.log(sizes / size))
        unseen_s = max(0, at_ms - track.last_seen_ms) / 1000
        cost = np.asarray(distance + change, np.float32)
        cost[distance > settings.reach + settings.reach_per_s * unseen_s] = np.inf
        cost[change > math.log(settings.size_ratio)] = np.inf
        return cost


def _place(box: Floats) -> Floats:
    """Return centre x, centre y and size (3,) of a box."""
    return np.array(
        [box[0] + box[2] / 2, box[1] + box[3] / 2, math.sqrt(max(1.0, float(box[2] * box[3])))], np.float32
    )
