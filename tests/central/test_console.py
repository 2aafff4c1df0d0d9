import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest

from central.console.app import ConsoleSettings, make_app
from central.console.feed import Feed
from central.console.gate import make_or_load_token
from central.console.stream import box_state
from central.fleet import admit
from central.service import _Console
from central.store.devices import DeviceHealth
from central.store.rollouts import Published
from central.store.state import StateDir
from edge.wire import curve
from edge.wire.messages import Applied, CameraHealth, Heartbeat, Phase
from tests.central.stand_ins import NOON_MS, Desk, candidate, enrol, shot

TOKEN = "t" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def settings(port: int) -> ConsoleSettings:
    return ConsoleSettings(
        host="127.0.0.1", port=port, token=TOKEN, threshold=0.44, silent_after_ms=15_000, retention_ms=86_400_000
    )


@dataclass
class Served:
    desk: Desk
    feed: Feed
    address: str


@pytest.fixture
def served(desk: Desk) -> Iterator[Served]:
    feed = Feed()
    listener = socket.create_server(("127.0.0.1", 0))
    with closing(listener):
        port = listener.getsockname()[1]
        app = make_app(desk.store, feed, settings(port), clock=lambda: desk.now_ms, received=lambda: 123)
        console = _Console(app, listener, feed)
        thread = threading.Thread(target=console.run, args=(threading.Event(),))
        thread.start()
        yield Served(desk, feed, f"http://127.0.0.1:{port}")
        console.stop()
        thread.join(5)
        assert not thread.is_alive(), "an open stream must not keep the server"


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, timeout=10) as made:
        yield made


def alert_id(desk: Desk) -> str:
    desk.take_in(candidate(enrol(desk.store, "Ada <b>Lovelace</b>", 1)))
    return desk.store.alerts.created_after(None)[-1].alert_id


# ------------------------------------------------------------------ who may come in


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/static/console.js", "/api/alerts", "/api/tally", "/api/events", "/api/health", "/api/openapi.json"),
        *("/alerts/x/probe.jpg", "/docs", "/absent"),
    ],
)
def test_nothing_is_shown_without_the_token(client: httpx.Client, path: str) -> None:
    port = client.base_url.port
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"sightline-{port}={TOKEN}"},
        {"Cookie": f"sightline-{port}="},
        {"Cookie": "garbage;;=;"},
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_health_is_open_and_says_nothing_else(client: httpx.Client) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").text) == (200, "ok\n")


def test_the_link_becomes_a_cookie_that_opens_the_page(client: httpx.Client) -> None:
    answer = client.get("/login", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == 200


def test_a_wrong_link_gets_the_locked_page_which_loads_nothing(client: httpx.Client) -> None:
    answer = client.get("/login", params={"token": "guess"}, headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "This console is locked" in answer.text
    assert "guess" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert not re.search(r'(src|href)="', answer.text)


def test_programs_send_the_token(client: httpx.Client) -> None:
    assert client.get("/api/tally", headers=BEARER).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8810", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8810", ""]
)
def test_another_name_for_this_machine_is_refused(client: httpx.Client, host: str) -> None:
    for path in ("/healthz", "/", "/api/alerts", "/login?token=" + TOKEN):
        assert client.get(path, headers=BEARER | {"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST:{}", "[::1]:{}"])
def test_its_own_names_are_answered(client: httpx.Client, host: str) -> None:
    host = host.format(client.base_url.port)
    assert client.get("/api/tally", headers=BEARER | {"Host": host}).status_code == 200


def test_the_token_file_is_for_its_owner_alone_and_stays(state: StateDir) -> None:
    state.prepare()
    token = make_or_load_token(state.console_token)
    assert len(token) == 43
    assert make_or_load_token(state.console_token) == token
    assert state.console_token.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["/", "/static/console.css", "/api/alerts", "/absent", "/healthz"])
def test_every_answer_carries_the_guards(client: httpx.Client, path: str) -> None:
    headers = client.get(path, headers=BEARER).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


# ------------------------------------------------------------------ what is shown


def test_the_page_holds_no_inline_script_or_style_and_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/", headers=BEARER).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    for address in addresses:
        if not address.startswith("#"):
            assert address.startswith("/static/")
            assert client.get(address, headers=BEARER).status_code == 200


