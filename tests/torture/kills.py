"""Watch, link and centre, killed again and again: python -m tests.torture.kills --seed 1 --kills 1000.

A chapter is one centre and one box, some forty deaths of their three programs, and a quiet end in which what is
left must drain. Each program is started anew as often as it dies: by SIGKILL at a random time, or by its own
hand at its n-th write (fault.c). What is planned for a life depends on seed, chapter, program and life alone, so
`--seed S --chapter N` plans one chapter again. Results go to a file, a line for each chapter; one that is there
already is not run again.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from central.rig import Rig
from tests.torture import stage
from tests.torture.audit import Audit, audit
from tests.torture.fault import WAYS, Fault, compiler, library

CHAPTER = 40
ACTS = 2
"""How often in a chapter everything is dead at once, and is looked at."""
START_CPU_S = {"watch": 0.9, "film": 1.6, "link": 0.8, "centre": 1.5}
"""Processor time that a start takes here, about: a death in it is planned by that, whatever else the machine does."""
LONGEST_S = {"watch": 2.0, "film": 20.0, "link": 2.5, "centre": 4.0}
CEILING_S = 60.0
DRAIN_S = 90.0
FILM_EVERY = 4
"""Every so many chapters the real `edge watch` sees a film; in the others a writer stands in for it."""


@dataclass(frozen=True)
class Plan:
    """How a life is to end."""

    cpu_s: float | None
    """After so much processor time by SIGKILL: in its start. None: not in its start."""
    after_s: float
    """So many seconds after it has opened its database by SIGKILL."""
    fault: Fault | None


def plan(seed: str, role: str, life: int) -> Plan:
    """Return how this life ends: half of them at a time, half at a write."""
    rng = random.Random(f"{seed}/{role}/{life}")
    if rng.random() < 0.5 and compiler() is not None:
        fault = Fault(round(math.exp(rng.uniform(0.0, math.log(300)))), rng.choice(WAYS))
        return Plan(None, LONGEST_S[role], fault)
    if rng.random() < 0.2:  # before it has got anywhere: while it opens what the last death left
        return Plan(rng.uniform(0.0, START_CPU_S[role]), 0.0, None)
    return Plan(None, rng.uniform(0.0, LONGEST_S[role]), None)


@dataclass
class Chapter:
    """One centre and one box until so many deaths have been died."""

    rig: Rig
    seed: str
    film: bool
    deaths: Counter[str] = field(default_factory=Counter)
    """By program and cause."""
    calls: Counter[str] = field(default_factory=Counter)
    """Deaths at a write, by call and file."""
    ended: list[str] = field(default_factory=list)
    """Programs that ended by themselves, with their last words."""
    lives: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kills(self) -> int:
        """Return how many deaths were died."""
        return sum(self.deaths.values())

    def act(self, kills: int) -> Audit:
        """Let all three live and die until there were so many deaths; everything is dead when it returns."""
        over = threading.Event()
        until = self.kills + kills
        roles = ("film" if self.film else "watch", "link", "centre")
        threads = [threading.Thread(target=self._lives, args=(role, over, until)) for role in roles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return audit(self.rig.home, complete=not self.film)

    def drain(self) -> Audit:
        """Let link and centre live until nothing waits any more."""
        centre, link = self._start("centre", {}), self._start("link", {})
        until_s = time.monotonic() + DRAIN_S
        while time.monotonic() < until_s and not self._drained():
            time.sleep(0.2)
        for process in (link, centre):
            process.send_signal(signal.SIGTERM)
        for process in (link, centre):
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()
        return audit(self.rig.home, complete=not self.film, drained=True)

    def _lives(self, role: str, over: threading.Event, until: int) -> None:
        while not over.is_set():
            with self.lock:
                self.lives[role] += 1
                life = self.lives[role]
            cause = self._life(role, plan(self.seed, role, life), life, over)
            with self.lock:
                if cause:
                    self.deaths[f"{role} {cause}"] += 1
                if self.kills >= until:
                    over.set()

    def _life(self, role: str, planned: Plan, life: int, over: threading.Event) -> str:
        """Live one life and return the cause of death, empty if it ended by itself."""
        told = self.rig.home / f"told-{role}-{life}"
        under = self.rig.home / ("centre" if role == "centre" else "box")
        process = self._start(role, planned.fault.environment(under, told) if planned.fault else {}, life)
        until_s = time.monotonic() + CEILING_S
        started = False
        while process.poll() is None and time.monotonic() < until_s and not over.is_set():
            if not started and _is_due(process.pid, planned):
                started = True
                until_s = min(until_s, time.monotonic() + planned.after_s)
            time.sleep(0.02)
        killed = process.poll() is None
        if killed:
            process.kill()
        code = process.wait()
        struck = told.read_text().split() if told.exists() else []
        with self.lock:
            if struck:
                self.calls[f"{struck[0]} {struck[1]} {_file(struck[2])}"] += 1
            if code != -signal.SIGKILL:
                self.ended.append(f"{role} {life}: {code}: {' '.join(struck)}: {self._last_words(role)}")
                return ""
        return "by SIGKILL" if killed else "at a write"

    def _start(self, role: str, environment: dict[str, str], life: int = 0) -> "subprocess.Popen[bytes]":
        home = self.rig.home
        command = {
            "watch": ("tests.torture.writer", str(home), f"{self.seed}/{life}", "20"),
            "film": ("edge", "watch", "--config", str(self.rig.box_config)),
            "link": ("edge", "link", "--config", str(self.rig.box_config)),
            "centre": ("central", "serve", *self.rig._centre_options()),
        }[role]
        tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with (home / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                [*tied, sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                cwd=Path(__file__).resolve().parents[2],
            )

    def _last_words(self, role: str) -> str:
        lines = (self.rig.home / f"{role}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    def _drained(self) -> bool:
        box = _asked(self.rig.home / "box" / "outbox" / "outbox.db", "SELECT count(*) FROM waiting")
        return box == 0 and not _asked(
            self.rig.centre_state / "centre.db", "SELECT count(*) FROM inbox WHERE set_aside IS NULL"
        )


def run_chapter(base: Path, folder: Path, seed: str, number: int, kills: int) -> dict[str, object]:
    """Play one chapter on a copy of the stage and return what came of it."""
    began_s = time.monotonic()
    home = folder / f"chapter-{number}"
    shutil.rmtree(home, ignore_errors=True)
    chapter = Chapter(stage.copied(base, home), f"{seed}/{number}", film=number % FILM_EVERY == FILM_EVERY - 1)
    acts = min(ACTS, kills)
    audits = [chapter.act(kills // acts + (kills % acts if act == 0 else 0)) for act in range(acts)]
    audits.append(chapter.drain())
    last, wrong = audits[-1], [what for looked in audits for what in looked.wrong]
    if not wrong:
        shutil.rmtree(home, ignore_errors=True)
    return {
        "seed": seed,
        "chapter": number,
        "kills": chapter.kills,
        "deaths": dict(chapter.deaths),
        "calls": dict(chapter.calls),
        "ended": chapter.ended,
        "rows": last.box.ever,
        "events": len(last.centre.events),
        "repeats": last.centre.repeats,
        "alerts": last.centre.alerts,
        "promised": len(last.promised),
        "outcomes": dict(Counter(last.centre.events.values())),
        "waiting_at_deaths": [len(looked.box.waiting) for looked in audits[:-1]],
        "seconds": round(time.monotonic() - began_s, 1),
        "wrong": wrong,
    }


def _is_due(pid: int, planned: Plan) -> bool:
    """Tell whether a process has come as far as its end is counted from (proc(5): stat, fields 14 and 15; fd)."""
    try:
        if planned.cpu_s is not None:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") >= planned.cpu_s
        return any(
            str(open_.readlink()).endswith(("outbox.db", "centre.db")) for open_ in Path(f"/proc/{pid}/fd").iterdir()
        )
    except OSError:  # it has ended, or closed the file just now
        return False


def _file(path: str) -> str:
    name = Path(path).name
    return name if name.startswith(("outbox.db", "centre.db")) else Path(path).suffix or name


def _asked(path: Path, query: str) -> int:
    """Return a number from a database that others are using; -1 where it cannot be had now."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
            return int(db.execute(query).fetchone()[0])
    except sqlite3.Error:
        return -1


