"""One configuration for many boxes: a template, and what the centre fills in for each of them.

    device.id, device.state     which box, and the folder that its services own
    centre.sealing_key          this centre's
    link.centre_key             this centre's
    link.endpoints              where it listens, where that is an address that others can dial
    watchlist.file              where a watchlist is expected that somebody carried there

What the template leaves out of these is filled in; one that is there and wrong is refused by its name. What
differs from box to box stands below `boxes:`, by device id, and is laid over the rest. What a box's own
program understands beyond that is the box's to check: it refuses what it does not know, and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge.errors import OperatorError
from edge.wire.push import CONFIG, max_bytes

STATE = "/var/lib/sightline"
BOXES = "boxes"
Tree = dict[str, Any]


@dataclass(frozen=True)
class Own:
    """What this centre is to its boxes."""

    sealing_key: str
    centre_key: str
    endpoint: str
    """As the settings say where to listen."""


def read_template(path: Path) -> bytes:
    """Read a template, refusing what is no YAML with settings."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read the configuration {path}: {error.strerror}") from error
    _parse(content, str(path))
    return content


def fill(template: bytes, device: str, own: Own) -> bytes:
    """Return the configuration of one box, as YAML."""
    tree = _parse(template, "of the template")
    boxes = _section(tree, BOXES)
    tree.pop(BOXES, None)
    over = boxes.get(device)
    if over is not None:
        if not isinstance(over, dict):
            raise OperatorError(f"the configuration's {BOXES}.{device} holds no settings")
        tree = _laid_over(tree, over)
    section = _section(tree, "device")
    section.setdefault("state", STATE)
    _fixed(section, "device", "id", device)
    _fixed(_section(tree, "centre"), "centre", "sealing_key", own.sealing_key)
    link = _section(tree, "link")
    _fixed(link, "link", "centre_key", own.centre_key)
    if not link.get("endpoints"):
        link["endpoints"] = [_dialled(own.endpoint)]
    _section(tree, "watchlist").setdefault("file", f"{STATE}/watch/watchlist.sealed")
    if not _section(tree, "camera"):
        raise OperatorError(
            f"the configuration names no camera for {device}", hint=f"camera, or {BOXES}.{device}.camera"
        )
    filled = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
    if len(filled) > max_bytes(CONFIG):
        raise OperatorError(f"the configuration has {len(filled)} bytes, a box takes at most {max_bytes(CONFIG)}")
    return filled


def strangers(template: bytes, devices: Mapping[str, object]) -> list[str]:
    """Return the ids below `boxes:` that are no box of this centre: slips of the pen."""
    return sorted(set(map(str, _section(_parse(template, "of the template"), BOXES))) - set(devices))


def embedder_of(config: bytes) -> str:
    """Return the name of the embedder that a configuration asks for; empty: the default where it runs."""
    return str(_section(_parse(config, "of a box"), "models").get("embedder") or "")


def _parse(content: bytes, what: str) -> Tree:
    try:
        tree = yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # A problem and its place; the text around it may hold a password.
        problem = getattr(error, "problem", None) or "not UTF-8"
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise OperatorError(
            f"the configuration {what} is not YAML: {problem}{where}", hint="correct the file"
        ) from None
    if not isinstance(tree, dict):
        raise OperatorError(f"the configuration {what} holds no settings", hint="write one `key: value` a line")
    return tree


def _section(tree: Tree, name: str) -> Tree:
    """Return a section, made where it is missing."""
    section = tree.setdefault(name, {})
    if section is None:
        section = tree[name] = {}
    if not isinstance(section, dict):
        raise OperatorError(f"the configuration's {name} holds no settings", hint="write one `key: value` a line")
    return section


def _fixed(section: Tree, name: str, key: str, value: str) -> None:
    """Fill in what only one value is right for."""
    found = section.setdefault(key, value)
    if found != value:
        raise OperatorError(
            f"the configuration's {name}.{key} is {str(found)[:64]!r}, for this box it is {value!r}",
            hint="leave it out: it is filled in for each box",
        )


def _dialled(endpoint: str) -> str:
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    if host in {"*", "0.0.0.0", "[::]"} or endpoint.endswith(":*"):  # noqa: S104 - it is refused
        raise OperatorError(
            "the configuration's link.endpoints is missing, and this centre listens on any address",
            hint='name the one that boxes dial: link: {endpoints: ["tcp://HOST:5810"]}',
        )
    return endpoint


def _laid_over(below: Tree, above: Tree) -> Tree:
    both = dict(below)
    for key, value in above.items():
        inner = both.get(key)
        both[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both
