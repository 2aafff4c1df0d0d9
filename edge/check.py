"""`edge check`: every part of a configuration tried, one line each, with the remedy where one fails.

What a technician on a ladder runs before coming down. It changes nothing but to make keys that are missing.
"""

import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from edge import fitness, selftest
from edge.camera.address import holds_password
from edge.camera.feed import Feed
from edge.config import Config, load
from edge.errors import OperatorError, WorldError
from edge.faces.detect import open_detector
from edge.faces.embed import open_embedder
from edge.faces.golden import prove
from edge.faces.pixels import Pixels
from edge.faces.registry import ModelCard, ModelStore, Task, load_registry
from edge.faces.runtime import RuntimeSettings, open_session
from edge.outbox import Outbox
from edge.running import Chosen, Running, running
from edge.service import Home, public_keys
from edge.watchlist import open_watchlist
from edge.wire import sealing
from edge.zone import Zone

CAMERA_WAIT_S = 10.0
DIAL_WAIT_S = 5.0


def check(path: Path, say: Callable[[str], None], *, as_json: bool = False) -> int:
    """Try everything and say how it went; 0 where all is well, else the exit code of the first trouble.

    With `as_json` everything is said at the end, as one `SelfTest`.
    """
    base = load(path)
    state = running(base, Home(Path(base.device.state)).pushed)
    config = state.config
    source = f"pushed state {state.word}" if state.word else str(path)
    found = f"{source}: device {config.device.id}, camera {config.camera.id}"
    trials: tuple[tuple[str, Callable[[Config], str]], ...] = (
        ("configuration", lambda _: found),
        ("keys", _keys),
        ("outbox", _outbox),
        ("disk", lambda config: fitness.disk(Home(Path(config.device.state)).outbox.parent)),
        ("clock", _clock),
        ("pushed", lambda config: fitness.pushed(Home(Path(config.device.state)).pushed, config.device.id)),
        *((f"model {task.value}", partial(_model, chosen=state.model(task), task=task)) for task in Task),
        *((f"form {card.name}", partial(_form, card=card)) for card in _other_forms(state)),
        ("watchlist", partial(_watchlist, embedder=state.model(Task.EMBED))),
        ("camera", _camera),
        ("centre", _centre),
    )
    parts = []
    for name, trial in trials:
        part = selftest.attempt(name, partial(trial, config))
        parts.append(part)
        if not as_json:
            say(selftest.told(part))
    if as_json:
        test = selftest.SelfTest(at_ms=time.time_ns() // 1_000_000, parts=tuple(parts))
        say(msgspec.json.encode(test).decode())
    return next((part.exit_code for part in parts if not part.ok), 0)


def _clock(config: Config) -> str:
    home, now_ms = Home(Path(config.device.state)), time.time_ns() // 1_000_000
    built_ms = round(Path(__file__).stat().st_mtime * 1000)
    return fitness.clock(now_ms, built_ms, (home.sealing_key, home.curve_key, home.outbox))


def _keys(config: Config) -> str:
    keys = public_keys(config)
    return f"link {keys['curve']}, sealing {keys['seal'][:16]}…"


def _outbox(config: Config) -> str:
    path = Home(Path(config.device.state)).outbox
    with Outbox.open(path, config.outbox) as outbox:
        return f"{path}: {outbox.count()} waiting, {outbox.shed()} ever dropped"


def _model(config: Config, chosen: Chosen, task: Task) -> str:
    """Load what is configured, which tries it with its golden pictures where it has any."""
    card, store, runtime = chosen.card, chosen.store, config.models.runtime
    if task is Task.DETECT:
        open_detector(card, store, runtime)
    else:
        open_embedder(card, store, runtime)
    return f"{card.name} ({card.file}) verified and {_tried(card, store, runtime)}, provider {runtime.provider}"


def _other_forms(state: Running) -> list[ModelCard]:
    """Return the models that came with the program and are not what is configured."""
    chosen = {state.model(task).card.name for task in Task}
    return [card for card in load_registry().models.values() if card.golden and card.name not in chosen]


def _form(config: Config, card: ModelCard) -> str:
    """Load a model on the processor: other providers may not know its form."""
    runtime = RuntimeSettings(threads=config.models.runtime.threads)
    return f"{card.file} verified and {_tried(card, ModelStore.default(), runtime)}, not in use"


def _tried(card: ModelCard, store: ModelStore, runtime: RuntimeSettings) -> str:
    session = open_session(card, store, runtime)
    return f"right within {100 * prove(session, card, store):.2f} %" if card.golden else "loaded, no golden file"


def _watchlist(config: Config, embedder: Chosen) -> str:
    watchlist = open_watchlist(
        config.watchlist,
        sealing.make_or_load(Home(Path(config.device.state)).sealing_key),
        author=config.centre.sealing_key,
        device=config.device.id,
        model_sha256=embedder.card.template_identity,
        now_ms=time.time_ns() // 1_000_000,
    )
    now_ms = time.time_ns() // 1_000_000
    window = watchlist.permit.deployment
    if window.cameras and config.camera.id not in window.cameras:
        raise OperatorError(
            f"deployment {window.id} does not cover camera {config.camera.id}: nobody is matched",
            hint="name the camera in the deployment and seal the watchlist again, or correct camera.id",
        )
    left_h, wait_h = (watchlist.permit.expires_at_ms - now_ms) / 3_600_000, (window.from_ms - now_ms) / 3_600_000
    begins = f"begins in {wait_h:.1f} h, " if wait_h > 0 else ""
    return f"{len(watchlist.gallery)} references, deployment {window.id} {begins}expires in {left_h:.1f} h"


def _camera(config: Config) -> str:
    with Feed(config.camera) as feed:
        frame = feed.next(CAMERA_WAIT_S)
        if frame is None:
            state = feed.state()
            reason = state.reason
            raise WorldError(
                f"camera {config.camera.id} gave no picture within {CAMERA_WAIT_S:.0f} s"
                f" ({reason.value if reason else 'ended'})",
                hint=state.problem or "check its power, its network, its address and its credentials",
            )
    pixels = frame.pixels
    sees = f"{config.camera.id} sees: {pixels.width}x{pixels.height}, time by the {frame.clock_source.value} clock"
    if holds_password(config.camera.source):
        sees += " (its password stands in the configuration: move it into a file, camera.credentials_file)"
    return f"{sees}, {_zone(config, pixels)}"


def _zone(config: Config, pixels: Pixels) -> str:
    """Say how much of the picture is looked at, in the terms in which a technician sees it."""
    if config.camera.zone is None:
        return "no zone: faces are looked for in the whole picture"
    zone = Zone(config.camera.zone)
    area = zone.searched(pixels)
    return (
        f"zone of {100 * zone.share:.0f} % of the picture; searched with its margin: "
        f"{area.width}x{area.height} at {area.left},{area.top}"
    )


def _centre(config: Config) -> str:
    reached = []
    for endpoint in config.link.endpoints:
        place = urlsplit(endpoint)
        try:
            socket.create_connection((place.hostname, place.port), timeout=DIAL_WAIT_S).close()
        except OSError as error:
            raise WorldError(
                f"the centre at {endpoint} does not answer: {error.strerror or error}",
                hint="start it, or correct link.endpoints; candidates wait in the outbox meanwhile",
            ) from error
        reached.append(endpoint)
    return f"{', '.join(reached)} listens (whether it admits this box is seen by running: edge link)"