def done_before(results: Path, seed: str) -> list[dict[str, object]]:
    """Return the chapters of this seed that a results file holds."""
    lines = results.read_text().splitlines() if results.exists() else []
    return [line for line in map(json.loads, lines) if line["seed"] == seed]


def main() -> int:
    """Play the chapters that are not in the results yet, one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--chapter", type=int, action="append", help="only this one")
    parser.add_argument("--share", default="0/1", help="I/N: every N-th chapter from the I-th, for N runs at once")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "sightline-kills.jsonl")
    options = parser.parse_args()
    first, step = map(int, options.share.split("/"))
    numbers = options.chapter or range(first, math.ceil(options.kills / CHAPTER), step)
    known = {line["chapter"] for line in done_before(options.results, options.seed)}
    print(f"seed {options.seed}, results in {options.results}", flush=True)
    failed = 0
    if compiler() is not None:
        library()  # before there are threads that would all build it
    with tempfile.TemporaryDirectory(prefix="sightline-kills-") as folder:
        base = Path(folder) / "stage"
        stage.make(base)
        for number in numbers:
            if number in known and not options.chapter:
                continue
            result = run_chapter(base, Path(folder), options.seed, number, CHAPTER)
            with options.results.open("a") as file:
                file.write(json.dumps(result) + "\n")
            failed += bool(result["wrong"])
            print(json.dumps({name: result[name] for name in ("chapter", "kills", "seconds", "wrong")}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
