"""What the centre tells Prometheus of itself and of its boxes, as they last reported: counts and times alone.

The labels are boxes and the words that the program has for its own states; nothing names a person or an entry.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Protocol

from prometheus_client import Histogram
from prometheus_client.core import Metric

from central.intake import IntakeReport
from central.store.devices import DeviceHealth
from central.store.state import Store
from edge.errors import SightlineError
from edge.exposition import Meaning, Sheet
from edge.wire.conversation import Arrival
from edge.wire.messages import Phase

_C = "sightline_centre_"
COMMIT_SECONDS = f"{_C}commit_seconds"
ALERT_SECONDS = f"{_C}alert_delay_seconds"
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ALERT_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)

HISTOGRAMS: dict[str, Meaning] = {
    COMMIT_SECONDS: Meaning("To store a batch so that it survives a power cut; acknowledgements leave after that"),
    ALERT_SECONDS: Meaning("From a candidate on the box to its alert here, late ones left out; two clocks"),
}
METRICS: dict[str, Meaning] = {
    f"{_C}info": Meaning("1; the release that runs", ("version",)),
    f"{_C}store_readable": Meaning("1 while the database answers, else 0 and what it knows is not told"),
    f"{_C}boxes_connected": Meaning("Boxes in conversation now"),
    f"{_C}boxes_admitted": Meaning("Boxes that may connect"),
    f"{_C}messages_total": Meaning("Messages from boxes"),
    f"{_C}received_bytes_total": Meaning("Bytes from boxes, after decryption"),
    f"{_C}sent_bytes_total": Meaning("Bytes to boxes, before encryption"),
    f"{_C}committed_total": Meaning("Events and tallies committed and acknowledged, repeats among them"),
    f"{_C}commit_failures_total": Meaning("Batches that could not be stored; the boxes send them again"),
    f"{_C}intake_failures_total": Meaning("Turns of the intake that trouble elsewhere cut short"),
    f"{_C}handshakes_denied_total": Meaning("Handshakes and messages with keys that are not admitted"),
    f"{_C}handshakes_broken_total": Meaning("Handshakes that never came to a key: plain clients, wrong keys, noise"),
    f"{_C}refused_total": Meaning("Messages refused, by reason", ("reason",)),
    f"{_C}inbox_waiting": Meaning("Candidates that wait to be judged"),
    f"{_C}candidates_total": Meaning("Candidates and revisions received, each once"),
    f"{_C}duplicates_total": Meaning("Candidates that came again and were known"),
    f"{_C}set_aside_total": Meaning("Candidates that could not be opened or read"),
    f"{_C}below_threshold_total": Meaning("Candidates that the centre's own look did not confirm"),
    f"{_C}alerts_total": Meaning("Alerts ever raised"),
    f"{_C}sightings_total": Meaning("Sightings ever begun"),
    f"{_C}late_alerts_total": Meaning("Alerts and revisions since the start that came too late to be shown as live"),
    f"{_C}tallied_frames_total": Meaning("Pictures looked at by all boxes"),
    f"{_C}tallied_dropped_total": Meaning("Pictures dropped by all boxes"),
    f"{_C}tallied_faces_total": Meaning("Faces found by all boxes"),
    f"{_C}tallied_tracks_total": Meaning("Passes at all boxes"),
    f"{_C}tallied_unusable_total": Meaning("Passes at all boxes without one usable face"),
    f"{_C}tallied_candidates_total": Meaning("Passes at all boxes that became candidates"),
    f"{_C}box_heard_age_seconds": Meaning("Since a box was last heard", ("device",)),
    f"{_C}box_seeing": Meaning("1 while a box says that its camera sees, else 0", ("device",)),
    f"{_C}box_troubles": Meaning("Troubles that a box last reported, failed self-tests among them", ("device",)),
    f"{_C}box_outbox_rows": Meaning("Rows that wait on a box", ("device",)),
    f"{_C}box_outbox_shed_total": Meaning("Rows that a box ever dropped because its outbox was full", ("device",)),
    f"{_C}box_camera_frames_per_second": Meaning("Pictures a second at a box", ("device",)),
    f"{_C}box_camera_frame_age_seconds": Meaning("Age of a box's newest picture when it last reported", ("device",)),
    f"{_C}box_camera_reconnects_total": Meaning("Connections of a box to its camera after the first", ("device",)),
    f"{_C}box_state_phase": Meaning("1 for what a box does now about the state it should run", ("device", "phase")),
}


class Inbox(Protocol):
    """Where events and tallies are kept."""

    def commit(self, batch: Sequence[Arrival]) -> None:
        """Store a batch durably."""


class TimedInbox:
    """An inbox whose commits are timed."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        help_ = HISTOGRAMS[COMMIT_SECONDS].help
        self.seconds = Histogram(COMMIT_SECONDS, help_, registry=None, buckets=_COMMIT_BUCKETS)

    def commit(self, batch: Sequence[Arrival]) -> None:
        """Store a batch durably; one that fails is not timed."""
        began_s = time.perf_counter()
        self._inbox.commit(batch)
        self.seconds.observe(time.perf_counter() - began_s)


