"""The centre's state directory: its keys, its database, and the rooms that read and write it."""

from dataclasses import dataclass
from pathlib import Path

from central.store.alerts import Alerts
from central.store.database import Database, open_database
from central.store.devices import Devices
from central.store.entries import Entries
from central.store.inbox import Inbox
from central.store.invitations import Invitations
from central.store.rollouts import Rollouts
from edge.errors import WorldError


@dataclass(frozen=True)
class StateDir:
    """Where things lie under `--state DIR`."""

    folder: Path

    @property
    def database(self) -> Path:
        """Return the database's path."""
        return self.folder / "centre.db"

    @property
    def curve_key(self) -> Path:
        """Return the path of the secret key of the link."""
        return self.folder / "keys" / "curve.key"

    @property
    def seal_key(self) -> Path:
        """Return the path of the secret key that opens candidates and signs watchlists."""
        return self.folder / "keys" / "seal.key"

    @property
    def storage_key(self) -> Path:
        """Return the path of the key of the encrypted columns."""
        return self.folder / "keys" / "storage.key"

    @property
    def push(self) -> Path:
        """Return the folder of what boxes should run: the repository."""
        return self.folder / "push"

    @property
    def push_keys(self) -> Path:
        """Return the folder of the on-line keys that sign it."""
        return self.folder / "keys" / "push"

    @property
    def push_payloads(self) -> Path:
        """Return the folder of what roll-outs that are under way will publish."""
        return self.folder / "rollouts"

    @property
    def console_token(self) -> Path:
        """Return the path of the console's token."""
        return self.folder / "console.token"

    @property
    def lock(self) -> Path:
        """Return the file that the serving process holds."""
        return self.folder / "serve.lock"

    def prepare(self) -> None:
        """Make the directory, closed to others."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise WorldError(
                f"cannot use {self.folder} as the state directory: {error.strerror}",
                hint="choose another with --state",
            ) from error


@dataclass(frozen=True)
class Store:
    """Everything the centre remembers."""

    database: Database
    inbox: Inbox
    alerts: Alerts
    entries: Entries
    devices: Devices
    invitations: Invitations
    rollouts: Rollouts

    def close(self) -> None:
        """Release the database."""
        self.database.close()


def open_store(state: StateDir) -> Store:
    """Open the store of a state directory, making what is missing."""
    state.prepare()
    database = open_database(f"sqlite:///{state.database.resolve()}", state.storage_key)
    inbox = Inbox(database)
    alerts, entries = Alerts(database, inbox), Entries(database)
    invitations, rollouts = Invitations(database), Rollouts(database)
    return Store(database, inbox, alerts, entries, Devices(database), invitations, rollouts)
