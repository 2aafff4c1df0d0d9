"""Why, by whose authority, where and when people may be looked for: a deployment as an officer writes it down.

A file of YAML for now, `docs/deployment.yaml` is one. What it says travels inside the watchlist that is sealed for
it, so that a box keeps to it by itself.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from edge.errors import OperatorError
from edge.wire.messages import Id
from edge.wire.watchlist import Deployment
from edge.written import read

_TEXTS = ("purpose", "legal_basis", "authorised_by", "place")
_SAMPLE = "docs/deployment.yaml shows a whole one"


class _Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment as it stands in a file; what must be there is asked for by name below."""

    id: Id | None = None
    purpose: str = ""
    legal_basis: str = ""
    authorised_by: str = ""
    place: str = ""
    begin: Any = field(default=None, name="from")
    """A date and time: YAML makes one of what is written out in full, else it is text still."""
    until: Any = None
    cameras: tuple[Id, ...] = ()
    two_person: bool = False
    retention_h: float = 24.0


def load_deployment(path: Path, *, now_ms: int, max_h: float) -> Deployment:
    """Read a deployment; one that lacks what it must say, is over, or lasts longer than `max_h` is refused."""
    written = read(path, _Written, "the deployment")
    for name in _TEXTS:
        if not getattr(written, name).strip():
            raise _refused(path, name, "is missing")
        if len(getattr(written, name)) > 512:
            raise _refused(path, name, "is longer than 512 characters")
    if written.id is None:
        raise _refused(path, "id", "is missing")
    if not written.retention_h > 0:
        raise _refused(path, "retention_h", "is not more than 0")
    from_ms, until_ms = _moment(path, "from", written.begin), _moment(path, "until", written.until)
    if until_ms <= from_ms:
        raise _refused(path, "until", "is not after its `from`")
    if until_ms <= now_ms:
        raise _refused(path, "until", "is over")
    if until_ms - from_ms > max_h * 3_600_000:
        raise _refused(path, "until", f"is more than {max_h:g} h after its `from` (deployment_max_h)")
    return Deployment(
        id=written.id,
        **{name: getattr(written, name).strip() for name in _TEXTS},
        from_ms=from_ms,
        until_ms=until_ms,
        cameras=written.cameras,
        two_person=written.two_person,
        retention_h=written.retention_h,
    )


def write_running(path: Path, purpose: str, now_ms: int) -> None:
    """Write a deployment that runs from now for a day, for a system on one machine that tries itself out."""
    begin = datetime.fromtimestamp(now_ms // 1000, UTC)
    written = {
        "id": f"{purpose.split(maxsplit=1)[0].lower()}-{begin:%Y-%m-%d}",
        "purpose": purpose,
        "legal_basis": "none needed: nobody on a public place is looked for",
        "authorised_by": "whoever started it",
        "place": "this machine",
        # From a little before, so that a film may be dated by its first picture.
        "from": (begin - timedelta(hours=1)).isoformat(),
        "until": (begin + timedelta(days=1)).isoformat(),
    }
    path.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")


def window_in_words(deployment: Deployment) -> str:
    """Say when and where people may be looked for."""
    begin, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (deployment.from_ms, deployment.until_ms))
    where = f"cameras {', '.join(deployment.cameras)}" if deployment.cameras else "every camera of the box"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {where}"


def _moment(path: Path, name: str, value: object) -> int:
    """Return a time of the file in milliseconds since 1970."""
    if value is None or value == "":
        raise _refused(path, name, "is missing")
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _refused(path, name, "is no date and time; write 2026-11-24T09:00:00+01:00") from error
    if moment.tzinfo is None:
        raise _refused(path, name, "has no time zone; write 2026-11-24T09:00:00+01:00")
    return round(moment.timestamp() * 1000)


def _refused(path: Path, name: str, why: str) -> OperatorError:
    return OperatorError(f"the deployment {path}: its `{name}` {why}", hint=_SAMPLE)