class AlertDelays:
    """How long alerts took, read from the store when one was made."""

    def __init__(self, store: Store, announce: Callable[[], None]) -> None:
        self._alerts, self._announce = store.alerts, announce
        self._seen = store.alerts.last_change()
        self.late = 0
        self.seconds = Histogram(ALERT_SECONDS, HISTOGRAMS[ALERT_SECONDS].help, registry=None, buckets=_ALERT_BUCKETS)

    def alerted(self) -> None:
        """Announce, and then count the alerts that were made or revised since the last call."""
        self._announce()
        # The alert stands: trouble with counting it must not make alerting judge it again.
        with contextlib.suppress(SightlineError):
            self._count()

    def _count(self) -> None:
        for alert in self._alerts.changed_after(self._seen):
            self._seen = max(self._seen, alert.change)
            if alert.late:
                self.late += 1
            else:
                self.seconds.observe(max(0.0, (alert.revised_at_ms - alert.raised_at_ms) / 1000))


class CentreNumbers:
    """The numbers of the centre at the moment they are asked for; a collector of prometheus-client."""

    def __init__(
        self,
        store: Store,
        intake: Callable[[], IntakeReport],
        inbox: TimedInbox,
        delays: AlertDelays,
        clock: Callable[[], int],
    ) -> None:
        self._store, self._intake, self._inbox, self._delays, self._clock = store, intake, inbox, delays, clock

    def collect(self) -> Iterable[Metric]:
        """Return everything that is known now."""
        sheet = Sheet(METRICS, {})
        sheet.put(f"{_C}info", 1, version("sightline"))
        _put_intake(sheet, self._intake())
        sheet.put(f"{_C}late_alerts_total", self._delays.late)
        try:
            totals, waiting = self._store.alerts.totals(), self._store.inbox.waiting()
            boxes, now_ms = self._store.devices.health(), self._clock()
        except SightlineError:
            sheet.put(f"{_C}store_readable", 0)
        else:
            sheet.put(f"{_C}store_readable", 1)
            _put_totals(sheet, totals, waiting)
            sheet.put(f"{_C}boxes_admitted", len(boxes))
            for box in boxes:
                _put_box(sheet, box, now_ms)
        return [*sheet.families(), *self._inbox.seconds.collect(), *self._delays.seconds.collect()]


def _put_intake(sheet: Sheet, report: IntakeReport) -> None:
    numbers = {
        "boxes_connected": report.peers,
        "messages_total": report.messages,
        "received_bytes_total": report.bytes_received,
        "sent_bytes_total": report.bytes_sent,
        "committed_total": report.committed,
        "commit_failures_total": report.commit_failures,
        "intake_failures_total": report.failures,
        "handshakes_denied_total": report.denied,
        "handshakes_broken_total": report.broken_handshakes,
    }
    for name, value in numbers.items():
        sheet.put(_C + name, value)
    for reason, count in report.refused.items():
        sheet.put(f"{_C}refused_total", count, reason)


def _put_totals(sheet: Sheet, totals: dict[str, int], waiting: int) -> None:
    sheet.put(f"{_C}inbox_waiting", waiting)
    sheet.put(f"{_C}candidates_total", totals["events"])
    for name in ("alerts", "sightings", "duplicates", "set_aside", "below_threshold"):
        sheet.put(f"{_C}{name}_total", totals[name])
    for name in ("frames", "dropped", "faces", "tracks", "unusable", "candidates"):
        sheet.put(f"{_C}tallied_{name}_total", totals[name])


def _put_box(sheet: Sheet, box: DeviceHealth, now_ms: int) -> None:
    if box.heard_at_ms is None:
        return
    sheet.put(f"{_C}box_heard_age_seconds", max(0, now_ms - box.heard_at_ms) / 1000, box.device)
    sheet.put(f"{_C}box_seeing", int(box.seeing), box.device)
    sheet.put(f"{_C}box_troubles", len(box.troubles), box.device)
    sheet.put(f"{_C}box_outbox_rows", box.waiting, box.device)
    sheet.put(f"{_C}box_outbox_shed_total", box.shed, box.device)
    if box.camera is not None:
        age_ms = box.camera.frame_age_ms
        sheet.put(f"{_C}box_camera_frames_per_second", box.camera.rate_fps, box.device)
        sheet.put(f"{_C}box_camera_frame_age_seconds", None if age_ms is None else age_ms / 1000, box.device)
        sheet.put(f"{_C}box_camera_reconnects_total", box.camera.reconnects, box.device)
    applied = getattr(box, "applied", None)
    if applied is not None:
        for phase in Phase:
            sheet.put(f"{_C}box_state_phase", int(applied.phase is phase), box.device, phase.value)
