"""The centre as an operator starts it: real processes, real models, real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from central.deployments import write_running
from edge.errors import OperatorError
from edge.faces.registry import ModelStore, Task, load_registry
from edge.wire import curve, sealing

pytestmark = pytest.mark.slow

READY_S = 60.0


@pytest.fixture(autouse=True)
def _models() -> None:
    try:
        store = ModelStore.default()
        store.path(load_registry().wanted("", Task.EMBED, store))
    except OperatorError as error:
        pytest.skip(str(error))


def run(*arguments: str, state: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "central", *arguments, "--state", str(state)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Centre:
    """A running `sightline serve` on free ports."""

    def __init__(self, state: Path, config: Path) -> None:
        config.write_text('endpoint: "tcp://127.0.0.1:*"\nconsole: {port: 0}\n')
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "central", "serve", "--state", str(state), "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = dict(self._ready(self._pipe()))

    def _pipe(self) -> IO[str]:
        assert self.popen.stdout is not None
        return self.popen.stdout

    def _ready(self, lines: IO[str]) -> Iterator[tuple[str, str]]:
        for line in lines:
            key, _, value = line.strip().partition(": ")
            yield key, value
            if key == "console":
                return
        raise AssertionError(self.popen.communicate(timeout=READY_S)[1])

    def stop(self, number: int) -> float:
        """Signal it and return the seconds it took to end."""
        started = time.monotonic()
        self.popen.send_signal(number)
        self.popen.wait(10)
        return time.monotonic() - started

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate(timeout=10)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    running = Centre(tmp_path / "centre", tmp_path / "centre.yaml")
    yield running
    running.close()


def test_the_centre_says_what_an_operator_needs_and_the_link_opens_the_page(centre: Centre, tmp_path: Path) -> None:
    keys = json.loads(run("keys", state=tmp_path / "centre").stdout)
    assert keys == {"curve": centre.said["curve key"], "seal": centre.said["sealing key"]}
    assert centre.said["endpoint"].startswith("tcp://127.0.0.1:")
    page = httpx.get(centre.said["console"], follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_centre_stops_within_two_seconds_even_while_somebody_watches(centre: Centre, number: int) -> None:
    with httpx.Client(follow_redirects=True, timeout=10) as browser:
        browser.get(centre.said["console"])
        address = httpx.URL(centre.said["console"])
        with browser.stream("GET", f"http://{address.host}:{address.port}/api/events") as stream:
            next(stream.iter_bytes())
            assert centre.stop(number) < 2.0
    assert centre.popen.returncode == 0


def test_everything_in_the_state_directory_is_for_its_owner_alone(centre: Centre, tmp_path: Path) -> None:
    assert centre.popen.poll() is None
    files = [path for path in (tmp_path / "centre").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_second_centre_on_the_same_state_is_refused(centre: Centre, tmp_path: Path) -> None:
    assert centre.popen.poll() is None
    second = run("serve", state=tmp_path / "centre")
    assert second.returncode == 3
    assert "is served by another process already; stop it" in second.stderr


@pytest.mark.parametrize("taken", ["console", "endpoint"])
def test_a_port_in_use_is_one_clear_line(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        console = port if taken == "console" else 0
        endpoint = port if taken == "endpoint" else "*"
        config = tmp_path / "centre.yaml"
        config.write_text(f'endpoint: "tcp://127.0.0.1:{endpoint}"\nconsole: {{port: {console}}}\n')
        done = run("serve", "--config", str(config), state=tmp_path / "centre")
    assert done.returncode == 3
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("sightline: ")
    assert str(port) in line


def test_the_console_is_kept_on_this_machine(tmp_path: Path) -> None:
    config = tmp_path / "centre.yaml"
    config.write_text("console: {host: 0.0.0.0}\n")
    done = run("serve", "--config", str(config), state=tmp_path / "centre")
    assert done.returncode == 2
    assert "the console will not listen on 0.0.0.0: it has no TLS and no accounts yet" in done.stderr


def test_an_unknown_setting_is_one_clear_line(tmp_path: Path) -> None:
    config = tmp_path / "centre.yaml"
    config.write_text("alert_treshold: 0.5\n")
    done = run("serve", "--config", str(config), state=tmp_path / "centre")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"sightline: the settings {config}: unknown key alert_treshold; did you mean alert_threshold?\n"
    )


def test_a_box_is_admitted_listed_and_revoked_whatever_its_key_looks_like(tmp_path: Path) -> None:
    state = tmp_path / "centre"
    key = next(key for key in (curve.make().public for _ in range(20_000)) if key.startswith("-"))
    seal = sealing.make_or_load(tmp_path / "seal.key").public
    admitted = run("device", "admit", "box-1", "--curve", key, "--seal", seal, state=state)
    assert (admitted.returncode, admitted.stdout) == (0, "admitted box-1\n"), admitted.stderr
    assert run("device", "list", state=state).stdout == f"box-1  admitted  {key}\n"
    assert run("device", "revoke", "box-1", state=state).returncode == 0
    assert "revoked" in run("device", "list", state=state).stdout


def test_enrolling_tells_each_photograph_and_ends_with_two_if_one_was_refused(tmp_path: Path) -> None:
    photo = tmp_path / "wall.jpg"
    photo.write_bytes(b"not a picture")
    done = run("enrol", str(photo), "--name", "Ada", state=tmp_path / "centre")
    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines() == [
        f"refused Ada  {photo}  unreadable: not a JPEG or PNG picture, or a damaged one",
        "1 photographs, 1 refused; enrolled now: 0 people, 0 references",
    ]


def test_sealing_a_watchlist_for_a_stranger_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "watchlist.sealed"
    paper = tmp_path / "deployment.yaml"
    write_running(paper, "test", time.time_ns() // 1_000_000)
    wanted = ("--device", "box-9", "--deployment", str(paper), "--out", str(out))
    done = run("watchlist", "seal", *wanted, state=tmp_path / "centre")
    assert done.returncode == 2
    assert done.stderr == "sightline: device box-9 is not admitted; see: sightline device list\n"
    assert not out.exists()


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    public = next(c for c in load_registry().models.values() if c.task is Task.EMBED and c.url)
    config = tmp_path / "centre.yaml"
    config.write_text(f"models: {{embedder: {public.name}}}\n")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "SIGHTLINE_MIRROR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "central", "serve", "--state", str(tmp_path / "centre"), "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"sightline: model {public.name}")
    assert done.stderr.endswith(f"sightline models pull {public.name}\n")
