"""Stands where `edge watch` does, many candidates a second: python -m tests.torture.writer HOME SEED RATE.

The same dispatch, the same sealing, the same outbox; only whom it saw was decided before. Into HOME/ledger go
`? ID` before a row is put and `! ID` once the outbox has said that it would survive.
"""

import os
import random
import sys
import time
from pathlib import Path

import numpy as np

from edge.camera.frame import ClockSource, Frame
from edge.config import load_config
from edge.dispatch import Dispatch
from edge.faces.compare import Match
from edge.faces.pixels import Bgr
from edge.outbox import Outbox, Outgoing
from edge.pipeline import Finding
from edge.service import Home
from edge.wire.ids import new_id
from edge.wire.messages import Tally
from tests.torture.cast import Member, cast

MODEL = "ab" * 32
NOTHING = Bgr(np.zeros((2, 2, 3), np.uint8))


class Ledger:
    """An outbox that writes down what it was asked to keep, and what it promised to."""

    def __init__(self, outbox: Outbox, path: Path) -> None:
        self._outbox = outbox
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def put(self, outgoing: Outgoing) -> None:
        """Put it, between two lines."""
        os.write(self._file, f"? {outgoing.id}\n".encode())
        self._outbox.put(outgoing)
        os.write(self._file, f"! {outgoing.id}\n".encode())


def main(home: Path, seed: str, rate: float) -> None:
    """Put candidates and tallies until killed."""
    rng = random.Random(seed)
    config = load_config(home / "edge.yaml")
    people = cast(home)
    with Outbox.open(Home(Path(config.device.state)).outbox, config.outbox) as outbox:
        dispatch = Dispatch(
            Ledger(outbox, home / "ledger"),
            device=config.device.id,
            camera=config.camera.id,
            run=new_id(_now_ms()),
            centre_sealing_key=config.centre.sealing_key,
            model_sha256=MODEL,
        )
        track = 0
        while True:
            track += 1
            person = rng.choice(people)
            for revision in range(rng.choice((1, 1, 1, 2, 3))):
                _tell(dispatch, person, track, revision)
            if rng.random() < 0.1:
                dispatch.tally(_tally(rng))
            time.sleep(rng.expovariate(rate))


def _tell(dispatch: Dispatch, person: Member, track: int, revision: int) -> None:
    now_ms = _now_ms()
    finding = Finding(
        track=str(track),
        revision=revision,
        match=Match(person.entry, 0.8),
        template=person.look.template,
        first_seen_ms=now_ms,
        captured_at_ms=now_ms,
        looks=[person.look],
    )
    frame = Frame(
        index=track, captured_at_ms=now_ms, monotonic_at=0.0, clock_source=ClockSource.MEDIA, pixels=NOTHING
    )
    dispatch.candidate(finding, frame, watchlist="list", threshold=0.3, now_ms=now_ms, taken_at_ms=now_ms)


def _tally(rng: random.Random) -> Tally:
    now_ms = _now_ms()
    return Tally(new_id(now_ms), "camera-1", now_ms - 1000, now_ms, 10, 0, rng.randrange(50), 3, 1, 0)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
