"""The straight line: a frame in, candidates out.

    zone -> detect -> track -> best shot -> align -> embed -> fuse -> search -> judge

One page, one thread, no clock, no disk, no network. Whoever is not a candidate leaves nothing behind but a
number in the counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edge.bestshot import BestShots, BestShotSettings, Look, Taken
from edge.camera.frame import Frame
from edge.faces.align import align
from edge.faces.compare import Gallery, Match
from edge.faces.detect import Faces
from edge.faces.pixels import Area, Image, Pixels
from edge.faces.quality import Quality, assess, eyes_px
from edge.policy import PolicySettings, Raised, Verdict, judge
from edge.tracking import Track, Tracker, TrackingSettings
from edge.zone import Zone

# Of the surroundings, how much goes with a face, in face sizes, and how large that picture may be, pixels.
SURROUNDINGS = 0.6
MAX_CROP = 256


class PipelineSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """From frame to candidate."""

    search_side: int = 1280
    """Longest side, in pixels, at which faces are searched; larger frames are shrunk for the search only."""
    tracking: TrackingSettings = TrackingSettings()
    best_shot: BestShotSettings = BestShotSettings()
    policy: PolicySettings = PolicySettings()


class Sees(Protocol):
    """What finds faces."""

    def detect(self, picture: Pixels, *, max_side: int | None = None) -> Faces:
        """Find faces in a picture, shrunk for the search to at most `max_side` pixels."""


class Embeds(Protocol):
    """What makes templates."""

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n,d) unit vectors of (n,112,112,3) uint8 BGR chips."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A pass that may be somebody on the watchlist."""

    track: str
    """The track's number, and after a change of hands the number of the hands: one name, one person."""
    revision: int
    match: Match
    template: NDArray[np.float32]
    first_seen_ms: int
    captured_at_ms: int
    looks: list[Look]


