"""Keys that systemd gives a service."""

from pathlib import Path

import pytest

from edge.errors import IntegrityError
from edge.service import Home
from edge.wire.sealing import make_or_load


def test_a_key_that_systemd_gives_goes_before_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, folder = Home(tmp_path / "box"), tmp_path / "credentials"
    own = make_or_load(home.sealing_key)
    given = make_or_load(folder / "seal.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert make_or_load(home.sealing_key).public == given.public != own.public
    assert home.curve_key == tmp_path / "box" / "keys" / "curve.key"


def test_the_access_list_of_a_given_key_is_no_open_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seal.key"
    make_or_load(path)
    path.chmod(0o440)
    with pytest.raises(IntegrityError, match="can be read by others"):
        make_or_load(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    make_or_load(path)
    path.chmod(0o444)
    with pytest.raises(IntegrityError, match="can be read by others"):
        make_or_load(path)
