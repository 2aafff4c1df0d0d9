"""What a box tells Prometheus: read back by the library's own parser, against a real link."""

import http.client
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry
from structlog.testing import capture_logs

from edge import selftest
from edge.errors import WorldError
from edge.exposition import MetricsSettings, told, told_if_wanted
from edge.metrics import METRICS, OLD_MS, BoxNumbers
from edge.outbox import Outbox, OutboxSettings, Outgoing, WatchReport
from edge.watching import Status
from edge.wire.messages import Applied, CameraHealth, Phase, Tally
from tests.central.ports import Centre, eventually
from tests.edge.test_link import Box, box, centre

__all__ = ["box", "centre"]

NOW_MS = 1_800_000_000_000
Numbers = dict[str, float]


def parsed(text: str) -> Numbers:
    """Return samples by name and their own labels, as `name{label=value}`; every sample names box and camera."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = {name: value for name, value in sample.labels.items() if name not in ("device", "camera")}
            assert {"device", "camera"} <= sample.labels.keys()
            label = "{" + ",".join(f"{name}={value}" for name, value in sorted(own.items())) + "}" if own else ""
            found[sample.name.removeprefix("sightline_edge_") + label] = sample.value
    return found


def exposed(numbers: BoxNumbers) -> str:
    registry = CollectorRegistry()
    registry.register(numbers)
    return generate_latest(registry).decode()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox.open(tmp_path / "outbox.db", OutboxSettings()) as opened:
        yield opened


def numbers(outbox: Outbox, device: str = "box-1") -> BoxNumbers:
    return BoxNumbers(outbox, device=device, clock=lambda: NOW_MS)


def seeing(**fields: object) -> Status:
    camera = CameraHealth(condition="seeing", frame_age_ms=120, rate_fps=9.5, reconnects=2, clock_ahead_ms=-1500)
    return Status(at_ms=NOW_MS - 1000, seeing=True, camera=camera, camera_id="gate", **fields)  # type: ignore[arg-type]


def leave(outbox: Outbox, report: WatchReport) -> None:
    outbox.report("watch", msgspec.json.encode(report))


def test_the_numbers_of_watch_are_those_of_its_report(outbox: Outbox) -> None:
    leave(
        outbox, seeing(frames=100, faces=40, tracks=7, unusable=2, candidates=3, events=4, dropped=5, looking_s=8.5)
    )
    said = parsed(exposed(numbers(outbox)))
    assert said["camera_seeing"] == said["watch_running"] == said["watch_report_age_seconds"] == 1
    assert [said[f"{name}_total"] for name in ("frames", "faces", "tracks", "unusable_tracks", "candidates")] == [
        *(100, 40, 7, 2, 3)
    ]
    assert (said["events_total"], said["camera_dropped_frames_total"], said["looking_seconds_total"]) == (4, 5, 8.5)
    assert (said["camera_frame_age_seconds"], said["camera_frames_per_second"]) == (0.12, 9.5)
    assert (said["camera_reconnects_total"], said["camera_clock_ahead_seconds"]) == (2, -1.5)


def test_a_box_that_compares_with_nobody_says_so(outbox: Outbox) -> None:
    leave(outbox, seeing(references=0))
    said = parsed(exposed(numbers(outbox)))
    assert (said["matching"], said["watchlist_references"]) == (0, 0)
    leave(outbox, seeing(references=40))
    assert parsed(exposed(numbers(outbox)))["matching"] == 1


def test_a_gate_that_is_shut_and_the_end_of_a_watchlist_are_told(outbox: Outbox) -> None:
    body = {"at_ms": NOW_MS, "references": 40, "matching": "before-window", "watchlist_expires_at_ms": NOW_MS + 5000}
    outbox.report("watch", msgspec.json.encode(body))
    said = parsed(exposed(numbers(outbox)))
    assert said["matching"] == 0
    assert said["watchlist_expires_timestamp_seconds"] == NOW_MS / 1000 + 5


def test_a_watch_that_is_silent_is_not_believed_about_the_present(outbox: Outbox) -> None:
    leave(outbox, msgspec.structs.replace(seeing(frames=100, references=3), at_ms=NOW_MS - OLD_MS - 1))
    said = parsed(exposed(numbers(outbox)))
    assert (said["camera_seeing"], said["watch_running"], said["frames_total"]) == (0, 0, 100)
    assert not {"matching", "camera_frames_per_second", "watchlist_references"} & said.keys()


def test_a_box_whose_watch_never_ran_is_not_seeing(outbox: Outbox) -> None:
    said = parsed(exposed(numbers(outbox)))
    assert (said["camera_seeing"], said["watch_running"], said["link_connected"]) == (0, 0, 0)


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'{"frames": "many"}', b'{"at_ms": -1}'])
def test_a_report_that_cannot_be_read_is_no_report(outbox: Outbox, body: bytes) -> None:
    for name in ("watch", "link", "selftest-watch"):
        outbox.report(name, body)
    assert parsed(exposed(numbers(outbox)))["watch_running"] == 0


def test_what_failed_in_a_self_test_is_a_number_of_its_part(outbox: Outbox) -> None:
    parts = (selftest.Part(name="keys", ok=True, said=""), selftest.Part(name="disk", ok=False, said="full"))
    outbox.report("selftest-link", msgspec.json.encode(selftest.SelfTest(at_ms=NOW_MS, parts=parts)))
    said = parsed(exposed(numbers(outbox)))
    assert said["selftest_ok{part=keys,process=link}"] == 1
    assert said["selftest_ok{part=disk,process=link}"] == 0
    assert said["selftest_timestamp_seconds{process=link}"] == NOW_MS / 1000


def test_one_phase_is_the_present_one(outbox: Outbox) -> None:
    trying = BoxNumbers(
        outbox, device="box-1", clock=lambda: NOW_MS, applied=lambda: Applied(phase=Phase.TRYING, about="x")
    )
    said = parsed(exposed(trying))
    phases = {name: value for name, value in said.items() if name.startswith("state_phase")}
    assert len(phases) == len(Phase)
    assert [name for name, value in phases.items() if value] == ["state_phase{phase=trying}"]


def test_a_name_that_means_something_to_the_format_stays_a_name(outbox: Outbox) -> None:
    """Ids are checked where they come in; this would hold without."""
    hostile = 'a"} 1\nsightline_edge_camera_seeing{device="other'
    leave(outbox, msgspec.structs.replace(seeing(), camera_id=hostile))
    devices, cameras = set(), set()
    for family in text_string_to_metric_families(exposed(numbers(outbox, device=hostile))):
        for sample in family.samples:
            devices.add(sample.labels["device"])
            cameras.add(sample.labels["camera"])
    assert devices == cameras == {hostile}


def test_an_outbox_that_fails_is_told_and_does_not_break_the_page(outbox: Outbox) -> None:
    outbox.close()
    assert parsed(exposed(numbers(outbox))) == {"outbox_readable": 0}


def test_no_label_can_name_a_person_an_entry_or_a_watchlist() -> None:
    assert {label for meaning in METRICS.values() for label in meaning.labels} == {
        "version",
        "phase",
        "process",
        "part",
    }


@pytest.mark.slow
def test_the_page_of_a_real_link_counts_what_really_happened(box: Box, centre: Centre) -> None:
    with centre.running(), box.linked():
        box.watch_says(WatchReport(at_ms=NOW_MS, seeing=True, troubles=("one", "two")))
        box.puts("e1", "e2")
        box.outbox.put(Outgoing.of(Tally("t1", "door", 1, 2, 3, 4, 5, 6, 7, 8)))
        eventually(lambda: box.report.acked == 3, "all of it is acknowledged")
        with told([numbers(box.outbox)], 0) as address, urllib.request.urlopen(address) as page:  # noqa: S310
            assert page.headers["Content-Type"].startswith("text/plain")
            said = parsed(page.read().decode())
        centre.roll.devices.clear()
        eventually(lambda: not box.report.connected, "the centre has turned it away")
        box.puts("e3")
        later = parsed(exposed(numbers(box.outbox)))
    assert (said["link_connected"], said["link_connects_total"], said["link_acked_rows_total"]) == (1, 1, 3)
    assert (said["outbox_rows"], said["outbox_bytes"], said["outbox_shed_total"]) == (0, 0, 0)
    assert said["link_sent_bytes_total"] > 3 * len(b"sealed")
    assert abs(said["centre_clock_ahead_seconds"]) < 1
    assert said["troubles"] == 2
    assert (later["link_connected"], later["outbox_rows"], later["link_acked_rows_total"]) == (0, 1, 3)
    assert later["outbox_bytes"] == box.outbox.weight() > 0


def test_the_page_is_for_this_machine_alone_and_ends_with_the_program(outbox: Outbox) -> None:
    with told([numbers(outbox)], 0) as address:
        port = int(address.rpartition(":")[2].partition("/")[0])
        assert address.startswith("http://127.0.0.1:")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), timeout=1).close()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("POST", "/metrics", body=b"x")
        assert connection.getresponse().status == 405
        connection.close()
        # A reader that hangs up in the middle of a request, and one that says nothing, stop nobody.
        silent = socket.create_connection(("127.0.0.1", port), timeout=1)
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        with urllib.request.urlopen(address) as page:  # noqa: S310
            assert page.status == 200
        silent.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_a_port_that_is_taken_costs_the_numbers_and_not_the_link(outbox: Outbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorldError, match="cannot tell metrics"), told([numbers(outbox)], port):
            pass
        with capture_logs() as log, told_if_wanted([numbers(outbox)], MetricsSettings(port)):
            pass
    assert [line["event"] for line in log] == ["metrics.not_told"]


def test_without_a_port_nothing_listens(outbox: Outbox) -> None:
    with capture_logs() as log, told_if_wanted([numbers(outbox)], MetricsSettings()):
        pass
    assert log == []