@dataclass
class Counts:
    """What was seen, in numbers alone."""

    frames: int = 0
    faces: int = 0
    tracks: int = 0
    unusable: int = 0
    candidates: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Return both together."""
        return Counts(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def taken(self) -> "Counts":
        """Return the counts so far and start again from nothing."""
        taken = Counts(**vars(self))
        self.frames = self.faces = self.tracks = self.unusable = self.candidates = 0
        return taken


@dataclass
class _Pass:
    """What is known of one track beyond its motion."""

    shots: BestShots
    raised: Raised | None = None
    counted: bool = False
    hands: int = 0
    first_seen_ms: int = 0

    def change_hands(self) -> None:
        """Begin again with somebody else."""
        self.hands += 1
        self.raised = None
        self.first_seen_ms = min(look.captured_at_ms for look in self.shots.looks)


@dataclass(frozen=True)
class _Wanted:
    """A face of this frame that is worth an embedding."""

    track: Track
    index: int
    chip: NDArray[np.uint8]
    quality: Quality


@dataclass
class Pipeline:
    """One camera's straight line; `process` once a frame, `end` when the camera has stopped."""

    detector: Sees
    embedder: Embeds
    gallery: Gallery
    candidate_threshold: float
    """The one set, or the one on the embedder's card."""
    settings: PipelineSettings = field(default_factory=PipelineSettings)
    counts: Counts = field(default_factory=Counts)
    zone: Zone | None = None
    """Where in the picture faces are looked for; None: everywhere."""

    def __post_init__(self) -> None:
        """Start with nobody in view."""
        self._tracker = Tracker(self.settings.tracking)
        self._passes: dict[int, _Pass] = {}

    def process(self, frame: Frame) -> list[Finding]:
        """Look at one frame and return the candidates it completes."""
        faces = self._seen(frame.pixels)
        update = self._tracker.update(faces.boxes, faces.scores, frame.captured_at_ms)
        wanted = self._worth_embedding(frame, faces, update.tracks)
        self._take(frame, faces, wanted)
        findings = [found for want in wanted if (found := self._judge(want.track, frame))]
        self._count(faces, update.tracks.values(), update.ended, findings)
        return findings

    def end(self) -> None:
        """Let go of everybody in view."""
        for track in self._tracker.end():
            self._part(track)

    def _seen(self, pixels: Pixels) -> Faces:
        """Find the faces of the zone, looking no further than it reaches, at the scale of the whole picture."""
        side = self.settings.search_side
        if self.zone is None:
            return self.detector.detect(pixels, max_side=side)
        area = self.zone.searched(pixels)
        share = max(area.width, area.height) / max(pixels.width, pixels.height)
        faces = self.detector.detect(pixels.window(area), max_side=max(1, round(side * share))).moved(area.corner)
        return faces.only(self.zone.holds(faces.boxes, pixels))

    def _worth_embedding(self, frame: Frame, faces: Faces, tracks: dict[int, Track]) -> list[_Wanted]:
        wanted = []
        for index, track in sorted(tracks.items()):
            shots = self._passes.setdefault(track.number, _Pass(BestShots(self.settings.best_shot))).shots
            if not shots.ready(eyes_px(faces.landmarks[index]), frame.captured_at_ms):
                continue
            chip = align(frame.pixels, faces.landmarks[index])
            quality = assess(chip, faces.landmarks[index])
            if shots.wants(quality, frame.captured_at_ms):
                wanted.append(_Wanted(track, index, chip, quality))
        return wanted

    def _take(self, frame: Frame, faces: Faces, wanted: list[_Wanted]) -> None:
        """Embed the wanted faces at once and give each track its new look."""
        if not wanted:
            return
        templates = self.embedder.embed(np.stack([want.chip for want in wanted]))
        for want, template in zip(wanted, templates, strict=True):
            crop, landmarks = _cut(frame.pixels, faces.boxes[want.index], faces.landmarks[want.index])
            look = Look(
                template=template,
                quality=want.quality.score,
                crop=crop,
                landmarks=landmarks,
                box=faces.boxes[want.index],
                captured_at_ms=frame.captured_at_ms,
                frame=frame.index,
            )
            seen = self._passes[want.track.number]
            if seen.shots.add(look) is Taken.CHANGED_HANDS:
                seen.change_hands()

    def _judge(self, track: Track, frame: Frame) -> Finding | None:
        seen = self._passes[track.number]
        looks = seen.shots.looks
        template = seen.shots.fused()
        match = self.gallery.best(template)
        verdict = judge(
            match,
            len(looks),
            looks[0].quality,
            seen.raised,
            threshold=self.candidate_threshold,
            settings=self.settings.policy,
        )
        if match is None or verdict not in (Verdict.RAISE, Verdict.REVISE):
            return None
        revision = seen.raised.revision + 1 if seen.raised else 0
        seen.raised = Raised(match.owner, match.score, looks[0].quality, revision)
        return Finding(
            track=f"{track.number}.{seen.hands}" if seen.hands else str(track.number),
            revision=revision,
            match=match,
            template=template,
            first_seen_ms=seen.first_seen_ms or track.first_seen_ms,
            captured_at_ms=frame.captured_at_ms,
            looks=looks,
        )

    def _count(self, faces: Faces, seen: Iterable[Track], ended: list[Track], findings: list[Finding]) -> None:
        self.counts.frames += 1
        self.counts.faces += len(faces)
        self.counts.candidates += sum(found.revision == 0 for found in findings)
        for track in seen:
            known = self._passes[track.number]
            if not known.counted and self._tracker.confirmed(track):
                known.counted = True
                self.counts.tracks += 1
        for track in ended:
            self._part(track)

    def _part(self, track: Track) -> None:
        """Forget a track that has ended, counting one that never gave a usable look."""
        gone = self._passes.pop(track.number, None)
        if gone is not None and gone.counted and not gone.shots.looks:
            self.counts.unusable += 1


def _cut(
    pixels: Pixels, box: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> tuple[Image, NDArray[np.float32]]:
    """Return a copy of the face with its surroundings, at most MAX_CROP on a side, and the landmarks in it."""
    reach = float(max(box[2:])) * (0.5 + SURROUNDINGS)
    centre = box[:2] + box[2:] / 2
    area = Area.around(centre - reach, centre + reach + 1, pixels)
    crop = pixels.region(area)
    zoom = min(1.0, MAX_CROP / max(crop.shape[:2]))
    if zoom == 1.0:
        return crop.copy(), np.asarray(landmarks - area.corner, np.float32)
    size = (max(1, round(crop.shape[1] * zoom)), max(1, round(crop.shape[0] * zoom)))
    small = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
    ratio = np.array([size[0] / crop.shape[1], size[1] / crop.shape[0]], np.float32)
    return small, np.asarray((landmarks - area.corner + 0.5) * ratio - 0.5, np.float32)
