from dataclasses import replace

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from central.service import sweep
from central.store.alerts import Alert
from edge.wire.conversation import Arrival
from edge.wire.messages import Event
from edge.wire.sealing import SealingKey, seal
from tests.central.stand_ins import (
    NOON_MS,
    OTHER_MODEL,
    Desk,
    Image,
    PatchEmbedder,
    arrival,
    candidate,
    enrol,
    patch,
    shot,
)

STRANGER, CENTRE = SealingKey(b"s" * 32), SealingKey(b"c" * 32)


class BreakingEmbedder(PatchEmbedder):
    def embed(self, chips: Image) -> NDArray[np.float32]:
        raise ZeroDivisionError(len(chips))


def alerts(desk: Desk) -> list[Alert]:
    return desk.store.alerts.created_after(None)


def outcomes(desk: Desk) -> list[str]:
    candidates = desk.store.database.tables.candidates
    with desk.store.database.read() as connection:
        return sorted(row.outcome for row in connection.execute(candidates.select()))


def test_a_candidate_the_centre_agrees_with_becomes_an_alert(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry))
    (alert,) = alerts(desk)
    assert (alert.identity, alert.entry, alert.camera, alert.device) == ("Ada", entry, "gate", "box-1")
    assert alert.score > 0.95, "the centre's own score, not the box's 0.5"
    assert (alert.threshold, alert.late, alert.frame, alert.box) == (0.44, False, 12, (10.0, 20.0, 90.0, 92.0))
    assert alert.alerted_at_ms == desk.now_ms
    assert (desk.announced, desk.store.inbox.waiting(), outcomes(desk)) == (1, 0, ["alert"])


def test_a_candidate_the_centre_disagrees_with_is_counted_and_destroyed(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry, person=2))
    totals = desk.store.alerts.totals()
    assert (totals["below_threshold"], totals["alerts"], desk.announced) == (1, 0, 0)
    assert (desk.store.inbox.waiting(), outcomes(desk)) == (0, ["below-threshold"])


def test_a_better_look_revises_the_alert_in_place(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry))
    desk.now_ms += 3000
    better = candidate(
        entry, event_id="e2", revision=1, captured_at_ms=NOON_MS + 2000, shots=(shot(1, quality=0.99),)
    )
    desk.take_in(better)
    (alert,) = alerts(desk)
    assert (alert.revision, alert.captured_at_ms) == (1, NOON_MS + 2000)
    assert alert.revised_at_ms == alert.alerted_at_ms + 3000
    assert desk.store.alerts.totals()["alerts"] == 1


def test_a_revision_that_comes_after_a_newer_one_changes_nothing(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry, event_id="e2", revision=2), candidate(entry, event_id="e1", revision=1))
    (alert,) = alerts(desk)
    assert (alert.revision, outcomes(desk)) == (2, ["alert", "superseded"])


def test_a_revision_that_names_somebody_else_moves_the_alert(desk: Desk) -> None:
    ada, ben = enrol(desk.store, "Ada", 1), enrol(desk.store, "Ben", 2)
    desk.take_in(candidate(ada), candidate(ben, person=2, event_id="e2", revision=1))
    (alert,) = alerts(desk)
    assert (alert.identity, desk.store.alerts.totals()["sightings"]) == ("Ben", 1)


def test_one_person_on_two_cameras_within_a_minute_is_one_sighting(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    second = candidate(entry, event_id="e2", track_id="t2", camera="hall", captured_at_ms=NOON_MS + 50_000)
    desk.take_in(candidate(entry), msgspec.structs.replace(second, first_seen_ms=NOON_MS + 49_000))
    assert len({alert.sighting_id for alert in alerts(desk)}) == 1
    assert desk.store.alerts.totals()["sightings"] == 1


def test_two_people_at_once_are_two_sightings(desk: Desk) -> None:
    ada, ben = enrol(desk.store, "Ada", 1), enrol(desk.store, "Ben", 2)
    desk.take_in(candidate(ada), candidate(ben, person=2, event_id="e2", track_id="t2"))
    assert desk.store.alerts.totals()["sightings"] == 2


def test_a_late_event_between_two_sightings_makes_them_one_and_readers_see_it(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)

    def at(seconds: int, number: int) -> None:
        moment = NOON_MS + seconds * 1000
        desk.take_in(
            candidate(
                entry, event_id=f"e{number}", track_id=f"t{number}", first_seen_ms=moment, captured_at_ms=moment
            )
        )

    at(0, 1)
    at(110, 2)
    before = desk.store.alerts.last_change()
    assert desk.store.alerts.totals()["sightings"] == 2
    at(55, 3)
    assert desk.store.alerts.totals()["sightings"] == 1
    changed = desk.store.alerts.changed_after(before)
    assert len(changed) == 2, "the new alert, and the one that moved"
    assert len({alert.sighting_id for alert in alerts(desk)}) == 1


def test_a_candidate_that_waited_in_the_outbox_is_marked_late(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry), received_at_ms=NOON_MS + 3_600_000)
    assert [alert.late for alert in alerts(desk)] == [True]


