"""What a log line must never carry, taken out of it: the second line of defence.

The first is that nobody puts it there: no event of ours has a face, a template, a key or a password in a field.
This stands behind that, for the library that quotes an address with its password, for the exception that carries
a value, for the line that somebody adds in a hurry. What is taken out leaves its length, which is often enough to
see what went wrong. It errs on the side of taking too much; what it must let through is the box's own vocabulary:
paths, addresses, ids, the public key of a box that asks to be admitted (under its own name, `public_key`).
"""

import re
from collections.abc import Mapping, MutableMapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

PUBLIC = frozenset({"public_key"})
"""Names of fields that hold what anybody may know."""
SECRET = frozenset(
    {"password", "passphrase", "token", "secret", "authorization", "credentials", "template", "templates", "payload"}
)
"""Names of fields that are never shown, whatever is in them."""
MOST_NUMBERS = 16
"""A longer row of numbers is a template or a picture, no reading."""
MOST_DEPTH = 4

# The password may hold an @ of its own: up to the last one before the path begins.
_LOGIN = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/'\"]+@")
_QUERY = re.compile(
    r"(?i)\b(?P<name>token|password|passwd|pwd|secret|authorization|api_?key)(?P<is>[=:]\s*)[^\s&'\",;]+"
)
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32,}(?![0-9A-Za-z])")
# Base64 in both alphabets, and Z85 (ZeroMQ's RFC 32), in which keys are written.
_DENSE = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#_]{32,}")
_ESCAPED = re.compile(r"b(?P<quote>['\"]).*?(?:\\x[0-9a-f]{2}).*?(?P=quote)", re.DOTALL)
_LEAST_SHARE = 0.12


def discreet(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out of a log event what it must not carry; a processor of structlog."""
    for name in list(event):
        event[name] = _field(name, event[name], 0)
    return event


def text(said: str) -> str:
    """Return a text without logins in addresses, and with whatever looks like a key or a template by its length."""
    said = _LOGIN.sub(r"\g<scheme>…@", said)
    said = _QUERY.sub(r"\g<name>\g<is>…", said)
    said = _ESCAPED.sub(_by_length, said)
    said = _HEX.sub(_by_length, said)
    return _DENSE.sub(lambda found: _by_length(found) if _is_dense(found[0]) else found[0], said)


def _field(name: str, value: object, depth: int) -> object:
    if name in PUBLIC and isinstance(value, str):
        return value
    if name in SECRET and value:
        return "…"
    return _value(value, depth)


def _value(value: object, depth: int) -> object:  # noqa: PLR0911 - a table, one kind a line
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return _value(value.value, depth)
        case str():
            return text(value)
        case PurePath():
            return text(str(value))
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case np.ndarray():
            return f"<array {'x'.join(map(str, value.shape))} {value.dtype}>"
        case np.generic():
            return _value(value.item(), depth)
        case BaseException():
            return f"{type(value).__name__}: {text(str(value))}"
        case type():
            return value.__name__
        case _:
            return _many(value, depth)


def _many(value: object, depth: int) -> object:
    """Return what is in a collection; of anything else its kind alone, since its repr may tell all it holds."""
    if depth < MOST_DEPTH:
        if isinstance(value, Mapping):
            return {str(name): _field(str(name), inner, depth + 1) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            if len(value) > MOST_NUMBERS:
                return f"<{type(value).__name__} of {len(value)}>"
            return [_value(inner, depth + 1) for inner in value]
    return f"<{type(value).__name__}>"


def _is_dense(run: str) -> bool:
    """Return whether a run of characters is as mixed as random ones are; words, paths and addresses are not."""
    least = _LEAST_SHARE * len(run)
    upper, lower = sum(map(str.isupper, run)), sum(map(str.islower, run))
    return upper >= least and lower >= least and any(map(str.isdigit, run))


def _by_length(found: re.Match[str]) -> str:
    return f"<{len(found[0])} characters>"
