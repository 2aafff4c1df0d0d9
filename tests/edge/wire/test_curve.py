import stat
from pathlib import Path

import pytest

from edge.errors import IntegrityError, OperatorError
from edge.wire import curve


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "curve.key"
    made = curve.make_or_load(path)
    assert curve.make_or_load(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert curve.make_or_load(tmp_path / "other.key") != made


def test_nothing_printed_shows_the_secret() -> None:
    key = curve.make()
    shown = f"{key!r} {key} {[key]}"
    assert key.secret.decode() not in shown
    assert key.public in shown


def test_the_public_half_is_forty_characters_that_zeromq_takes() -> None:
    key = curve.make()
    assert curve.checked_public(key.public) == key.public.encode()
    assert len(key.public) == curve.KEY_CHARACTERS


@pytest.mark.parametrize("text", ["", "short", "x" * 39, "x" * 41, "é" * 40, '"' * 40, "#" * 40, " " * 40])
def test_what_is_no_public_key_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(OperatorError, match="not a public CURVE key") as caught:
        curve.checked_public(text)
    assert "40 characters" in caught.value.hint


@pytest.mark.parametrize("damaged", [b"#" * 40, b"\0" * 40, b"short", b""])
def test_a_damaged_key_file_is_refused(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "curve.key"
    path.write_bytes(damaged)
    path.chmod(0o600)
    with pytest.raises(IntegrityError) as caught:
        curve.make_or_load(path)
    assert str(path) in str(caught.value)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curve.key"
    curve.make_or_load(path)
    path.chmod(0o644)
    with pytest.raises(IntegrityError, match="can be read by others"):
        curve.make_or_load(path)
