"""What the centre tells Prometheus: read back by the library's own parser, against the real intake and store."""

import urllib.request
from pathlib import Path

import pytest
from prometheus_client import Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from central.fleet import admit
from central.intake import IntakeReport
from central.metrics import METRICS, AlertDelays, CentreNumbers, TimedInbox
from central.store.state import Store
from edge.errors import WorldError
from edge.exposition import told
from edge.wire import curve
from edge.wire.messages import CameraHealth, Heartbeat
from tests.central.ports import Centre, MemoryInbox, eventually
from tests.central.stand_ins import NOON_MS, Desk, candidate, enrol
from tests.edge.test_link import Box

NAME = "Erika Musterfrau"


def exposed(numbers: CentreNumbers) -> str:
    registry = CollectorRegistry()
    registry.register(numbers)
    return generate_latest(registry).decode()


def parsed(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name.removeprefix("sightline_centre_") + (f"{{{label}}}" if label else "")] = sample.value
    return found


def counted(histogram: Histogram) -> float:
    (family,) = histogram.collect()
    (count,) = (sample.value for sample in family.samples if sample.name.endswith("_count"))
    return count


def numbers(store: Store, report: IntakeReport | None = None) -> CentreNumbers:
    report = report or IntakeReport()
    delays = AlertDelays(store, lambda: None)
    return CentreNumbers(store, lambda: report, TimedInbox(store.inbox), delays, lambda: NOON_MS)


def test_a_box_is_as_its_last_heartbeat_said(store: Store) -> None:
    for name in ("box-1", "box-2"):
        admit(store, name, curve.make().public, "ab" * 32, NOON_MS)
    camera = CameraHealth(condition="seeing", frame_age_ms=250, rate_fps=9.0, reconnects=4)
    said = Heartbeat(1, waiting=7, shed=2, seeing=True, troubles=("self-test, disk: full",), camera=camera)
    store.devices.heard("box-1", said, NOON_MS - 3000)
    told_now = parsed(exposed(numbers(store)))
    assert told_now["boxes_admitted"] == 2
    assert {name: value for name, value in told_now.items() if name.startswith("box_")} == {
        "box_heard_age_seconds{device=box-1}": 3,
        "box_seeing{device=box-1}": 1,
        "box_troubles{device=box-1}": 1,
        "box_outbox_rows{device=box-1}": 7,
        "box_outbox_shed_total{device=box-1}": 2,
        "box_camera_frames_per_second{device=box-1}": 9,
        "box_camera_frame_age_seconds{device=box-1}": 0.25,
        "box_camera_reconnects_total{device=box-1}": 4,
    }


def test_what_became_of_candidates_and_how_long_it_took_is_counted_without_a_name(store: Store, desk: Desk) -> None:
    entry = enrol(store, NAME, 1)
    delays = AlertDelays(store, lambda: None)
    page = CentreNumbers(store, IntakeReport, TimedInbox(store.inbox), delays, lambda: NOON_MS)
    late = candidate(entry, event_id="event-2", track_id="track-2", raised_at_ms=NOON_MS - 60_000)
    other = candidate(entry, 2, event_id="event-3", track_id="track-3")
    desk.take_in(candidate(entry), late, other)
    delays.alerted()
    said = parsed(text := exposed(page))
    assert (said["candidates_total"], said["alerts_total"], said["below_threshold_total"]) == (3, 2, 1)
    assert (said["late_alerts_total"], said["inbox_waiting"]) == (1, 0)
    assert said["alert_delay_seconds_count"] == 1
    assert said["alert_delay_seconds_sum"] == pytest.approx(0.5)  # the desk's clock is half a second past noon
    assert (said["alert_delay_seconds_bucket{le=0.25}"], said["alert_delay_seconds_bucket{le=0.5}"]) == (0, 1)
    for secret in (NAME, "Erika", entry, "list-1", "track-1", "event-1"):
        assert secret not in text


def test_an_alert_is_counted_once_and_announced_whatever_becomes_of_the_count(store: Store, desk: Desk) -> None:
    announced: list[int] = []
    delays = AlertDelays(store, lambda: announced.append(1))
    desk.take_in(candidate(enrol(store, NAME, 1)))
    delays.alerted()
    delays.alerted()
    store.close()
    delays.alerted()
    assert len(announced) == 3
    (count,) = (
        sample.value for sample in next(iter(delays.seconds.collect())).samples if sample.name.endswith("_count")
    )
    assert count == 1


def test_a_commit_that_fails_is_not_timed() -> None:
    inbox = TimedInbox(MemoryInbox(trouble=WorldError("full")))
    with pytest.raises(WorldError):
        inbox.commit([])
    (count,) = (
        sample.value for sample in next(iter(inbox.seconds.collect())).samples if sample.name.endswith("_count")
    )
    assert count == 0


def test_what_boxes_did_and_who_was_turned_away_is_on_the_page(store: Store, tmp_path: Path) -> None:
    centre = Centre()
    inbox = TimedInbox(centre.inbox)
    with centre.running():
        page = CentreNumbers(
            store, lambda: centre.report, inbox, AlertDelays(store, lambda: None), clock=lambda: NOON_MS
        )
        with Box(tmp_path / "outbox.db", centre) as box, box.linked():
            eventually(lambda: centre.report.denied > 0, "a stranger is turned away")
            centre.roll.devices[box.key.public] = "box-1"
            box.puts("e1", "e2")
            eventually(lambda: centre.report.committed == 2, "both are committed")
            with told([page], 0) as address, urllib.request.urlopen(address) as answer:  # noqa: S310
                said = parsed(answer.read().decode())
    assert (said["boxes_connected"], said["committed_total"]) == (1, 2)
    assert said["handshakes_denied_total"] >= 1
    assert said["received_bytes_total"] > 0


def test_refusals_are_told_by_their_reason_and_no_reason_can_break_the_page(store: Store) -> None:
    hostile = 'x"} 9\nsightline_centre_alerts_total 99'
    said = parsed(exposed(numbers(store, IntakeReport(refused={"garbage": 3, hostile: 1}))))
    assert said["refused_total{reason=garbage}"] == 3
    assert said[f"refused_total{{reason={hostile}}}"] == 1
    assert said["alerts_total"] == 0


def test_no_label_can_name_a_person_or_an_entry() -> None:
    assert {label for meaning in METRICS.values() for label in meaning.labels} == {
        "version",
        "reason",
        "device",
        "phase",
    }
