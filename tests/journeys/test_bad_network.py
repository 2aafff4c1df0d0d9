"""A box and its centre across a bad network: nothing is lost, nothing is there twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MANY, SIZE = 100, 4_000

WEATHERS = {
    "fair": {},
    "5 % lost": {"loss": 0.05},
    "20 % lost": {"loss": 0.2},
    "500 ms late, give or take, overtaking": {"delay_s": 0.4, "jitter_s": 0.2},
    "a tenth of the packets twice, and overtaking": {"twice": 0.1, "jitter_s": 0.02},
    "64 kbit/s": {"bits_s": 64_000},
    "away for 8 of 20 s": {"bits_s": 200_000, "away_s": 8.0, "every_s": 20.0},
    "flapping: away for 1 of 2 s": {"bits_s": 400_000, "away_s": 1.0, "every_s": 2.0},
}


def _why_not() -> str:
    """Say why this machine cannot have the namespaces; empty where it can."""
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip")):
        return "needs unshare, nsenter (util-linux) and ip (iproute2)"
    if not Path("/dev/net/tun").exists():
        return "this kernel has no TUN devices"
    script = "ip tuntap add dev probe0 mode tun"
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"no network namespaces here: {tried.stderr.strip()}"


@pytest.mark.parametrize("name", WEATHERS)
def test_whatever_the_network_does_all_arrives_and_nothing_twice(name: str, tmp_path: Path) -> None:
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.journeys.bad_wire", json.dumps(WEATHERS[name]), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"{name}: drained in {told['drained_s']:.1f} s over {told['connects']} connections; "
        f"{told['bytes_sent'] - MANY * SIZE} bytes said beyond the candidates, {told['wire_up']} on the wire, "
        f"{told['repeats']} repeats recognised"
    )
    assert told["stored"] == [f"e{number:03}" for number in range(MANY)]
    assert told["waiting"] == 0
    assert told["acked"] == MANY