def test_an_alert_is_told_in_full_to_programs(client: httpx.Client, desk: Desk) -> None:
    known = alert_id(desk)
    (alert,) = client.get("/api/alerts", headers=BEARER).json()["alerts"]
    assert alert["alert_id"] == known
    assert alert["identity"] == "Ada <b>Lovelace</b>"
    assert alert["box"] == [10.0, 20.0, 90.0, 92.0]
    promised = (
        "alert_id sighting_id entry identity score threshold device camera track_id revision first_seen_ms "
        "captured_at_ms raised_at_ms received_at_ms alerted_at_ms frame box late taken_at_ms"
    )
    assert set(promised.split()) <= set(alert)
    assert client.get("/api/alerts", params={"after": known}, headers=BEARER).json() == {"alerts": [], "more": False}


def test_alerts_after_one_that_retention_deleted_are_those_made_since(client: httpx.Client, desk: Desk) -> None:
    known = alert_id(desk)
    earlier = "00" + known[2:]
    assert len(client.get("/api/alerts", params={"after": earlier}, headers=BEARER).json()["alerts"]) == 1
    assert client.get("/api/alerts", params={"after": "f" * 64}, headers=BEARER).json()["alerts"] == []
    assert client.get("/api/alerts", params={"after": "f" * 65}, headers=BEARER).status_code == 422


def test_the_tally_counts_without_naming_anybody(client: httpx.Client, desk: Desk) -> None:
    alert_id(desk)
    tally = client.get("/api/tally", headers=BEARER).json()
    assert set(tally) == {
        *("frames", "dropped", "faces", "tracks", "unusable", "candidates", "events", "below_threshold"),
        *("alerts", "sightings", "duplicates", "set_aside", "pending", "bytes_received"),
    }
    assert (tally["events"], tally["alerts"], tally["sightings"], tally["bytes_received"]) == (1, 1, 1, 123)


def test_probe_and_reference_are_pictures_that_no_cache_keeps(client: httpx.Client, desk: Desk) -> None:
    known = alert_id(desk)
    probe = client.get(f"/alerts/{known}/probe.jpg", headers=BEARER)
    assert probe.content == shot(1).image
    reference = client.get(f"/alerts/{known}/reference.jpg", headers=BEARER)
    for answer in (probe, reference):
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store"
    assert client.get("/alerts/absent/probe.jpg", headers=BEARER).status_code == 404


@pytest.mark.parametrize(
    ("heard_at_ms", "seeing", "state"),
    [
        (None, False, "never"),
        (NOON_MS - 1000, True, "seeing"),
        (NOON_MS - 1000, False, "blind"),
        (NOON_MS - 15_001, True, "silent"),
        (NOON_MS + 60_000, True, "seeing"),
    ],
)
def test_a_box_is_seeing_blind_silent_or_was_never_heard(heard_at_ms: int | None, seeing: bool, state: str) -> None:
    health = DeviceHealth(device="box-1", heard_at_ms=heard_at_ms, seeing=seeing, waiting=0, shed=0, troubles=())
    assert box_state(health, NOON_MS, 15_000).state == state


# ------------------------------------------------------------------ the event stream


class Stream:
    """Reads server-sent events as a browser would."""

    def __init__(self, served: Served, last_id: str = "") -> None:
        self._client = httpx.Client(headers=BEARER, timeout=10)
        self._response = self._client.stream(
            "GET", f"{served.address}/api/events", headers={"Last-Event-ID": last_id} if last_id else {}
        )

    def __enter__(self) -> Iterator[tuple[str, str, dict[str, object]]]:
        response = self._response.__enter__()
        assert response.headers["content-type"].startswith("text/event-stream")
        return self._events(response.iter_lines())

    def __exit__(self, *error: object) -> None:
        self._response.__exit__(None, None, None)
        self._client.close()

    @staticmethod
    def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, object]]]:
        fields: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
                fields = {}
            else:
                fields = {}


def until(
    events: Iterator[tuple[str, str, dict[str, object]]], kind: str
) -> list[tuple[str, str, dict[str, object]]]:
    """Return the events up to and including the first of a kind."""
    seen = []
    for event in events:
        seen.append(event)
        if event[0] == kind:
            return seen
    raise AssertionError(f"the stream ended before a {kind} event")


