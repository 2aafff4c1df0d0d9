"""The states of a box on disk: each whole in a folder of its own, `current` a link to the one that runs.

`previous` is the one before, kept until the next switch: the way back. Switching is one rename of a link, so
that after a power cut the box runs the old state or the new one.

Link writes, watch reads as another user: a state is readable for the group of the folder, which is watch's
where the folder has the set-group-ID bit (systemd/tmpfiles.d). Nothing else below it is.
"""

import os
import shutil
from pathlib import Path

from edge import durable
from edge.errors import OperatorError, WorldError


class Places:
    """Where states lie below a folder."""

    def __init__(self, folder: Path) -> None:
        self._states = folder / "states"
        self._links = folder

    @property
    def folder(self) -> Path:
        """Return the folder of it all."""
        return self._links

    @property
    def current(self) -> Path | None:
        """Return the folder of the state that runs."""
        return self._at("current")

    @property
    def previous(self) -> Path | None:
        """Return the folder of the state before."""
        return self._at("previous")

    def stage(self) -> Path:
        """Return an empty folder beside the states, for one that is being brought."""
        stage = self._states / ".coming"
        try:
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise WorldError(f"cannot make {stage}: {error.strerror}", hint="make room on the box's disk") from error
        return stage

    def switch(self, word: str) -> Path:
        """Make what is staged the state of this name, and run it from now on."""
        before = self.current
        place = self._states / word
        if place != before:
            self._settle(place)
        if before is None:
            durable.remove(self._links / "previous")
        elif before != place:
            durable.point(self._links / "previous", f"states/{before.name}")
        durable.point(self._links / "current", f"states/{word}")
        self._forget()
        return place

    def roll_back(self, to: str) -> None:
        """Run the state of this name again, or none where it is empty, and delete the one that ran."""
        if to and not (self._states / to).is_dir():
            raise OperatorError(f"the state {to} is not here to go back to")
        if to:
            durable.point(self._links / "current", f"states/{to}")
        else:
            durable.remove(self._links / "current")
        durable.remove(self._links / "previous")
        self._forget()

    def _at(self, name: str) -> Path | None:
        link = self._links / name
        return self._states / link.readlink().name if link.is_symlink() and link.exists() else None

    def _settle(self, place: Path) -> None:
        """Give the staged folder its name, with everything in it on the disk first."""
        stage = self._states / ".coming"
        try:
            for folder, _, names in os.walk(stage):
                for name in names:
                    (Path(folder) / name).chmod(0o640)
                    durable.settle(Path(folder) / name)
                # Last, and never with the set-group-ID bit: the unit forbids link to set it.
                Path(folder).chmod(0o750)
                durable.settle(Path(folder))
            shutil.rmtree(place, ignore_errors=True)
            stage.rename(place)
            durable.settle(self._states)
        except OSError as error:
            raise WorldError(f"cannot keep the state {place.name}: {error.strerror}") from error

    def _forget(self) -> None:
        """Delete states that neither run nor are the way back: an old watchlist is nobody's business."""
        if not self._states.is_dir():
            return
        wanted = {place.name for place in (self.current, self.previous) if place is not None}
        for place in self._states.iterdir():
            if place.name not in wanted:
                shutil.rmtree(place, ignore_errors=True)
