import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import msgspec
import pytest
from structlog.testing import capture_logs

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.link import Link, LinkSettings
from edge.outbox import Outbox, OutboxSettings, Outgoing, WatchReport
from edge.telling import LinkReport
from edge.wire import curve
from edge.wire.messages import MAX_PAYLOAD_BYTES, CameraHealth, Event, Tally
from tests.central.ports import QUICK, Centre, Roll, eventually


@dataclass
class Box:
    """A real link over a real outbox, run in a thread; `watch` is the test."""

    path: Path
    centre: Centre
    key: curve.CurveKey = field(default_factory=curve.make)
    centre_key: str = ""
    endpoints: tuple[str, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    ended_with: list[LinkReport | Exception] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.outbox = Outbox.open(self.path, OutboxSettings())
        return self

    def __exit__(self, *_: object) -> None:
        self.outbox.close()

    def link(self, outbox: Outbox) -> Link:
        settings = LinkSettings(
            endpoints=self.endpoints or (self.centre.endpoint,),
            centre_key=self.centre_key or self.centre.key.public,
            pace=QUICK,
        )
        return Link(settings, device="box-1", software="0.1.0", key=self.key, outbox=outbox)

    @contextmanager
    def linked(self, *, drain: bool = False, outbox: type[Outbox] = Outbox) -> Iterator[threading.Thread]:
        """Run the link until the block ends; what it returned or raised is then in `ended_with`."""

        def run() -> None:
            with outbox.open(self.path, OutboxSettings()) as own:
                try:
                    self.ended_with.append(self.link(own).run(self.stop, drain=drain))
                except (WorldError, IntegrityError, OperatorError) as error:
                    self.ended_with.append(error)

        self.stop.clear()
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield thread
        finally:
            self.stop.set()
            thread.join()

    def puts(self, *names: str, payload: bytes = b"sealed") -> None:
        for name in names:
            self.outbox.put(Outgoing.of(Event(name, 5), payload))

    def watch_says(self, report: WatchReport) -> None:
        self.outbox.report("watch", msgspec.json.encode(report))

    @property
    def report(self) -> LinkReport:
        return msgspec.json.decode(self.outbox.reports().get("link", b"{}"), type=LinkReport)

    def is_empty(self) -> bool:
        return self.outbox.count() == 0


@pytest.fixture
def centre() -> Centre:
    """Return a centre that is not running, at a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Centre(endpoint=f"tcp://127.0.0.1:{listener.getsockname()[1]}")


@pytest.fixture
def box(tmp_path: Path, centre: Centre) -> Iterator[Box]:
    with Box(tmp_path / "outbox.db", centre) as box:
        centre.roll.devices[box.key.public] = "box-1"
        yield box


def test_rows_reach_the_centre_and_then_leave_the_outbox(box: Box, centre: Centre) -> None:
    box.puts("e1")
    box.outbox.put(Outgoing.of(Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8)))
    with centre.running(), box.linked():
        eventually(box.is_empty, "the outbox is empty")
        box.puts("e2", payload=b"x" * MAX_PAYLOAD_BYTES)
        eventually(box.is_empty, "the outbox is empty again")
    assert centre.inbox.ids == {"e1", "t1", "e2"}
    assert centre.inbox.stored["box-1", "e1"].payload == b"sealed"
    assert centre.inbox.repeats == 0
    assert box.report.acked == 3
    assert not box.report.connected


def test_rows_beyond_the_window_follow(box: Box, centre: Centre) -> None:
    names = [f"e{number}" for number in range(5 * QUICK.window)]
    box.puts(*names)
    with centre.running(), box.linked():
        eventually(box.is_empty, "the outbox is empty")
    assert [id_ for _, id_ in centre.inbox.stored] == names
    assert centre.inbox.repeats == 0


def test_an_absent_centre_is_told_once_and_waited_for(box: Box, centre: Centre) -> None:
    box.puts("e1")
    with capture_logs() as log, box.linked():
        eventually(lambda: box.report.last_parting == "absent", "the link has tried")
        time.sleep(0.5)  # several attempts, which must not be told again
        assert box.outbox.count() == 1
        with centre.running():
            eventually(box.is_empty, "the outbox is empty")
    (line,) = [line for line in log if line["event"] == "link.disconnected" and line["why"] == "absent"]
    assert line["endpoint"] == centre.endpoint
    assert "start the centre" in line["hint"]
    assert [line["waiting"] for line in log if line["event"] == "link.connected"] == [1]


@pytest.mark.slow
def test_a_centre_that_vanishes_mid_window_costs_nothing(box: Box, centre: Centre) -> None:
    names = [f"e{number}" for number in range(400)]
    with box.linked():
        for part in range(4):
            box.puts(*names[part * 100 : part * 100 + 100], payload=b"x" * 20_000)
            many = len(centre.inbox.stored)
            with centre.running():
                eventually(partial(centre.has_more_than, many + 10), "some have arrived")
        with centre.running():
            eventually(box.is_empty, "the outbox is empty")
    assert centre.inbox.ids == set(names)
    assert box.report.acked == 400


def test_a_centre_that_cannot_store_keeps_nothing_from_being_sent_again(box: Box, centre: Centre) -> None:
    centre.inbox.trouble = WorldError("the disk is full")
    box.puts("e1", "e2")
    with centre.running(), box.linked():
        eventually(lambda: centre.report.commit_failures >= 2, "sent again")
        assert box.outbox.count() == 2
        centre.inbox.trouble = None
        eventually(box.is_empty, "the outbox is empty")
    assert centre.inbox.ids == {"e1", "e2"}


def test_a_restarted_link_sends_what_was_not_acknowledged(box: Box, centre: Centre) -> None:
    centre.inbox.trouble = WorldError("the disk is full")
    box.puts("e1")
    with centre.running():
        with box.linked():
            eventually(lambda: centre.report.commit_failures > 0, "sent")
        centre.inbox.trouble = None
        assert box.outbox.count() == 1
        with box.linked():
            eventually(box.is_empty, "the outbox is empty")
    assert centre.inbox.ids == {"e1"}


def test_a_second_endpoint_is_tried_where_the_first_is_dead(box: Box, centre: Centre) -> None:
    box.endpoints = ("tcp://127.0.0.1:1", centre.endpoint)
    box.puts("e1")
    with centre.running(), box.linked():
        eventually(box.is_empty, "the outbox is empty")
        eventually(lambda: box.report.endpoint == centre.endpoint, "the report names it")


@pytest.mark.slow
def test_when_the_first_endpoint_dies_mid_way_the_second_takes_over_and_all_arrives_once(box: Box) -> None:
    """Two doors of one centre: one key, one inbox."""
    first = Centre(roll=Roll({box.key.public: "box-1"}))
    second = Centre(key=first.key, inbox=first.inbox, roll=first.roll)
    names = [f"e{number}" for number in range(300)]
    with second.running(), ExitStack() as first_door:
        first_door.enter_context(first.running())
        box.endpoints, box.centre_key = (first.endpoint, second.endpoint), first.key.public
        box.puts(*names[:200], payload=b"x" * 20_000)
        with box.linked():
            eventually(lambda: first.has_more_than(10), "some have arrived")
            first_door.close()
            box.puts(*names[200:], payload=b"x" * 20_000)
            eventually(box.is_empty, "the outbox is empty", within_s=30)
            eventually(lambda: box.report.endpoint == second.endpoint, "the report names it")
        assert second.report.committed >= 100
    assert first.inbox.ids == set(names)


@pytest.mark.slow
def test_a_name_that_does_not_resolve_is_waited_for(box: Box, centre: Centre) -> None:
    box.endpoints = ("tcp://no-such-centre.invalid:5810", centre.endpoint)
    box.puts("e1")
    with centre.running(), box.linked():
        eventually(box.is_empty, "the outbox is empty", within_s=30)


# ------------------------------------------------------------------ keys


def test_a_centre_with_another_key_is_never_talked_to(box: Box, centre: Centre) -> None:
    box.centre_key = curve.make().public
    box.puts("e1")
    with capture_logs() as log, centre.running(), box.linked():
        eventually(lambda: box.report.last_parting == "wrong-key", "the link has tried")
        eventually(lambda: centre.report.broken_handshakes > 1, "and again")
        assert centre.report.messages == 0
    assert box.outbox.count() == 1
    assert "link.centre_key" in next(line["hint"] for line in log if line["event"] == "link.disconnected")


def test_a_box_waits_to_be_admitted_and_then_delivers(box: Box, centre: Centre) -> None:
    centre.roll.devices.clear()
    box.puts("e1")
    with centre.running(), box.linked():
        eventually(lambda: box.report.last_parting == "denied", "the link has tried")
        assert centre.report.messages == 0
        centre.roll.devices[box.key.public] = "box-1"
        eventually(box.is_empty, "the outbox is empty")


@pytest.mark.slow
def test_a_revoked_box_keeps_what_it_has_and_gets_nowhere(box: Box, centre: Centre) -> None:
    with centre.running(), box.linked():
        eventually(lambda: box.report.connected, "connected")
        centre.roll.devices.clear()
        eventually(lambda: box.report.last_parting in ("refused not-admitted", "denied"), "expelled")
        box.puts("e1")
        eventually(lambda: box.report.last_parting == "denied", "not let in again")
    assert box.outbox.count() == 1
    assert centre.inbox.stored == {}


def test_nothing_readable_crosses_the_wire(box: Box, centre: Centre) -> None:
    payload = b"not even the sealed payload can be told apart"
    with centre.running(), wiretap(centre.endpoint) as (endpoint, captured):
        box.endpoints = (endpoint,)
        box.puts("recognisable-id", payload=payload)
        with box.linked():
            eventually(box.is_empty, "the outbox is empty")
    assert centre.inbox.stored["box-1", "recognisable-id"].payload == payload
    seen = bytes(captured)
    assert len(seen) > 500
    for secret in (payload, b"recognisable-id", b"box-1", b"heartbeat", box.key.public.encode()):
        assert secret not in seen


@contextmanager
def wiretap(endpoint: str) -> Iterator[tuple[str, bytearray]]:
    """Stand between a box and its centre and write down every byte, both ways."""
    captured = bytearray()
    host, port = endpoint.removeprefix("tcp://").split(":")

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65536):
            captured.extend(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yielded = f"tcp://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            near, _ = listener.accept()
            with near, socket.create_connection((host, int(port))) as far:
                back = threading.Thread(target=pass_on, args=(far, near))
                back.start()
                pass_on(near, far)
                back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield yielded, captured
        thread.join()


# ------------------------------------------------------------------ what it tells


def test_both_ends_count_the_same_bytes(box: Box, centre: Centre) -> None:
    box.puts(*[f"e{number}" for number in range(20)], payload=b"x" * 1000)
    with centre.running():
        with box.linked():
            eventually(box.is_empty, "the outbox is empty")
        eventually(lambda: centre.report.messages == box.report.messages_sent, "all has been read")
        there = centre.report
    here = box.report
    assert here.bytes_sent == there.bytes_received > 20_000
    assert here.bytes_received <= there.bytes_sent
    assert here.connects == 1


def test_heartbeats_carry_what_watch_has_left(box: Box, centre: Centre) -> None:
    camera = CameraHealth(
        condition="seeing", frame_age_ms=40, rate_fps=25.0, clock_source="camera", clock_ahead_ms=-90
    )
    box.watch_says(
        WatchReport(at_ms=now_ms(), seeing=True, camera=camera, troubles=("the lens is dirty", "x" * 1000))
    )
    with centre.running(), box.linked():
        eventually(lambda: len(centre.pulses.heartbeats) > 1, "heartbeats")
    device, heartbeat, _ = centre.pulses.heartbeats[-1]
    assert device == "box-1"
    assert heartbeat.seeing
    assert heartbeat.camera == camera
    assert heartbeat.troubles == ("the lens is dirty", "x" * 512)
    assert abs(heartbeat.sent_at_ms - now_ms()) < 60_000


@pytest.mark.slow
def test_the_centre_s_clock_is_told_anew_with_every_pulse(box: Box, centre: Centre) -> None:
    with centre.running(), box.linked():
        eventually(lambda: box.report.centre_clock_ms > 0, "the centre's clock is told")
        first = box.report
        assert abs(first.centre_clock_ahead_ms) < 5000
        assert 0 < first.centre_clock_monotonic_s <= time.monotonic()
        eventually(lambda: box.report.centre_clock_ms > first.centre_clock_ms, "a pulse tells it again")
        assert box.report.centre_clock_monotonic_s > first.centre_clock_monotonic_s
        assert box.report.connects == 1


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (None, "watch has not started"),
        (b"not json", "cannot be read"),
        (msgspec.json.encode(WatchReport(at_ms=1, seeing=True)), "has not reported for"),
    ],
)
def test_a_watch_that_is_not_there_is_not_said_to_see(
    box: Box, centre: Centre, body: bytes | None, trouble: str
) -> None:
    if body is not None:
        box.outbox.report("watch", body)
    with centre.running(), box.linked():
        eventually(lambda: bool(centre.pulses.heartbeats), "a heartbeat")
    _, heartbeat, _ = centre.pulses.heartbeats[0]
    assert not heartbeat.seeing
    assert trouble in heartbeat.troubles[0]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_no_log_line_carries_a_payload_or_a_key(box: Box, centre: Centre) -> None:
    with capture_logs() as log, centre.running(), box.linked():
        box.puts("e1")
        box.outbox.put(Outgoing(id="bad", kind="event", header=b"the sealed face", payload=b"the sealed face"))
        eventually(box.is_empty, "the outbox is empty")
    shown = str(log)
    assert "link.unsendable" in shown
    assert "the sealed face" not in shown
    assert box.key.secret.decode() not in shown


# ------------------------------------------------------------------ ending


def test_draining_ends_when_watch_has_and_not_before(box: Box, centre: Centre) -> None:
    box.watch_says(WatchReport())
    box.puts("e1")
    with centre.running(), box.linked(drain=True) as thread:
        eventually(box.is_empty, "the outbox is empty")
        box.puts("e2")
        eventually(box.is_empty, "the outbox is empty again")
        assert thread.is_alive()
        box.puts("e3")
        box.watch_says(WatchReport(ended=True))
        thread.join(10)
        assert not thread.is_alive()
    assert centre.inbox.ids == {"e1", "e2", "e3"}
    (report,) = box.ended_with
    assert isinstance(report, LinkReport)
    assert (report.acked, report.waiting, report.connected) == (3, 0, False)
    assert box.report == report


def test_a_stop_is_obeyed_at_once_with_a_centre_or_without(box: Box, centre: Centre) -> None:
    with box.linked() as thread:
        eventually(lambda: box.report.last_parting == "absent", "the link has tried")
        began = time.monotonic()
        box.stop.set()
        thread.join(5)
        assert time.monotonic() - began < 1
    box.puts("e1")
    with centre.running(), box.linked() as thread:
        eventually(box.is_empty, "the outbox is empty")
        began = time.monotonic()
        box.stop.set()
        thread.join(5)
        assert time.monotonic() - began < 1


@pytest.mark.slow
def test_what_was_delivered_is_nowhere_in_the_files(box: Box, centre: Centre) -> None:
    box.puts(*[f"e{number}" for number in range(50)], payload=b"the sealed face" * 1000)
    with centre.running(), box.linked():
        eventually(box.is_empty, "the outbox is empty")
        eventually(lambda: b"the sealed face" not in on_disk(box.path), "wiped while running")


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


class FailingOutbox(Outbox):
    """An outbox on a disk that fails twice when something is to be forgotten."""

    failures = 2

    def forget(self, ids: Iterable[str]) -> int:
        if self.failures:
            self.failures -= 1
            raise WorldError("no room for the outbox: the disk is full")
        return super().forget(ids)


@pytest.mark.slow
def test_a_failing_disk_is_waited_for_and_the_rows_are_sent_again(box: Box, centre: Centre) -> None:
    box.puts("e1")
    with capture_logs() as log, centre.running(), box.linked(outbox=FailingOutbox):
        eventually(box.is_empty, "the outbox is empty")
    assert centre.inbox.repeats == 2
    assert len([line for line in log if line["event"] == "link.outbox_trouble"]) == 1


def test_a_damaged_outbox_ends_the_link(box: Box, centre: Centre) -> None:
    box.puts(*[f"e{number}" for number in range(50)], payload=b"x" * 5000)
    box.outbox.close()
    with box.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(box.path.stat().st_size - 4096))
    with centre.running(), box.linked() as thread:
        thread.join(10)
    (error,) = box.ended_with
    assert isinstance(error, IntegrityError)


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [("http://centre:5810", "0" * 40), ("tcp://centre:70000", "0" * 40), ("tcp://centre:5810", "short")],
)
def test_what_cannot_be_dialled_is_the_operators_to_correct(box: Box, endpoint: str, key: str) -> None:
    settings = LinkSettings(endpoints=(endpoint,), centre_key=key)
    with pytest.raises(OperatorError):
        Link(settings, device="box-1", software="0.1.0", key=box.key, outbox=box.outbox)


@pytest.mark.slow
def test_a_revoked_box_knows_it_from_the_centre_itself_and_after_a_restart(box: Box, centre: Centre) -> None:
    with centre.running():
        with box.linked():
            eventually(lambda: box.report.connected, "the link is welcomed")
            assert box.report.expelled_at_ms == 0
            del centre.roll.devices[box.key.public]
            eventually(lambda: box.report.expelled_at_ms > 0, "the link is expelled")
            eventually(lambda: "denied" in box.report.last_parting, "the door is shut")
            assert box.report.expelled
            at_ms = box.report.expelled_at_ms
        with box.linked():
            eventually(lambda: "denied" in box.report.last_parting, "the door is still shut")
            assert box.report.expelled_at_ms == at_ms
            centre.roll.devices[box.key.public] = "box-1"
            eventually(lambda: box.report.connected, "the link is welcomed again")
        assert (box.report.expelled, box.report.expelled_at_ms) == (False, 0)


def test_a_door_that_is_shut_in_the_handshake_expels_nobody(box: Box, centre: Centre) -> None:
    centre.roll.devices.clear()
    with centre.running(), box.linked():
        eventually(lambda: "denied" in box.report.last_parting, "the link is denied")
    assert box.report.expelled_at_ms == 0
