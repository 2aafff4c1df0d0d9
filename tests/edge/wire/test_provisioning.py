"""The file that makes a box a centre's: read with care, and never quoted."""

import base64
from pathlib import Path

import msgspec
import pytest

from edge.errors import OperatorError
from edge.wire import curve
from edge.wire.provisioning import MAX_BYTES, Provisioning, fingerprint, problems, read, write

TOKEN = curve.make()
GOOD = Provisioning(
    format=1,
    device="gate-1",
    endpoints=("tcp://192.0.2.1:5810",),
    centre_key=curve.make().public,
    sealing_key="ab" * 32,
    token=TOKEN.secret.decode(),
    root=base64.b64encode(b"{}").decode(),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    for _ in range(20):  # z85 has every character that YAML makes something of
        given = msgspec.structs.replace(GOOD, token=curve.make().secret.decode(), centre_key=curve.make().public)
        file.write_bytes(write(given))
        assert read(file) == given
    assert list(problems(given)) == []
    assert GOOD.key.public == TOKEN.public


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, ["format"]),
        ({"device": ""}, ["device"]),
        ({"device": "../x"}, ["device"]),
        ({"endpoints": ()}, ["endpoints"]),
        ({"endpoints": ("tcp://0.0.0.0:5810", "nowhere")}, ["endpoints", "endpoints"]),
        ({"centre_key": "short"}, ["centre_key"]),
        ({"sealing_key": "00" * 32}, ["sealing_key"]),
        ({"token": "x"}, ["token"]),
        ({"root": ""}, ["root"]),
        ({"root": "not base64"}, ["root"]),
        ({"format": 0, "device": "", "token": "", "root": ""}, ["format", "device", "token", "root"]),
    ],
)
def test_each_thing_that_is_wrong_is_a_line_of_its_own(changes: dict[str, object], says: list[str]) -> None:
    assert [line.partition(":")[0] for line in problems(msgspec.structs.replace(GOOD, **changes))] == says


@pytest.mark.parametrize(
    "content",
    [
        b"token: {TOKEN",
        b"token: [TOKEN, TOKEN]",
        b"token: 'TOKEN",
        b"? {TOKEN: 1}: 2",
        b"TOKEN",
        b"\xff\xfeTOKEN",
        b"token: \x00TOKEN",
        b"tokens: TOKEN",
        b"",
        b"[" * 1200,
        b"x" * (MAX_BYTES + 1),
    ],
)
def test_what_cannot_be_read_is_one_line_that_quotes_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(content.replace(b"TOKEN", TOKEN.secret))
    with pytest.raises(OperatorError, match="is no provisioning file") as caught:
        read(file)
    error: BaseException | None = caught.value
    assert "\n" not in str(error)
    while error is not None:
        assert TOKEN.secret.decode() not in f"{error} {error!r}"
        error = error.__context__


def test_a_repr_shows_no_token() -> None:
    assert TOKEN.secret.decode() not in f"{GOOD} {GOOD!r} {[GOOD]}"


def test_fingerprints_tell_boxes_apart() -> None:
    one = fingerprint("gate-1", "k" * 40, "a" * 64)
    assert len(one.split()) == 8
    assert one != fingerprint("gate-2", "k" * 40, "a" * 64) != fingerprint("gate-1", "K" * 40, "a" * 64)
