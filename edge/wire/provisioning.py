"""The file that makes a box one of a centre's: written by `sightline device invite`, read by `edge provision`.

Its token is a secret CURVE key (docs/adr/0008): with it the box may dial, once, to say its own keys. So the file is
a secret until it is spent, and neither a repr nor an error of this room shows what is in it.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct

from edge.errors import OperatorError
from edge.wire import address, curve
from edge.wire.push import role_of
from edge.wire.sealing import seal

FORMAT = 1
MAX_BYTES = 64 * 1024
SPENT = b"# spent: this box is provisioned"
"""How a file begins whose token was overwritten."""
_HEADER = """\
# For one box, once. Whoever has this file may pass for that box until it has announced itself: hand it over as you
# would a key, put it on the box's boot partition, and do not keep it. `edge provision` erases the token.
"""


class Provisioning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a box is given: who it is, where its centre is and how to know it, and the token."""

    format: int = 0
    device: str = ""
    endpoints: tuple[str, ...] = ()
    """Where the centre listens, `tcp://host:port`, tried in turn."""
    centre_key: str = ""
    """The centre's public CURVE key, z85."""
    sealing_key: str = ""
    """The centre's public sealing key, 64 hex digits."""
    token: str = ""
    """A secret CURVE key, z85, that the centre knows the public half of."""
    root: str = ""
    """The root of trust in what is pushed (TUF), base64."""
    expires: str = ""
    """Until when the token is good, for people to read; the centre alone judges it."""

    def __repr__(self) -> str:
        return f"Provisioning(device={self.device!r})"

    @property
    def key(self) -> curve.CurveKey:
        """Return the token as what it is."""
        return curve.CurveKey(self.token.encode("ascii"))

    @property
    def root_bytes(self) -> bytes:
        """Return the root's metadata as it was signed."""
        return base64.b64decode(self.root, validate=True)


def write(provisioning: Provisioning) -> bytes:
    """Write the file."""
    return (_HEADER + yaml.safe_dump(msgspec.to_builtins(provisioning), sort_keys=False)).encode()


def read(path: Path) -> Provisioning:
    """Read the file, without judging what it says; see `problems`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"cannot read the provisioning {path}: {error.strerror}") from error
    # What the readers below would say of an error may quote the file, so their words and traces are left out.
    wrong = ""
    try:
        if len(content) > MAX_BYTES:
            wrong = f"more than {MAX_BYTES} bytes"
        else:
            return msgspec.convert(yaml.safe_load(content), Provisioning)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        wrong = f"not YAML at line {mark.line + 1}" if mark else "not YAML"
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        wrong = "not YAML"
    except msgspec.ValidationError as error:
        wrong = str(error)
    raise OperatorError(f"{path} is no provisioning file: {wrong}", hint="make another: sightline device invite")


def problems(provisioning: Provisioning) -> Iterator[str]:
    """Say each thing that is wrong with a file, without repeating it."""
    if provisioning.format != FORMAT:
        yield f"format: {provisioning.format}, this program knows {FORMAT}; install the centre's release on the box"
    if not _passes(role_of, provisioning.device):
        yield "device: not an id of 1 to 64 letters, digits, dots, underscores, colons, dashes"
    yield from _endpoint_problems(provisioning.endpoints)
    if not _passes(curve.checked_public, provisioning.centre_key):
        yield "centre_key: not a public CURVE key, 40 characters of z85"
    if not _passes(lambda key: seal(key, b""), provisioning.sealing_key):
        yield "sealing_key: not a public sealing key, 64 hex digits"
    if not _passes(curve.checked_public, provisioning.token):  # a secret one is written alike
        yield "token: not a CURVE key, 40 characters of z85"
    try:
        empty = not provisioning.root_bytes
    except ValueError:  # binascii's errors are such
        empty = True
    if empty:
        yield "root: not base64"


def _endpoint_problems(endpoints: Sequence[str]) -> Iterator[str]:
    if not 1 <= len(endpoints) <= 16:
        yield f"endpoints: {len(endpoints)}, between 1 and 16 are needed"
    for endpoint in endpoints:
        if not can_be_dialled(endpoint):
            yield f"endpoints: {endpoint[:80]!r} is no address to dial, which looks like tcp://host:5810"


def can_be_dialled(endpoint: str) -> bool:
    """Tell whether a box could dial this address; `*` and 0.0.0.0 are for those who listen."""
    everywhere = ("*", "tcp://0.0.0.0:", "tcp://[::]:")
    return _passes(lambda text: address.checked(text, what=""), endpoint) and not any(
        part in endpoint for part in everywhere
    )


def fingerprint(device: str, curve_public: str, seal_public: str) -> str:
    """Return what people compare to know that the keys announced are the box's: 128 bits, eight groups of four."""
    digest = hashlib.sha256(f"{device}\n{curve_public}\n{seal_public}\n".encode()).hexdigest()[:32]
    return " ".join(digest[start : start + 4] for start in range(0, 32, 4))


def _passes(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except OperatorError:
        return False
    return True
