"""What must not stand in a log line does not, and what an operator needs still does."""

import base64
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from edge import program
from edge.discreet import discreet, text
from edge.errors import WorldError
from edge.wire.messages import Box as FaceBox
from edge.wire.messages import Reason, Shot


def shown(**fields: object) -> dict[str, object]:
    return dict(discreet(None, "", dict(fields)))


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (b"\x01\x02\x03", "<3 bytes>"),
        (bytearray(7), "<7 bytes>"),
        (memoryview(bytes(9)), "<9 bytes>"),
        (np.zeros((2, 128), np.float16), "<array 2x128 float16>"),
        ([0.1] * 128, "<list of 128>"),
        ({"inner": [b"1234", {"deeper": np.zeros(3)}]}, {"inner": ["<4 bytes>", {"deeper": "<array 3 float64>"}]}),
        (Shot(b"jpeg", (0.0,) * 10, 1.0, 1, 1, FaceBox(0, 0, 1, 1)), "<Shot>"),
        (ValueError(f"not a key: {'ab12' * 16}"), "ValueError: not a key: <64 characters>"),
        (Reason.OVERSIZE, "oversize"),
        (np.float32(0.5), 0.5),
    ],
)
def test_a_value_that_is_no_word_leaves_its_length(value: object, left: object) -> None:
    assert shown(what=value) == {"what": left}


@pytest.mark.parametrize("name", ["password", "token", "template", "payload", "credentials"])
def test_a_field_of_a_telling_name_shows_nothing(name: str) -> None:
    assert shown(**{name: "x"}) == {name: "…"}
    assert shown(outer={name: "x"}) == {"outer": {name: "…"}}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (
            "cannot open rtsp://root:pa:ss@10.0.0.5/axis-media: refused",
            "cannot open rtsp://…@10.0.0.5/axis-media: refused",
        ),
        ("rtsp://root:p@ss@10.0.0.5/x", "rtsp://…@10.0.0.5/x"),
        ("GET /login?token=abc&x=1", "GET /login?token=…&x=1"),
        ("Authorization: Basic", "Authorization: …"),
        ("value b'\\x00\\x01abc' is odd", "value <14 characters> is odd"),
    ],
)
def test_a_login_is_taken_out_of_a_text(said: str, left: str) -> None:
    assert text(said) == left


@given(st.binary(min_size=32, max_size=64).filter(lambda raw: len(raw) % 4 == 0 and len(set(raw)) > 24))
def test_a_key_in_hexadecimal_is_taken_out(raw: bytes) -> None:
    assert raw.hex() not in text(f"the key is {raw.hex()}, as written")


def test_of_a_thousand_random_keys_hardly_one_is_missed_in_base64_or_z85() -> None:
    """A second line of defence is judged by its rate: a random key may happen to look like words."""
    missed = 0
    for _ in range(1000):
        raw = secrets.token_bytes(32)
        for form in (base64.b64encode(raw), base64.urlsafe_b64encode(raw), z85.encode(raw)):
            missed += form.decode() in text(f"secret {form.decode()} here")
    assert missed < 60


@pytest.mark.parametrize(
    "said",
    [
        "/var/lib/sightline/pushed/states/0123456789abcdef/watchlist.sealed",
        "tcp://centre.police.example.org:5810",
        "0191f7a2-7bb0-7cc3-98c4-dc0c0c07398f",
        "watchlist /var/lib/sightline/watch/watchlist.sealed has expired: nobody is matched",
        "camera main-gate does not see, unreachable: check its power",
        "link.endpoints",
    ],
)
def test_what_an_operator_needs_is_left_alone(said: str) -> None:
    assert text(said) == said


def test_the_public_key_of_a_box_that_wants_in_can_be_read() -> None:
    key = z85.encode(bytes(range(100, 132))).decode()
    assert shown(public_key=key) == {"public_key": key}


@contextmanager
def log_taken_back() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = before
        structlog.reset_defaults()


def journal(work: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Do work as the command line does, away from a terminal; return its exit code and what it logged."""
    with log_taken_back():
        code = program.run("edge watch", work, debug=False)
    return code, capsys.readouterr().err.splitlines()


def test_a_line_for_the_journal_has_its_time_in_utc_its_level_its_event_and_its_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> int:
        structlog.get_logger("edge.watch").warning("watch.odd", camera="gate", path=Path("/a"), face=b"1234")
        logging.getLogger("a.library").error("cannot open %s", "rtsp://root:hunter2@10.0.0.5/x")
        return 0

    code, lines = journal(work, capsys)
    assert code == 0
    ours, theirs = map(json.loads, lines)
    told = datetime.fromisoformat(ours.pop("timestamp"))
    assert told.tzinfo == UTC
    assert ours == {"event": "watch.odd", "level": "warning", "camera": "gate", "path": "/a", "face": "<4 bytes>"}
    assert theirs["event"] == "cannot open rtsp://…@10.0.0.5/x"


def test_what_ends_a_program_is_told_without_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise WorldError("rtsp://root:hunter2@10.0.0.5/x is refused")

    assert journal(work, capsys) == (3, ["edge watch: rtsp://…@10.0.0.5/x is refused"])
