"""Kill a box's update at every change that it makes to the disk, one after the other; run by test_kills.py.

One process per point: it is ended without a word just before its n-th change (an audit hook sees each). Then
what `current` leads to must be one of the two states, whole, and a fresh start must come to the right end.
"""

import itertools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from edge.state.notes import Notes
from edge.wire.push import CONFIG, WATCHLIST
from tests.central.ports import eventually
from tests.edge.test_updating import Box
from tests.pushing import CONFIG_A, CONFIG_B, Pusher, centre

CHANGES = {
    "os.rename",
    "os.symlink",
    "os.link",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.truncate",
    "shutil.rmtree",
}
KILLED = 137
OLD, NEW = {CONFIG: CONFIG_A, WATCHLIST: b"old" * 1000}, {CONFIG: CONFIG_B, WATCHLIST: b"new" * 1000}


def whole(box: Box) -> bool:
    """Say whether what runs is one of the two states with all its files."""
    state = box.places.current
    if state is None:
        return False
    return {path.name: path.read_bytes() for path in state.iterdir()} in (OLD, NEW)


def apart(work: Callable[[], None]) -> int:
    """Do this in a process of its own and return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a child must not go on as its parent
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying(point: int, work: Callable[[], None]) -> None:
    """Do this, and be killed before the change of this number."""
    left = itertools.count(point, -1)

    def hook(event: str, details: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR)
        if (event in CHANGES or writes) and next(left) <= 0:
            os._exit(KILLED)

    sys.addaudithook(hook)
    work()


def brought_about(pusher: Pusher, home: Path, old: str, new: str, unfit: str) -> None:
    """Let a box come to rest: with the new state, or back with the old one where watch cannot run the new."""
    box = Box(pusher, home, unfit={new: unfit} if unfit else {})
    with box.running():
        box.updating.desired(new)
        if unfit:
            eventually(lambda: box.has_refused(new) and Notes(home).trial is None, "refused")
        else:
            eventually(lambda: box.is_steady_with(new), "steady")
    assert box.runs == (old if unfit else new)
    assert whole(box)


def main(folder: Path, unfit: str) -> None:
    """Kill at every point in turn and say at how many."""
    pusher, home, kept = centre(folder / "centre"), folder / "box", folder / "kept"
    old = pusher.publish(OLD)
    assert apart(lambda: brought_about(pusher, kept, "", old, "")) == 0
    new = pusher.publish(NEW)
    for point in itertools.count():
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(kept, home, symlinks=True)
        ended = apart(lambda: dying(point, lambda: brought_about(pusher, home, old, new, unfit)))  # noqa: B023
        if ended == 0:
            print(point)
            return
        assert ended == KILLED, (point, ended)
        assert whole(Box(pusher, home)), point
        assert apart(lambda: brought_about(pusher, home, old, new, unfit)) == 0, point


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
