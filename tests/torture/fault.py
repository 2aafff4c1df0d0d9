"""The faults of fault.c: built once, put under a program by the dynamic linker."""

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("fault.c")
WAYS = ("before", "half", "after", "fail")
DEADLY = WAYS[:3]


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th write under a folder."""

    at: int
    """From 1."""
    how: str

    def environment(self, under: Path, told: Path) -> dict[str, str]:
        """Return what puts it under a program; `told` is a file that gets one line when it strikes."""
        return {
            "LD_PRELOAD": str(library()),
            "FAULT_UNDER": str(under),
            "FAULT_AT": str(self.at),
            "FAULT_HOW": self.how,
            "FAULT_TOLD": str(told),
        }


def compiler() -> str | None:
    """Return what can build the library here, None if nothing can."""
    return shutil.which("cc") or shutil.which("gcc") if os.name == "posix" else None


@functools.cache
def library() -> Path:
    """Build the library, unless this source was built before, and return its path."""
    found = compiler()
    if found is None:
        raise RuntimeError("no C compiler here: faults at writes cannot be made")
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"sightline-fault-{os.getuid()}-{digest}.so"
    if not built.exists():
        part = built.with_suffix(f".{os.getpid()}.part")
        subprocess.run(
            [found, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(part), str(SOURCE), "-ldl"], check=True
        )
        part.replace(built)
    return built
