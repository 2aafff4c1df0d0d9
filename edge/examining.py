"""Tries a staged state in a process of its own: a model that brings its runtime down must not bring link down."""

import subprocess
import sys
import threading
import time
from pathlib import Path

from edge.config import Base
from edge.errors import IntegrityError, WorldError
from edge.update import Check, check_config, check_models

LIMIT_S = 600.0
_POLL_S = 0.2


def examine(folder: Path, device: str, centre: str, state: str) -> None:
    """Check what can be checked without watch's key and camera; raises what is wrong."""
    check_config(device, centre, state)(folder)
    check_models(folder)


def apart(base: Base, stop: threading.Event) -> Check:
    """Return `examine` as a check that runs in a process of its own."""

    def check(folder: Path) -> None:
        words = ["--device", base.device.id, "--centre", base.centre.sealing_key, "--state", base.device.state]
        process = subprocess.Popen(  # noqa: S603 - this program, arguments as a list
            [sys.executable, "-m", "edge", "examine", *words, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            complained = _wait(process, stop)
        finally:
            process.kill()
            process.communicate()
        if process.returncode:
            lines = complained.decode(errors="replace").strip().splitlines()
            spoken = [line for line in lines if line.startswith("edge examine: ")]
            why = (
                spoken[-1].removeprefix("edge examine: ") if spoken else f"its trial ended with {process.returncode}"
            )
            kind = WorldError if process.returncode == WorldError.exit_code else IntegrityError
            raise kind(why)

    return check


def _wait(process: "subprocess.Popen[bytes]", stop: threading.Event) -> bytes:
    until_s = time.monotonic() + LIMIT_S  # noqa: TID251 - a door reads the clock
    while not stop.is_set():
        try:
            return process.communicate(timeout=_POLL_S)[1]
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until_s:  # noqa: TID251 - a door reads the clock
                raise IntegrityError(f"the pushed state could not be tried within {LIMIT_S:.0f} s") from None
    raise WorldError("link is ending: the pushed state is tried after its next start")
