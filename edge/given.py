"""What systemd gives a service: credentials, copies of files that this service alone can read (systemd.exec(5))."""

import os
from pathlib import Path

_FOLDER = "CREDENTIALS_DIRECTORY"


def folder() -> Path | None:
    """Return where they lie; None where this process was given none."""
    where = os.environ.get(_FOLDER)
    return Path(where) if where else None


def given(name: str) -> Path | None:
    """Return the place of a credential that was given; None where there is none of this name."""
    where = folder()
    return where / name if where is not None and (where / name).exists() else None
