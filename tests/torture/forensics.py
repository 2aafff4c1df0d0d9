"""Strangers through the real watch; then every byte that is left anywhere is searched for them.

`python -m tests.torture.forensics --faces 10000` prints what was seen, searched and found. Watch runs as a process
of its own, over and over the film of people who do not exist, with a watchlist of none of them. Its state, home,
temporary and working folders, its log and where a core file would fall lie below one folder: all of it is searched.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import msgspec
import numpy as np
import yaml
from numpy.typing import NDArray

from edge.faces.registry import ModelStore, Task, load_registry
from edge.outbox import Outbox, OutboxSettings
from edge.watching import Status
from edge.wire import curve, sealing
from edge.wire.ids import new_id
from edge.wire.watchlist import SealedWatchlist, encode
from tests.deploying import deployment

CHECKOUT = Path(__file__).resolve().parents[2]
FILM = CHECKOUT / "models" / "sample" / "street.mp4"
WINDOW = 16
"""Bytes in a row that are looked for: four numbers of a template, or eight in float16; five pixels."""
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_START_S = 120.0
# As far as this machine allows them: that there is no core file must be the program's own doing.
_CORES_ALLOWED = ("sh", "-c", 'ulimit -c "$(ulimit -H -c)"; exec "$@"', "sh")


@dataclass
class Needles:
    """What watch computed, cut into windows of 16 bytes; windows that say little are left out."""

    templates: NDArray[np.float32]
    heads: NDArray[np.uint64]
    """The first eight bytes of every window, sorted."""
    windows: dict[bytes, str]
    """Every window, and of what it is."""

    @classmethod
    def of(cls, ledger: Path, dimension: int) -> "Needles":
        """Read what was noted."""
        templates = np.fromfile(ledger / "templates", "<f4").reshape(-1, dimension)
        rows = np.fromfile(ledger / "pixels", np.uint8).reshape(-1, 48)
        windows: dict[bytes, str] = {}
        for name, each, step in (
            ("template, float32", templates.astype("<f4"), 4),
            ("template, float16", templates.astype("<f2"), 2),
            ("pixels", rows, 1),
        ):
            content = each.tobytes()
            length = len(content) // max(1, len(each))
            for begin in range(0, len(content), length):
                for at in range(begin, begin + length - WINDOW + 1, step):
                    window = content[at : at + WINDOW]
                    if len(set(window)) >= 10:
                        windows[window] = name
        heads = np.unique(np.frombuffer(b"".join(window[:8] for window in windows), "<u8"))
        return cls(templates, heads, windows)

    def found_in(self, content: bytes) -> set[str]:
        """Return of what there are windows in these bytes, at any place."""
        found: set[str] = set()
        for shift in range(8):
            view = np.frombuffer(content, "<u8", count=(len(content) - shift) // 8, offset=shift)
            places = np.minimum(np.searchsorted(self.heads, view), len(self.heads) - 1)
            for index in np.flatnonzero(self.heads[places] == view):
                at = shift + 8 * int(index)
                found |= {self.windows[window] for window in [content[at : at + WINDOW]] if window in self.windows}
        return found


@dataclass
class Searched:
    """What was looked through, and what was found there."""

    files: int = 0
    bytes: int = 0
    cores: int = 0
    found: list[str] = field(default_factory=list)


def search(folder: Path, needles: Needles) -> Searched:
    """Look through every file below a folder."""
    searched = Searched()
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
        content = path.read_bytes()
        searched.files += 1
        searched.bytes += len(content)
        searched.cores += path.name.startswith("core")
        kinds = needles.found_in(content) if len(content) >= WINDOW else set()
        kinds |= {"a picture"} if _holds_picture(content) else set()
        searched.found += [f"{kind} in {path.relative_to(folder)}" for kind in sorted(kinds)]
    return searched


def _holds_picture(content: bytes) -> bool:
    """Say whether a picture can be opened anywhere in it; its first bytes alone may be chance."""
    for magic in _PICTURES:
        at = content.find(magic)
        while at >= 0:
            if cv2.imdecode(np.frombuffer(content[at : at + 1_000_000], np.uint8), cv2.IMREAD_COLOR) is not None:
                return True
            at = content.find(magic, at + 1)
    return False


class Strangers:
    """A box that sees the film, below one folder; the ledger of what it computed lies elsewhere."""

    def __init__(self, folder: Path, ledger: Path) -> None:
        self.folder, self.ledger = folder, ledger
        for name in ("box", "home", "tmp", "work"):
            (folder / name).mkdir(parents=True)
        ledger.mkdir(parents=True, exist_ok=True)
        self._centre = sealing.make_or_load(ledger / "centre.key")
        self._key = sealing.make_or_load(folder / "box" / "keys" / "seal.key")
        card = load_registry().wanted("", Task.EMBED, ModelStore.default())
        self.dimension, self._model = card.dimension, card.template_identity
        self.config = folder / "work" / "edge.yaml"
        self.config.write_text(yaml.safe_dump(self._tree()))
        self.outbox = folder / "box" / "outbox" / "outbox.db"

    def _tree(self) -> dict[str, object]:
        return {
            "device": {"id": "box-1", "state": str(self.folder / "box"), "tally_s": 1.0},
            "centre": {"sealing_key": self._centre.public},
            "camera": {"id": "gate", "source": str(FILM), "pace": "fast", "at_end": "loop"},
            "watchlist": {"file": str(self.folder / "box" / "watchlist.sealed")},
            "link": {"endpoints": ["tcp://127.0.0.1:1"], "centre_key": curve.make().public},
        }

    def look_for(self, templates: NDArray[np.float32]) -> None:
        """Seal a watchlist of these (n,d) unit vectors."""
        now_ms = time.time_ns() // 1_000_000
        window = deployment(now_ms - 60_000, now_ms + 24 * 3_600_000)
        sealed = SealedWatchlist(
            watchlist=new_id(now_ms),
            device="box-1",
            made_at_ms=now_ms,
            expires_at_ms=window.until_ms,
            model_sha256=self._model,
            dimension=self.dimension,
            entries=tuple(new_id(now_ms) for _ in templates),
            owners=np.arange(len(templates), dtype="<u4").tobytes(),
            templates=templates.astype("<f2").tobytes(),
            deployment=window,
        )
        path = self.folder / "box" / "watchlist.sealed"
        path.write_bytes(sealing.wrap(self._centre, self._key.public, encode(sealed)))
        path.chmod(0o600)

    def watch(self, enough: "Enough", end: signal.Signals) -> Status:
        """Watch until there is enough, and end it by this signal; core files are allowed when it starts."""
        environment = {
            **os.environ,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        }
        command = [sys.executable, "-m", "tests.torture.recorder", str(self.ledger), str(self.config)]
        with (self.folder / "work" / "log").open("ab") as log:
            process = subprocess.Popen(
                [*_CORES_ALLOWED, *command], stdout=log, stderr=log, env=environment, cwd=self.folder / "work"
            )
            try:
                return self._until(enough, process)
            finally:
                process.send_signal(end)
                process.wait(60)

    def _until(self, enough: "Enough", process: "subprocess.Popen[bytes]") -> Status:
        until_s = time.monotonic() + enough.within_s + _START_S
        status, began_ms = Status(), time.time_ns() // 1_000_000
        while time.monotonic() < until_s and process.poll() is None:
            time.sleep(0.5)
            if not self.outbox.exists():
                continue
            with Outbox.open(self.outbox, OutboxSettings()) as outbox:
                status = msgspec.json.decode(outbox.reports().get("watch", b"{}"), type=Status)
            if status.at_ms < began_ms:  # of the life before
                continue
            if status.faces >= enough.faces and status.events >= enough.events:
                return status
        log = (self.folder / "work" / "log").read_text(errors="replace")
        raise RuntimeError(
            f"watch did not see enough: {status.faces} faces, {status.events} candidates; {log[-500:]}"
        )


@dataclass(frozen=True)
class Enough:
    """How much watch must have seen."""

    faces: int = 0
    events: int = 0
    within_s: float = 60.0


def nobody(dimension: int, count: int = 20) -> NDArray[np.float32]:
    """Return (count,dimension) unit vectors of nobody."""
    drawn = np.random.default_rng(7).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def play(folder: Path, ledger: Path, faces: int) -> dict[str, object]:
    """Let strangers pass, then let watch die of a crash while some do, then let it match some; search each time."""
    box = Strangers(folder, ledger)
    box.look_for(nobody(box.dimension))
    seen = box.watch(Enough(faces=faces, within_s=faces / 5), signal.SIGTERM)
    crashed = box.watch(Enough(faces=min(faces, 100)), signal.SIGSEGV)
    needles = Needles.of(ledger, box.dimension)
    strangers = search(folder, needles)
    box.look_for(needles.templates[:: max(1, len(needles.templates) // 50)])
    matched = box.watch(Enough(events=1), signal.SIGKILL)
    candidates = search(folder, Needles.of(ledger, box.dimension))
    return {
        "faces": seen.faces + crashed.faces,
        "passes": seen.tracks + crashed.tracks,
        "embedded": len(needles.templates),
        "candidates_of_strangers": seen.candidates + crashed.candidates,
        "windows": len(needles.windows),
        "after_strangers": asdict(strangers),
        "candidates_of_matches": matched.events,
        "after_matches": asdict(candidates),
    }


def main(arguments: Iterable[str] | None = None) -> int:
    """Play it and print what came of it; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=10_000)
    options = parser.parse_args(list(arguments) if arguments is not None else None)
    with tempfile.TemporaryDirectory(prefix="sightline-forensics-") as home:
        result = play(Path(home) / "searched", Path(home) / "ledger", options.faces)
    print(json.dumps(result, indent=2))
    both: list[object] = [result["after_strangers"], result["after_matches"]]
    return int(any(isinstance(each, dict) and (each["found"] or each["cores"]) for each in both))


if __name__ == "__main__":
    sys.exit(main())
