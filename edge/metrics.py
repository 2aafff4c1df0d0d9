"""What a box tells Prometheus: link reads what watch and itself have last reported in the outbox, and counts there.

Watch has no network and so no metrics of its own to serve. Nothing here names a person, an entry or a watchlist:
the labels are the box, its camera, and the words that the program has for its own states.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import TypeVar

import msgspec
from msgspec import Struct
from prometheus_client.core import Metric

from edge import selftest
from edge.errors import SightlineError
from edge.exposition import Meaning, Sheet
from edge.outbox import Outbox, WatchReport
from edge.wire.messages import Applied, Phase

Report = TypeVar("Report", bound=Struct)
OLD_MS = 15_000
"""Age of a report, milliseconds, from which what it says of the present is not told any more."""
_E = "sightline_edge_"

METRICS: dict[str, Meaning] = {
    f"{_E}info": Meaning("1; the release that runs", ("version",)),
    f"{_E}outbox_readable": Meaning("1 while link can read its outbox, else 0 and nothing but this is told"),
    f"{_E}watch_report_age_seconds": Meaning("Since watch last said how it is"),
    f"{_E}watch_running": Meaning("1 while watch reports, every second; 0 when it is silent or has ended"),
    f"{_E}camera_seeing": Meaning("1 while the camera's newest picture is fresh, else 0"),
    f"{_E}camera_frame_age_seconds": Meaning("Age of the camera's newest picture"),
    f"{_E}camera_frames_per_second": Meaning("Pictures a second over the last few seconds"),
    f"{_E}camera_reconnects_total": Meaning("Connections to the camera after the first"),
    f"{_E}camera_hung_readers_total": Meaning("Readers that hung in the decoder and were replaced"),
    f"{_E}camera_clock_ahead_seconds": Meaning("Camera clock less box clock, where known"),
    f"{_E}camera_dropped_frames_total": Meaning("Pictures that gave way to a newer one before they were looked at"),
    f"{_E}frames_total": Meaning("Pictures looked at"),
    f"{_E}faces_total": Meaning("Faces found, several of one pass among them"),
    f"{_E}tracks_total": Meaning("Passes: people followed through the picture"),
    f"{_E}unusable_tracks_total": Meaning("Passes without one face good enough to compare"),
    f"{_E}candidates_total": Meaning("Passes that may be somebody on the watchlist"),
    f"{_E}events_total": Meaning("Candidates and their revisions put into the outbox"),
    f"{_E}video_bytes_total": Meaning("Video read from the camera"),
    f"{_E}looking_seconds_total": Meaning("Time spent on pictures; its rate is the busy share, near 1 too slow"),
    f"{_E}troubles": Meaning("Troubles that watch reports now"),
    f"{_E}watchlist_references": Meaning("References that are compared with; 0 while nobody is matched"),
    f"{_E}watchlist_expires_timestamp_seconds": Meaning("When the watchlist ends, seconds since 1970"),
    f"{_E}matching": Meaning("1 while faces are compared, 0 while they are only counted"),
    f"{_E}outbox_rows": Meaning("Rows that wait for the centre"),
    f"{_E}outbox_bytes": Meaning("What the waiting rows weigh"),
    f"{_E}outbox_shed_total": Meaning("Rows ever dropped because the outbox was full"),
    f"{_E}link_connected": Meaning("1 while the centre has welcomed the box, else 0"),
    f"{_E}link_connects_total": Meaning("Welcomes by the centre since link started"),
    f"{_E}link_acked_rows_total": Meaning("Rows that the centre has acknowledged"),
    f"{_E}link_unacked_rows": Meaning("Rows on their way"),
    f"{_E}link_declined_rows_total": Meaning("Rows that the centre would not take"),
    f"{_E}link_unsendable_rows_total": Meaning("Rows that were no message and were taken out"),
    f"{_E}link_sent_bytes_total": Meaning("Bytes handed to the socket, before encryption"),
    f"{_E}link_received_bytes_total": Meaning("Bytes taken from the socket, after decryption"),
    f"{_E}centre_clock_ahead_seconds": Meaning("Centre clock less box clock at the last welcome"),
    f"{_E}state_phase": Meaning("1 for what the box does now about the state it should run, else 0", ("phase",)),
    f"{_E}selftest_ok": Meaning("1 if a part passed the last self-test, else 0", ("process", "part")),
    f"{_E}selftest_timestamp_seconds": Meaning("When a process last tested itself", ("process",)),
}


class _Watch(WatchReport, frozen=True, kw_only=True):
    """What is read of watch's report; what an older watch does not say is None and not told."""

    camera_id: str = ""
    frames: int = 0
    dropped: int = 0
    faces: int = 0
    tracks: int = 0
    unusable: int = 0
    candidates: int = 0
    events: int = 0
    video_bytes: int = 0
    looking_s: float | None = None
    references: int | None = None
    matching: str = ""
    """The gate's word: "matching", or why not."""
    watchlist_expires_at_ms: int | None = None


class _Link(Struct, frozen=True, kw_only=True):
    """What is read of link's report."""

    at_ms: int = 0
    connected: bool = False
    connects: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    acked: int = 0
    unacked: int = 0
    declined: int = 0
    unsendable: int = 0
    centre_clock_ahead_ms: int = 0


