"""Stand-ins for models and boxes: they implement the real ports, and the faces are coloured patches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from central.alerting import Alerting, AlertingSettings
from central.pictures import encode
from central.store.entries import NewReference
from central.store.state import Store
from edge.faces.align import ARCFACE_112
from edge.faces.detect import Faces
from edge.wire.conversation import Arrival
from edge.wire.messages import Box, Candidate, Event, Shot
from edge.wire.sealing import SealingKey, seal

MODEL = "ab" * 32
OTHER_MODEL = "cd" * 32
NOON_MS = 1_800_000_000_000
LANDMARKS = tuple(float(value) for value in ARCFACE_112.ravel())

Image = NDArray[np.uint8]


def patch(person: int, side: int = 112) -> Image:
    """Return the coloured patch that stands for a person's aligned face."""
    blocks = np.random.default_rng(person).integers(20, 235, (4, 4, 3), np.uint8)
    return np.asarray(cv2.resize(blocks, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


@dataclass
class PatchEmbedder:
    """Embeds a patch as its sixteen mean colours: near 1 for one person, near 0 for two."""

    model_sha256: str = MODEL
    dimension: int = 48
    calls: int = 0

    def embed(self, chips: Image) -> NDArray[np.float32]:
        self.calls += 1
        small = np.stack([cv2.resize(chip, (4, 4), interpolation=cv2.INTER_AREA) for chip in chips])
        values = small.reshape(len(chips), -1).astype(np.float32) - 127.0
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


@dataclass
class PlantedDetector:
    """Finds the faces it was told of, whatever the picture; boxes are left, top, side."""

    faces: Sequence[tuple[float, float, float]] = ()
    score: float = 0.9
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def detect(self, image: Image, *, max_side: int | None = None) -> Faces:  # noqa: ARG002 - the port
        self.sizes.append((image.shape[1], image.shape[0]))
        boxes = np.array([[x, y, side, side] for x, y, side in self.faces], np.float32).reshape(-1, 4)
        unit = (ARCFACE_112 - 10) / 92
        landmarks = boxes[:, None, :2] + unit[None] * boxes[:, None, 2:]
        return Faces(boxes, landmarks.astype(np.float32), np.full(len(boxes), self.score, np.float32))


def shot(person: int, *, quality: float = 0.8, image: bytes | None = None) -> Shot:
    """Return a shot of a person, the whole picture being the aligned face."""
    picture = encode(patch(person)) if image is None else image
    return Shot(picture, LANDMARKS, quality, NOON_MS, 12, Box(10.0, 20.0, 90.0, 92.0))


def candidate(entry: str, person: int = 1, **changes: object) -> Candidate:
    """Return a candidate of a person for an entry."""
    plain = Candidate(
        event_id="event-1",
        track_id="track-1",
        revision=0,
        device="box-1",
        camera="gate",
        entry=entry,
        watchlist="list-1",
        score=0.5,
        threshold=0.36,
        model_sha256=MODEL,
        template=b"",
        first_seen_ms=NOON_MS - 2000,
        captured_at_ms=NOON_MS,
        raised_at_ms=NOON_MS,
        shots=(shot(person),),
    )
    return msgspec.structs.replace(plain, **changes)


def arrival(key: SealingKey, sent: Candidate, *, device: str = "box-1", received_at_ms: int = NOON_MS) -> Arrival:
    """Return a candidate as the intake hands it over."""
    payload = seal(key.public, msgspec.msgpack.encode(sent))
    event = Event(sent.event_id, sent.raised_at_ms)
    return Arrival(device=device, message=event, payload=payload, received_at_ms=received_at_ms)


def enrol(store: Store, name: str, person: int, *, model: str = MODEL) -> str:
    """Put a person on the list and return the entry's id."""
    face = patch(person)
    reference = NewReference(
        photo=f"photograph of person {person} for {name}".encode(),
        crop=encode(face),
        landmarks=ARCFACE_112,
        template=PatchEmbedder().embed(face[None])[0],
        model_sha256=model,
        quality=0.9,
    )
    before = set(store.entries.all().ids)
    store.entries.keep(name, reference, NOON_MS - 86_400_000)
    enrolled = store.entries.all()
    return next(entry for name, entry in zip(enrolled.ids, enrolled.entries, strict=True) if name not in before)


@dataclass
class Desk:
    """A store with its alerting, a clock that is a value, and a count of what was announced."""

    store: Store
    key: SealingKey
    embedder: PatchEmbedder = field(default_factory=PatchEmbedder)
    now_ms: int = NOON_MS + 500
    announced: int = 0
    threshold: float = 0.44

    def alerting(self) -> Alerting:
        settings = AlertingSettings(threshold=self.threshold, window_ms=60_000, late_after_ms=10_000)
        return Alerting(
            self.store, self.key, self.embedder, settings, clock=lambda: self.now_ms, alerted=self._announce
        )

    def take_in(self, *sent: Candidate, received_at_ms: int = NOON_MS) -> None:
        """Commit candidates and judge all that waits."""
        self.store.inbox.commit([arrival(self.key, one, received_at_ms=received_at_ms) for one in sent])
        alerting = self.alerting()
        while alerting.step():
            pass

    def _announce(self) -> None:
        self.announced += 1
