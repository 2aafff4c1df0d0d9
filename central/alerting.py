"""Committed events, judged one by one: open, embed again, verify, record; then the next.

Each event ends in one transaction that writes its verdict and deletes its sealed content, so a kill at any
moment leaves it either waiting or done. One that cannot be opened or read is set aside with its reason, and
so is one that stopped the process twice before: nothing is tried for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from central import pictures
from central.store.alerts import Verified
from central.store.entries import Enrolled
from central.store.inbox import SealedEvent, Trouble
from central.store.state import Store
from central.verify import Finding, Probe, References, Verdict, is_late, is_usable, judge
from edge.errors import IntegrityError
from edge.faces.align import align
from edge.wire.messages import Candidate, Shot
from edge.wire.sealing import SealingKey, unseal

MAX_ATTEMPTS = 2

_log = structlog.get_logger("alerting")


class Embedder(Protocol):
    """Makes templates."""

    model_sha256: str
    dimension: int

    def embed(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (n,d) float32 unit vectors of (n,112,112,3) uint8 BGR chips."""


@dataclass(frozen=True, kw_only=True)
class AlertingSettings:
    """What decides over an alert."""

    threshold: float
    """Cosine at and above which a candidate is an alert."""
    window_ms: int
    """Alerts of one entry no further apart are one sighting."""
    late_after_ms: int
    """A candidate older than this on arrival is marked late."""


class Alerting:
    """Judges committed events, oldest first."""

    def __init__(
        self,
        store: Store,
        key: SealingKey,
        embedder: Embedder,
        settings: AlertingSettings,
        *,
        clock: Callable[[], int],
        alerted: Callable[[], None],
    ) -> None:
        self._store = store
        self._key = key
        self._embedder = embedder
        self._settings = settings
        self._clock = clock
        self._alerted = alerted
        self._current: SealedEvent | None = None

    def step(self) -> bool:
        """Judge one event; False if none waits. After trouble with the database, call it again."""
        event = self._current or self._store.inbox.take()
        if event is None:
            return False
        # Kept until it is done: taking it anew would count as another failed attempt, which it was not.
        self._current = event
        self._finish(event)
        self._current = None
        return True

    def _finish(self, event: SealedEvent) -> None:
        trouble = Trouble.GAVE_UP if event.attempts >= MAX_ATTEMPTS else None
        candidate = None if trouble else self._open(event)
        if isinstance(candidate, Candidate):
            self._judge(event, candidate)
        else:
            self._set_aside(event, trouble or candidate or Trouble.GARBLED)

    def _open(self, event: SealedEvent) -> Candidate | Trouble:
        try:
            candidate = msgspec.msgpack.decode(unseal(self._key, event.payload), type=Candidate)
        except IntegrityError:
            return Trouble.SEALED
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors; so is text that is no UTF-8
            return Trouble.GARBLED
        if candidate.event_id != event.event_id or candidate.device != event.device:
            return Trouble.MISLABELLED
        return candidate

    def _set_aside(self, event: SealedEvent, trouble: Trouble) -> None:
        self._store.inbox.set_aside(event, trouble)
        _log.warning("event set aside", event_id=event.event_id, device=event.device, reason=trouble.value)

    def _judge(self, event: SealedEvent, candidate: Candidate) -> None:
        references = self._store.entries.of(candidate.entry)
        usable = usable_shots(candidate)
        finding = judge(
            embedded(usable, self._embedder),
            References(references.templates, references.models),
            self._embedder.model_sha256,
            self._settings.threshold,
        )
        if finding.verdict is Verdict.ALERT:
            self._raise(event, candidate, usable, references, finding)
        else:
            self._store.alerts.dismiss(event, finding.verdict)
            _log.info("candidate dismissed", event_id=event.event_id, verdict=finding.verdict.value)

    def _raise(
        self, event: SealedEvent, candidate: Candidate, usable: "Usable", references: Enrolled, finding: Finding
    ) -> None:
        if finding.score is None or finding.reference is None:
            raise AssertionError("an alert has a score and a reference")
        verified = Verified(
            candidate=candidate,
            shot=max(usable.shots, key=lambda shot: shot.quality),
            reference=references.ids[finding.reference],
            score=finding.score,
            threshold=self._settings.threshold,
            late=is_late(candidate.raised_at_ms, event.received_at_ms, self._settings.late_after_ms),
        )
        alert = self._store.alerts.raise_alert(event, verified, self._settings.window_ms, self._clock())
        if alert is not None:
            self._alerted()
            _log.info(
                "alert", alert_id=alert, camera=candidate.camera, revision=candidate.revision, late=verified.late
            )


@dataclass(frozen=True)
class Usable:
    """The shots of a candidate that are pictures of a face, each with its chip."""

    shots: tuple[Shot, ...]
    chips: NDArray[np.uint8]
    """(k,112,112,3) BGR."""


def usable_shots(candidate: Candidate) -> Usable:
    """Decode and align the shots, leaving out what is no picture or has its landmarks elsewhere."""
    shots, chips = [], []
    for shot in candidate.shots:
        image = pictures.decode(shot.image, pictures.MAX_PROBE_PIXELS, upright=False)
        if image is None or not is_usable(shot, image.shape[1], image.shape[0]):
            continue
        shots.append(shot)
        chips.append(align(image, np.array(shot.landmarks, np.float32).reshape(5, 2)))
    return Usable(tuple(shots), np.stack(chips) if chips else np.zeros((0, 112, 112, 3), np.uint8))


def embedded(usable: Usable, embedder: Embedder) -> Probe:
    """Embed the shots with the centre's model."""
    weights = np.array([shot.quality for shot in usable.shots], np.float32)
    if not usable.shots:
        return Probe(np.zeros((0, embedder.dimension), np.float32), weights)
    return Probe(embedder.embed(usable.chips), weights)