class BoxNumbers:
    """The numbers of a box at the moment they are asked for; a collector of prometheus-client."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        device: str,
        clock: Callable[[], int],
        applied: Callable[[], Applied | None] = lambda: None,
    ) -> None:
        self._outbox, self._device, self._clock, self._applied = outbox, device, clock, applied

    def collect(self) -> Iterable[Metric]:
        """Return everything that is known now."""
        try:
            reports = self._outbox.reports()
            waiting = (self._outbox.count(), self._outbox.weight(), self._outbox.shed())
        except SightlineError:
            sheet = Sheet(METRICS, {"device": self._device, "camera": ""})
            sheet.put(f"{_E}outbox_readable", 0)
            return sheet.families()
        watch, link, now_ms = _read(reports.get("watch"), _Watch), _read(reports.get("link"), _Link), self._clock()
        sheet = Sheet(METRICS, {"device": self._device, "camera": watch.camera_id})
        sheet.put(f"{_E}info", 1, version("sightline"))
        sheet.put(f"{_E}outbox_readable", 1)
        for name, value in zip(("outbox_rows", "outbox_bytes", "outbox_shed_total"), waiting, strict=True):
            sheet.put(_E + name, value)
        _put_watch(sheet, watch, now_ms)
        _put_link(sheet, link)
        _put_selftests(sheet, selftest.results(reports))
        if (applied := self._applied()) is not None:
            for phase in Phase:
                sheet.put(f"{_E}state_phase", int(applied.phase is phase), phase.value)
        return sheet.families()


def _put_watch(sheet: Sheet, watch: _Watch, now_ms: int) -> None:
    if not watch.at_ms:
        sheet.put(f"{_E}watch_running", 0)
        sheet.put(f"{_E}camera_seeing", 0)
        return
    age_ms = max(0, now_ms - watch.at_ms)
    present = age_ms <= OLD_MS and not watch.ended
    sheet.put(f"{_E}watch_report_age_seconds", age_ms / 1000)
    sheet.put(f"{_E}watch_running", int(present))
    sheet.put(f"{_E}camera_seeing", int(present and watch.seeing))
    counted = {
        "frames_total": watch.frames,
        "faces_total": watch.faces,
        "tracks_total": watch.tracks,
        "unusable_tracks_total": watch.unusable,
        "candidates_total": watch.candidates,
        "events_total": watch.events,
        "video_bytes_total": watch.video_bytes,
        "looking_seconds_total": watch.looking_s,
        "camera_dropped_frames_total": watch.dropped,
    }
    for name, value in counted.items():
        sheet.put(_E + name, value)
    if present:
        _put_present(sheet, watch)


def _put_present(sheet: Sheet, watch: _Watch) -> None:
    """Put what is only true while watch runs."""
    sheet.put(f"{_E}troubles", len(watch.troubles))
    sheet.put(f"{_E}watchlist_references", watch.references)
    sheet.put(f"{_E}matching", None if watch.references is None else int(_matches(watch)))
    sheet.put(f"{_E}watchlist_expires_timestamp_seconds", _seconds(watch.watchlist_expires_at_ms))
    camera = watch.camera
    if camera is None:
        return
    sheet.put(f"{_E}camera_frame_age_seconds", _seconds(camera.frame_age_ms))
    sheet.put(f"{_E}camera_frames_per_second", camera.rate_fps)
    sheet.put(f"{_E}camera_reconnects_total", camera.reconnects)
    sheet.put(f"{_E}camera_hung_readers_total", camera.hung_readers)
    sheet.put(f"{_E}camera_clock_ahead_seconds", _seconds(camera.clock_ahead_ms))


def _matches(watch: _Watch) -> bool:
    return bool(watch.references) and watch.matching in ("", "matching")


def _put_link(sheet: Sheet, link: _Link) -> None:
    sheet.put(f"{_E}link_connected", int(link.connected))
    if not link.at_ms:
        return
    # No age of its own: link writes only what has changed, and it is link that answers here.
    sheet.put(f"{_E}link_connects_total", link.connects)
    sheet.put(f"{_E}link_acked_rows_total", link.acked)
    sheet.put(f"{_E}link_unacked_rows", link.unacked)
    sheet.put(f"{_E}link_declined_rows_total", link.declined)
    sheet.put(f"{_E}link_unsendable_rows_total", link.unsendable)
    sheet.put(f"{_E}link_sent_bytes_total", link.bytes_sent)
    sheet.put(f"{_E}link_received_bytes_total", link.bytes_received)
    if link.connects:
        sheet.put(f"{_E}centre_clock_ahead_seconds", link.centre_clock_ahead_ms / 1000)


def _put_selftests(sheet: Sheet, tests: Mapping[str, selftest.SelfTest]) -> None:
    for process, test in tests.items():
        sheet.put(f"{_E}selftest_timestamp_seconds", test.at_ms / 1000, process)
        for part in test.parts:
            sheet.put(f"{_E}selftest_ok", int(part.ok), process, part.name)


def _read(body: bytes | None, kind: type[Report]) -> Report:
    """Read a report; one that cannot be read says nothing."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except ValueError:
        return kind()


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
