"""Where passwords are kept, and who may read them."""

from pathlib import Path

import pytest

from edge.camera.credentials import Credentials, read_credentials
from edge.errors import OperatorError


def kept(path: Path, *, mode: int = 0o600, text: str = "root:hunter2\n") -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_file_that_no_other_user_may_read_is_read(tmp_path: Path, mode: int) -> None:
    assert read_credentials(str(kept(tmp_path / "camera", mode=mode))) == Credentials("root", "hunter2")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_file_that_is_open_to_every_user_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = kept(tmp_path / "camera", mode=mode)
    with pytest.raises(OperatorError, match=rf"camera is open to every user; chmod 600 {file}") as refusal:
        read_credentials(str(file))
    assert "hunter2" not in str(refusal.value)


def test_systemd_hands_a_credential_over_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path / "camera", mode=0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_credentials("credential:camera").password == "hunter2"


@pytest.mark.parametrize("name", ["", ".", "..", "../camera", "/etc/shadow"])
def test_a_credential_is_a_name_and_not_a_path(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(OperatorError, match="names no credential"):
        read_credentials(f"credential:{name}")


def test_without_systemd_the_line_for_the_unit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(OperatorError, match="LoadCredential=camera:/etc/sightline/camera"):
        read_credentials("credential:camera")


def test_a_password_is_not_written_out() -> None:
    assert "hunter2" not in repr(Credentials("root", "hunter2"))


@pytest.mark.parametrize("text", ["root:hunter\x002", "root:" + "x" * 2000, "root:a\rb"])
def test_a_line_that_cannot_be_a_password_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(OperatorError, match="write one line in it") as refusal:
        read_credentials(str(kept(tmp_path / "camera", text=text)))
    assert "hunter" not in str(refusal.value)
