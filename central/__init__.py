"""The matcher at the centre: candidates in, decisions by people out.

    intake -> store (commit, then acknowledge) -> alerting -> verify -> sightings -> console

switchboard.py, under intake.py, is the only importer of zmq; verify.py and sightings.py are pure; store/ is
the database, enrolment.py and watchlists.py fill it and make each box's watchlist of it, fleet.py admits boxes.
publishing/ keeps, signed, what each box should run; template.py and parts.py make it, rollout.py (pure) decides how
a roll-out goes on, pushing.py carries it, upkeep.py keeps it believable; drift.py says what a box does about it.
The centre knows the device only through `edge.faces` (the science) and `edge.wire` (the contract).
The verbs that start a whole system (demo, replay) do so as processes, by rig.py.
"""

import os

# ONNX Runtime's published wheels note every process that loads them under ~/.cache and send that to their maker
# (seen with 1.32). Said before anything can import it, hence code in a map.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
