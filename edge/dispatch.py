"""A finding as it leaves the process that saw it: a message whose content only the centre can open.

Sealed the moment it is made, then put into the outbox. Where the outbox cannot take it (a full disk), it
waits here, sealed, and is tried again with the next frame; nothing decided is forgotten while the process
lives, up to `WAITING_ROOM` of them.
"""

from collections import deque
from typing import Protocol

import cv2
import msgspec
import numpy as np

from edge.bestshot import Look
from edge.camera.frame import Frame
from edge.errors import SightlineError, WorldError
from edge.outbox import Outgoing
from edge.pipeline import Finding
from edge.wire import codec
from edge.wire.ids import new_id
from edge.wire.messages import Box, Candidate, Event, Shot, Tally
from edge.wire.sealing import seal

WAITING_ROOM = 512
SHOTS = 3
JPEG_QUALITY = 92


class Keeps(Protocol):
    """What survives a power cut."""

    def put(self, outgoing: Outgoing) -> None:
        """Keep this; WorldError where that cannot be done now."""


class Dispatch:
    """Findings and tallies on their way into the outbox."""

    def __init__(
        self, outbox: Keeps, *, device: str, camera: str, run: str, centre_sealing_key: str, model_sha256: str
    ) -> None:
        self._outbox = outbox
        self._device, self._camera, self._run = device, camera, run
        self._centre = centre_sealing_key
        self._model = model_sha256
        self._waiting: deque[Outgoing] = deque(maxlen=WAITING_ROOM)
        self.events = 0
        """Candidates and revisions sent so far."""

    def candidate(
        self, finding: Finding, frame: Frame, *, watchlist: str, threshold: float, now_ms: int, taken_at_ms: int
    ) -> None:
        """Seal a finding for the centre and put it into the outbox."""
        candidate = Candidate(
            event_id=new_id(now_ms),
            track_id=f"{self._run}:{finding.track}",
            revision=finding.revision,
            device=self._device,
            camera=self._camera,
            entry=finding.match.owner,
            watchlist=watchlist,
            score=finding.match.score,
            threshold=threshold,
            model_sha256=self._model,
            template=finding.template.astype("<f2").tobytes(),
            first_seen_ms=finding.first_seen_ms,
            captured_at_ms=frame.captured_at_ms,
            raised_at_ms=now_ms,
            shots=tuple(_shot(look) for look in finding.looks[:SHOTS]),
            taken_at_ms=taken_at_ms,
        )
        header, payload = codec.encode(
            Event(candidate.event_id, now_ms), seal(self._centre, msgspec.msgpack.encode(candidate))
        )
        self._send(Outgoing(id=candidate.event_id, kind="event", header=header, payload=payload))
        self.events += 1

    def tally(self, tally: Tally) -> None:
        """Put the counts of a period into the outbox."""
        (header,) = codec.encode(tally)
        self._send(Outgoing(id=tally.tally_id, kind="tally", header=header))

    @property
    def unsaved(self) -> int:
        """Return how many wait here because the outbox could not take them."""
        return len(self._waiting)

    def retry(self) -> SightlineError | None:
        """Put what waits here into the outbox; return what is in the way, if anything is."""
        while self._waiting:
            try:
                self._outbox.put(self._waiting[0])
            except WorldError as error:
                return error
            self._waiting.popleft()
        return None

    def _send(self, outgoing: Outgoing) -> None:
        self._waiting.append(outgoing)
        self.retry()


def _shot(look: Look) -> Shot:
    """Encode a look as the operator and the centre's verifier need it."""
    _, jpeg = cv2.imencode(".jpg", look.crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Shot(
        image=jpeg.tobytes(),
        landmarks=tuple(float(value) for value in np.round(look.landmarks, 2).ravel()),
        quality=look.quality,
        captured_at_ms=look.captured_at_ms,
        frame=look.frame,
        box=Box(*(float(value) for value in np.round(look.box, 1))),
    )
