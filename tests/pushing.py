"""A centre that pushes and a box that takes it: real keys, real files, real TUF on both sides."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from central.publishing.ceremony import newest_root, sign_root
from central.publishing.repository import Repository
from edge.state.carrier import Carrier, FolderCarrier
from edge.state.trust import Trust

CONFIG_A, CONFIG_B = b"a: 1\n", b"b: 2\n"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pusher:
    """A centre's repository below a folder."""

    folder: Path
    root_key: str = "root.pem"

    @property
    def public(self) -> Path:
        return self.folder / "push"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def repository(self) -> Repository:
        return Repository(self.public, self.keys)

    def sign_root(self, at: datetime | None = None) -> None:
        sign_root(self.public, self.folder / self.root_key, self.keys / "online.pem", None, now=at or now())

    def publish(self, files: Mapping[str, bytes], device: str = "box-1", ago: timedelta = timedelta()) -> str:
        return self.repository.publish(device, files, now=now() - ago)

    def first_root(self) -> bytes:
        return (self.public / "metadata" / "1.root.json").read_bytes()

    def newest_root(self) -> bytes:
        path = newest_root(self.public)
        assert path is not None
        return path.read_bytes()

    def copy(self, name: str) -> "Pusher":
        """Return another centre that is as this one was."""
        shutil.copytree(self.folder, self.folder.parent / name)
        return Pusher(self.folder.parent / name)

    def metadata(self, name: str) -> Path:
        return self.public / "metadata" / name

    def target(self, name: str, device: str = "box-1") -> Path:
        """Return the one file that is published under a name."""
        (found,) = (self.public / "targets" / f"box-{device}").rglob(f"*.{name}")
        return found

    def box(self, folder: Path, carrier: Carrier | None = None, device: str = "box-1") -> Trust:
        return Trust(folder, self.first_root(), device, carrier or FolderCarrier(self.public))


def centre(folder: Path) -> Pusher:
    """Make a centre that may publish."""
    pusher = Pusher(folder)
    pusher.sign_root()
    return pusher
