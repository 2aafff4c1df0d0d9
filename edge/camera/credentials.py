"""What to log in to a camera with, and where it is kept."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from edge import given
from edge.errors import OperatorError

# From `LoadCredential=NAME:FILE` in the service's unit: systemd puts a copy where this service alone can read it.
SYSTEMD = "credential:"
_MAX_CHARACTERS = 1024


@dataclass(frozen=True)
class Credentials:
    """A user name and a password; written out, the password is not."""

    username: str
    password: str = field(repr=False)


def read_credentials(where: str) -> Credentials:
    """Read `username:password` from a file, or from the systemd credential that `credential:NAME` names.

    A file that others may read or write is refused: whoever is on the machine would have the camera's password.
    """
    path = _place(where)
    try:
        with path.open(encoding="utf-8") as file:
            others = os.fstat(file.fileno()).st_mode & stat.S_IRWXO
            # Nothing of a file that is refused is read.
            line = "" if others else file.read(_MAX_CHARACTERS + 1).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        kind = error.strerror if isinstance(error, OSError) else "it is not text"
        raise OperatorError(f"credentials file {path} cannot be read: {kind}") from None
    if others:
        raise OperatorError(f"credentials file {path} is open to every user", hint=f"chmod 600 {path}")
    username, colon, password = line.partition(":")
    if not colon or not username or len(line) > _MAX_CHARACTERS or not line.isprintable():
        raise OperatorError(f"credentials file {path} is not usable", hint="write one line in it: username:password")
    return Credentials(username, password)


def _place(where: str) -> Path:
    if not where.startswith(SYSTEMD):
        return Path(where).expanduser()
    name = where.removeprefix(SYSTEMD)
    folder = given.folder()
    if folder is None:
        raise OperatorError(
            f"there is no {where}: this process was given no credentials by systemd",
            hint=f"put LoadCredential={name}:/etc/sightline/{name} into its unit; started by hand, name the file "
            "itself as camera.credentials_file",
        )
    if not name or name in {".", ".."} or "/" in name:
        raise OperatorError(f"{where} names no credential", hint=f"write {SYSTEMD}NAME, as in the unit")
    return folder / name
