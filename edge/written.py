"""What people write: a YAML file into one typed tree, unknown keys refused with the nearest known one."""

import difflib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml
from msgspec import Struct

from edge.errors import OperatorError

Tree = TypeVar("Tree", bound=Struct)


def read(path: Path, kind: type[Tree], what: str, *, known: type[Struct] | None = None) -> Tree:
    """Read `what` (the configuration, the settings, …) as a `kind`; an empty file is all defaults.

    Where the `kind` is a part of a larger tree, `known` is the whole: its other keys may be there and are left out.
    """
    tree = _parse(path, what)
    for where, key, others in _unknown_keys(tree, known or kind, ""):
        near = difflib.get_close_matches(key, others, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(others))}"
        raise OperatorError(f"{what} {path}: unknown key {where}{key}", hint=hint)
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise OperatorError(f"{what} {path}: {error}", hint="correct this value") from error


def keys(path: Path, what: str) -> set[str]:
    """Return the keys at the top of a file."""
    return {str(key) for key in _parse(path, what)}


def _parse(path: Path, what: str) -> dict[object, object]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OperatorError(f"cannot read {what} {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())[:200]
        raise OperatorError(f"{what} {path} is not YAML: {line}", hint="correct the file") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise OperatorError(f"{what} {path} holds no settings", hint="write one `key: value` a line")
    return tree


def _unknown_keys(tree: object, kind: type[Struct], where: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield where, key and the known keys for every key that a tree has and its type has not."""
    if not isinstance(tree, dict):
        return
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            yield where, str(key), list(fields)
        elif (inner := _struct(fields[key])) is not None:
            yield from _unknown_keys(value, inner, f"{where}{key}.")


def _struct(kind: object) -> type[Struct] | None:
    """Return the struct that a field's type is, also as `X | None`."""
    choices = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return next((one for one in choices if isinstance(one, type) and issubclass(one, Struct)), None)
