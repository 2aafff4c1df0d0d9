"""The two ends of a bad network, each in its namespace: a real link over a real outbox, a real intake and store."""

import json
import sys
import threading
import time
from pathlib import Path

import msgspec

from central.fleet import admit
from central.intake import Intake, IntakeSettings
from central.store.state import StateDir, open_store
from edge.link import Link, LinkSettings
from edge.outbox import Outbox, OutboxSettings, Outgoing, WatchReport
from edge.wire import curve, sealing
from edge.wire.conversation import Pace
from edge.wire.messages import Event

PACE = Pace(heartbeat_s=1.0, silence_s=6.0, answer_s=8.0, resend_s=4.0, backoff_first_s=0.2, backoff_cap_s=1.0)
MANY, SIZE = 100, 4_000
GIVE_UP_S = 90.0


def centre(folder: Path) -> None:
    state = StateDir(folder / "centre")
    store = open_store(state)
    seal = sealing.make_or_load(folder / "seal.key").public
    admit(store, "box-1", curve.make_or_load(folder / "box.key").public, seal, 1)
    key = curve.make_or_load(state.curve_key)
    settings = IntakeSettings(endpoint="tcp://10.77.0.1:5810", pace=PACE)
    intake = Intake(settings, key=key, inbox=store.inbox, admissions=store.devices, heartbeats=store.devices)
    stop = threading.Event()
    with intake:
        thread = threading.Thread(target=intake.run, args=(stop,))
        thread.start()
        say(key.public)
        sys.stdin.readline()
        stop.set()
        thread.join()
    with store.database.read() as connection:
        candidates = store.database.tables.candidates
        ids = sorted(row.event_id for row in connection.execute(candidates.select()))
        repeats = store.database.counted(connection, "duplicates")
    store.close()
    say(json.dumps({"stored": ids, "repeats": repeats}))


def box(folder: Path, centre_key: str) -> None:
    settings = LinkSettings(endpoints=("tcp://10.77.0.1:5810",), centre_key=centre_key, pace=PACE)
    with Outbox.open(folder / "outbox.db", OutboxSettings()) as outbox:
        for number in range(MANY):
            outbox.put(Outgoing.of(Event(f"e{number:03}", 5), bytes([number]) * SIZE))
        outbox.report("watch", msgspec.json.encode(WatchReport(ended=True)))
        link = Link(settings, device="box-1", software="1", key=curve.make_or_load(folder / "box.key"), outbox=outbox)
        stop = threading.Event()
        patience = threading.Timer(GIVE_UP_S, stop.set)
        patience.start()
        began_s = time.monotonic()
        report = link.run(stop, drain=True)
        patience.cancel()
    drained_s = time.monotonic() - began_s
    say(json.dumps({"drained_s": drained_s, **msgspec.structs.asdict(report)}))


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    say("here")
    sys.stdin.readline()
    role, folder, *rest = sys.argv[1:]
    centre(Path(folder)) if role == "centre" else box(Path(folder), *rest)
