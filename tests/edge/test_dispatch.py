"""A finding leaves its process sealed, and is not forgotten on a bad disk."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.dispatch import Dispatch, Keeps
from edge.errors import WorldError
from edge.faces.compare import Match
from edge.outbox import Outbox, OutboxSettings, Outgoing
from edge.pipeline import Finding
from edge.wire import codec
from edge.wire.messages import Candidate, Event, Tally
from edge.wire.sealing import SealingKey, make_or_load, unseal
from tests.edge.people import Person, frame, template_of
from tests.edge.test_bestshot import look

RED = (40, 40, 200)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox.open(tmp_path / "outbox.db", OutboxSettings()) as opened:
        yield opened


@pytest.fixture
def centre(tmp_path: Path) -> SealingKey:
    return make_or_load(tmp_path / "centre.key")


def dispatch(outbox: Keeps, centre: SealingKey) -> Dispatch:
    return Dispatch(
        outbox,
        device="box-1",
        camera="gate",
        run="run",
        centre_sealing_key=centre.public,
        model_sha256="a" * 64,
    )


def raise_one(sender: Dispatch) -> None:
    finding = Finding(
        track="7",
        revision=0,
        match=Match("somebody", 0.5),
        template=template_of(RED),
        first_seen_ms=1000,
        captured_at_ms=1400,
        looks=[look(RED, 1200), look(RED, 1400)],
    )
    sender.candidate(
        finding,
        frame([Person(RED, 50, 50)], 35, 1400),
        watchlist="list-1",
        threshold=0.36,
        now_ms=1500,
        taken_at_ms=1450,
    )


def test_only_the_centre_can_open_what_waits(outbox: Outbox, centre: SealingKey) -> None:
    raise_one(dispatch(outbox, centre))
    (row,) = outbox.waiting(10)
    said = codec.decode_from_device([row.header, row.payload])
    assert isinstance(said.message, Event)
    candidate = msgspec.msgpack.decode(unseal(centre, said.payload), type=Candidate)
    assert (candidate.event_id, candidate.track_id, candidate.entry) == (row.id, "run:7", "somebody")
    assert (candidate.first_seen_ms, candidate.taken_at_ms, candidate.raised_at_ms) == (1000, 1450, 1500)
    assert np.frombuffer(candidate.template, "<f2") @ template_of(RED) == pytest.approx(1, abs=1e-3)
    picture = cv2.imdecode(np.frombuffer(candidate.shots[0].image, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert b"somebody" not in row.header + row.payload


class FullDisk:
    """An outbox whose disk is full until it is not."""

    def __init__(self, real: Outbox) -> None:
        self.real, self.full = real, True

    def put(self, outgoing: Outgoing) -> None:
        if self.full:
            raise WorldError("no room for the outbox: the disk is full")
        self.real.put(outgoing)


def test_what_a_full_disk_refuses_is_put_when_there_is_room(outbox: Outbox, centre: SealingKey) -> None:
    disk = FullDisk(outbox)
    sender = dispatch(disk, centre)
    raise_one(sender)
    raise_one(sender)
    trouble = sender.retry()
    assert trouble is not None
    assert "full" in str(trouble)
    disk.full = False
    assert sender.retry() is None
    assert outbox.count() == 2


def test_a_tally_holds_numbers_alone(outbox: Outbox, centre: SealingKey) -> None:
    tally = Tally("t-1", "gate", 0, 1000, frames=25, dropped=0, faces=3, tracks=1, unusable=0, candidates=0)
    dispatch(outbox, centre).tally(tally)
    (row,) = outbox.waiting(10)
    assert (row.kind, row.payload) == ("tally", b"")