def sealed(key: SealingKey, **changes: object) -> bytes:
    return seal(key.public, msgspec.msgpack.encode(candidate("0123", 1, **changes)))


@pytest.mark.parametrize(
    ("case", "payload"),
    [
        ("sealed for somebody else", sealed(STRANGER)),
        ("cut short", sealed(CENTRE)[:-1]),
        ("not a candidate", seal(CENTRE.public, b"\x93\x01\x02\x03")),
        ("text that is no UTF-8", seal(CENTRE.public, b"\x82\xa8event_id\xa1\xff")),
        ("nested without end", seal(CENTRE.public, b"\x81\xa1x" + b"\x91" * 100_000)),
        ("empty", b""),
        ("another event inside", sealed(CENTRE, event_id="other")),
        ("another device inside", sealed(CENTRE, device="box-9")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_payload_that_cannot_be_read_is_set_aside_and_the_next_is_judged(
    desk: Desk, case: str, payload: bytes
) -> None:
    desk.key = CENTRE
    entry = enrol(desk.store, "Ada", 1)
    bad = Arrival(
        device="box-1",
        message=Event("event-1", NOON_MS),
        payload=payload,
        received_at_ms=NOON_MS,
    )
    good = arrival(desk.key, candidate(entry, event_id="e2", track_id="t2"))
    desk.store.inbox.commit([bad, good])
    alerting = desk.alerting()
    assert [alerting.step(), alerting.step(), alerting.step()] == [True, True, False], case
    totals = desk.store.alerts.totals()
    assert (totals["set_aside"], totals["alerts"]) == (1, 1)


@pytest.mark.parametrize(
    ("case", "image"),
    [
        ("no picture", b"not a picture"),
        ("half a picture", shot(1).image[:300]),
        ("a PNG that claims to be enormous", b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\xff" * 8 + bytes(9)),
    ],
)
def test_a_shot_that_is_no_picture_is_left_out(desk: Desk, case: str, image: bytes) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry, shots=(shot(1, image=image, quality=0.99), shot(1))))
    assert len(alerts(desk)) == 1, case
    assert desk.store.alerts.probe(alerts(desk)[0].alert_id) == shot(1).image
    desk.take_in(candidate(entry, event_id="e2", track_id="t2", shots=(shot(1, image=image),)))
    assert outcomes(desk) == ["alert", "no-usable-shot"]


def test_an_entry_that_has_left_the_list_raises_nothing(desk: Desk) -> None:
    desk.take_in(candidate("0123456789abcdef"))
    assert outcomes(desk) == ["unknown-entry"]


def test_references_of_another_model_are_not_compared(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1, model=OTHER_MODEL)
    desk.take_in(candidate(entry))
    assert outcomes(desk) == ["model-mismatch"]


def test_a_mistake_in_one_event_stops_the_process_twice_and_then_no_more(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    broken = replace(desk, embedder=BreakingEmbedder())
    desk.store.inbox.commit([arrival(desk.key, candidate(entry))])
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            broken.alerting().step()
    assert broken.alerting().step()
    assert desk.store.alerts.totals()["set_aside"] == 1


def test_alerts_are_deleted_after_retention_and_their_sightings_with_them(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry))
    sweep(desk.store, desk.now_ms + 1000, 1000)
    assert len(alerts(desk)) == 1
    (alert,) = alerts(desk)
    sweep(desk.store, desk.now_ms + 1001, 1000)
    assert alerts(desk) == []
    assert desk.store.alerts.probe(alert.alert_id) is None
    with desk.store.database.read() as connection:
        assert connection.execute(desk.store.database.tables.sightings.select()).all() == []
    totals = desk.store.alerts.totals()
    assert (totals["alerts"], totals["sightings"]) == (1, 1), "what was counted stays counted"


def test_a_reader_gets_exactly_what_changed_since(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    for number in range(3):
        desk.take_in(candidate(entry, event_id=f"e{number}", track_id=f"t{number}"))
    first, second, third = alerts(desk)
    assert [alert.alert_id for alert in desk.store.alerts.created_after(first.alert_id)] == [
        second.alert_id,
        third.alert_id,
    ]
    desk.take_in(candidate(entry, event_id="e9", track_id="t0", revision=1))
    changed = desk.store.alerts.changed_after(third.change)
    assert [(alert.alert_id, alert.revision) for alert in changed] == [(first.alert_id, 1)]
    assert [alert.alert_id for alert in desk.store.alerts.latest(2)] == [third.alert_id, first.alert_id]


def test_the_reference_shown_is_the_enrolled_face(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry))
    picture = desk.store.alerts.reference(alerts(desk)[0].alert_id)
    assert picture is not None
    shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert np.abs(shown.astype(int) - patch(1)).mean() < 3
