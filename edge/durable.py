"""Files that are whole or not there, also after a power cut: written beside, synced, renamed, the folder synced."""

import os
from pathlib import Path

from edge.errors import WorldError

_ZEROS_BYTES = 1024 * 1024


def write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a file in place, making its folder; who reads meanwhile sees the old one or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        part.replace(path)
        settle(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WorldError(
            f"cannot write {path}: {error.strerror}", hint="make room, or give back its rights"
        ) from error


def destroy(path: Path) -> None:
    """Overwrite a file with zeros, on the disk, and delete it; one that is not there is gone already.

    What a flash card keeps of overwritten blocks by itself is out of reach from here.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
            left = os.fstat(file.fileno()).st_size
            while left:
                left -= file.write(bytes(min(left, _ZEROS_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        settle(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise WorldError(f"cannot destroy {path}: {error.strerror}", hint="delete it by hand") from error


def point(link: Path, to: str) -> None:
    """Make a symbolic link point elsewhere, at once: it is never missing."""
    part = link.with_name(f".{link.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        part.symlink_to(to)
        part.replace(link)
        settle(link.parent)
    except OSError as error:
        raise WorldError(
            f"cannot switch {link}: {error.strerror}", hint="make room, or give back its rights"
        ) from error


def remove(path: Path) -> None:
    """Take a file or a link away, if it is there, for good."""
    try:
        if path.is_symlink() or path.exists():
            path.unlink()
            settle(path.parent)
    except OSError as error:
        raise WorldError(f"cannot remove {path}: {error.strerror}", hint="give back its rights") from error


def settle(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
