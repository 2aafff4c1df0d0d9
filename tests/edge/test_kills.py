import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("unfit", ["", "the watchlist does not open"])
def test_a_kill_at_any_change_of_the_disk_leaves_the_old_state_or_the_new_one_whole(
    tmp_path: Path, unfit: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.edge.kills", str(tmp_path), unfit],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    points = int(done.stdout.strip().splitlines()[-1])
    assert points > 40, "the switch, its notes and what was believed are all changes of the disk"