def test_a_new_reader_gets_what_there_is_and_then_each_alert_at_once(served: Served) -> None:
    desk = served.desk
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry))
    with Stream(served) as events:
        assert [kind for kind, _, _ in until(events, "ready")] == ["alert", "health", "ready"]
        desk.take_in(candidate(entry, event_id="e2", track_id="t2"))
        started = time.monotonic()
        served.feed.publish()
        kind, _, alert = until(events, "alert")[-1]
        assert (kind, alert["track_id"]) == ("alert", "t2")
        assert time.monotonic() - started < 1.0, "told at once, not with the next pulse"


def test_a_reader_that_comes_back_gets_exactly_what_it_missed(served: Served) -> None:
    desk = served.desk
    entry = enrol(desk.store, "Ada", 1)
    desk.take_in(candidate(entry), candidate(entry, event_id="e2", track_id="t2"))
    with Stream(served) as events:
        last = [number for kind, number, _ in until(events, "ready") if kind == "alert"][-1]
    desk.take_in(candidate(entry, event_id="e3", track_id="t1", revision=0, camera="hall"))
    desk.take_in(candidate(entry, event_id="e4", track_id="track-1", revision=1))
    with Stream(served, last) as events:
        missed = [
            (alert["track_id"], alert["revision"]) for kind, _, alert in until(events, "ready") if kind == "alert"
        ]
    assert missed == [("t1", 0), ("track-1", 1)]


@pytest.mark.parametrize("last_id", ["other-store.5", "garbage", "9" * 30, ".", "x.-1"])
def test_a_reader_from_another_store_begins_anew(served: Served, last_id: str) -> None:
    served.desk.take_in(candidate(enrol(served.desk.store, "Ada", 1)))
    with Stream(served, last_id) as events:
        assert [kind for kind, _, _ in until(events, "ready")].count("alert") == 1


def test_the_stream_tells_how_the_boxes_are(served: Served) -> None:
    store, now_ms = served.desk.store, served.desk.now_ms
    admit(store, "box-1", curve.make().public, served.desk.key.public, now_ms)
    how = CameraHealth(condition="blind", reason="stale", frame_age_ms=7000)
    store.devices.heard("box-1", Heartbeat(now_ms, waiting=3, troubles=("no picture for 7 s",), camera=how), now_ms)
    camera = msgspec.to_builtins(how)
    with Stream(served) as events:
        health = until(events, "health")[-1][2]
    assert health["devices"] == [
        {
            "device": "box-1",
            "state": "blind",
            "heard_ago_ms": 0,
            "waiting": 3,
            "shed": 0,
            "troubles": ["no picture for 7 s"],
            "camera": camera,
            "drift": "",
            "drifts": False,
        }
    ]
    assert health["notices"] == []


def test_the_stream_tells_what_a_box_does_about_what_it_should_run(served: Served) -> None:
    store, now_ms = served.desk.store, served.desk.now_ms
    admit(store, "box-1", curve.make().public, served.desk.key.public, now_ms)
    store.rollouts.publish(Published(device="box-1", word="new", at_ms=now_ms, config="a"))
    told: list[tuple[str, bool]] = []
    for applied in (
        Applied(state="new"),
        Applied(phase=Phase.BRINGING, about="new"),
        Applied(phase=Phase.REFUSED, about="new", refused="its camera does not open"),
    ):
        store.devices.heard("box-1", Heartbeat(now_ms, applied=applied), now_ms)
        with Stream(served) as events:
            health = until(events, "health")[-1][2]
        box = next(iter(msgspec.convert(health["devices"], list[dict[str, Any]])))
        told.append((box["drift"], box["drifts"]))
    assert told == [
        ("runs what it should", False),
        ("is bringing config", False),
        ("refused: its camera does not open", True),
    ]


def test_readers_that_leave_are_forgotten(served: Served) -> None:
    for _ in range(3):
        with Stream(served) as events:
            until(events, "ready")
    with Stream(served) as events:
        until(events, "ready")
        for _ in range(200):
            if len(served.feed._listeners) == 1:
                break
            served.feed.publish()
            threading.Event().wait(0.02)
        assert len(served.feed._listeners) == 1
