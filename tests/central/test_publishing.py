"""What boxes should run, as the centre keeps it."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from tuf.api.metadata import Metadata, Snapshot

from central.cli import main
from central.publishing import keys
from central.publishing.ceremony import newest_root, sign_root
from central.publishing.repository import Repository
from edge.errors import IntegrityError, OperatorError, PeerError
from edge.wire.push import CONFIG, WATCHLIST, state_id
from tests.pushing import CONFIG_A, CONFIG_B, Pusher, centre, now


@pytest.fixture
def pusher(tmp_path: Path) -> Pusher:
    return centre(tmp_path / "centre")


def test_nothing_is_published_without_a_root(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="sightline push root"):
        Repository(tmp_path, tmp_path).publish("box-1", {CONFIG: CONFIG_A}, now=now())


def test_the_off_line_key_is_not_needed_to_publish(pusher: Pusher) -> None:
    (pusher.folder / pusher.root_key).unlink()
    word = pusher.publish({CONFIG: CONFIG_A})
    assert pusher.repository.desired("box-1", now=now()) == word
    assert pusher.repository.desired("box-2", now=now()) is None


def test_no_secret_key_lies_in_what_is_published(pusher: Pusher) -> None:
    pusher.publish({CONFIG: CONFIG_A})
    for path in pusher.public.rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()
    for path in pusher.keys.iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_the_off_line_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    path, online = tmp_path / "root.pem", tmp_path / "online.pem"
    sign_root(tmp_path, path, online, b"sesame", now=now())
    assert b"ENCRYPTED" in path.read_bytes()
    for wrong in (None, b"barley"):
        with pytest.raises(OperatorError, match="does not open"):
            keys.load(path, wrong)
    assert sign_root(tmp_path, path, online, b"sesame", now=now()).version == 2


def test_a_key_that_others_can_read_is_refused(pusher: Pusher) -> None:
    (pusher.keys / "online.pem").chmod(0o644)
    with pytest.raises(IntegrityError, match="chmod 600"):
        pusher.publish({CONFIG: CONFIG_A})


def test_another_off_line_key_makes_no_root_here(pusher: Pusher) -> None:
    with pytest.raises(OperatorError, match="is not its key"):
        sign_root(pusher.public, pusher.folder / "new.pem", pusher.keys / "online.pem", None, now=now())
    keys.make_or_load(pusher.folder / "other.pem")
    with pytest.raises(OperatorError, match="not the key that boxes know"):
        sign_root(pusher.public, pusher.folder / "other.pem", pusher.keys / "online.pem", None, now=now())


def test_the_server_signs_again_in_time_and_not_before(pusher: Pusher) -> None:
    began = now()
    pusher.repository.publish("box-1", {CONFIG: CONFIG_A}, now=began)
    repository = pusher.repository
    assert not repository.renew(now=began + timedelta(hours=11))
    snapshots = set(pusher.public.rglob("*.snapshot.json"))
    assert repository.renew(now=began + timedelta(hours=13))
    assert set(pusher.public.rglob("*.snapshot.json")) == snapshots  # the timestamp alone
    assert repository.renew(now=began + timedelta(days=4))
    assert repository.renew(now=began + timedelta(days=46))
    assert pusher.metadata("2.box-box-1.json").exists()
    assert repository.desired("box-1", now=began) == pusher.repository.desired("box-1", now=began)


def test_a_publication_that_was_cut_off_never_happened(pusher: Pusher) -> None:
    pusher.publish({CONFIG: CONFIG_A})
    before = pusher.metadata("timestamp.json").read_bytes()
    word = pusher.repository.desired("box-1", now=now())
    pusher.publish({CONFIG: CONFIG_B})
    pusher.metadata("timestamp.json").write_bytes(before)
    assert pusher.repository.desired("box-1", now=now()) == word
    assert pusher.publish({CONFIG: CONFIG_B}) != word


def test_a_box_may_see_what_is_its_own_and_nothing_else(pusher: Pusher) -> None:
    for device in ("box-1", "box-2", ".."):
        pusher.publish({CONFIG: CONFIG_A, "models/net.onnx": b"net"}, device=device)
    visible = pusher.repository.visible
    mine = pusher.target(CONFIG).name
    assert visible("box-1", f"targets/box-box-1/{mine}")
    assert visible("box-1", f"targets/box-box-1/models/{pusher.target('net.onnx').name}")
    assert all(
        visible("box-1", f"metadata/{name}.json") for name in ("timestamp", "1.root", "3.snapshot", "1.box-box-1")
    )
    for path in (
        f"targets/box-box-2/{mine}",
        f"targets/box-box-1/../box-box-2/{mine}",
        "metadata/1.box-box-2.json",
        "metadata/../lock",
        "../keys/online.pem",
        "targets/box-box-1/..",
        "lock",
        "/etc/hostname",
    ):
        assert visible("box-1", path) is None, path


def test_a_withdrawn_box_has_no_file_left(pusher: Pusher) -> None:
    pusher.publish({CONFIG: CONFIG_A, WATCHLIST: b"sealed"})
    pusher.repository.withdraw("box-1", now=now())
    assert not [path for path in (pusher.public / "targets").rglob("*") if path.is_file()]
    # A snapshot that loses a role would be refused by every box.
    snapshot = Metadata[Snapshot].from_bytes(pusher.metadata("2.snapshot.json").read_bytes()).signed
    assert "box-box-1.json" in snapshot.meta


@pytest.mark.parametrize("name", ["passwd", "models/..", "models/../config.yaml", "models/a/b", "../config.yaml"])
def test_nothing_is_published_under_another_name(pusher: Pusher, name: str) -> None:
    with pytest.raises(PeerError, match="nothing is pushed under the name"):
        pusher.publish({name: b""})


def test_a_state_is_the_same_word_in_any_order_and_another_for_any_change() -> None:
    one = state_id({CONFIG: "a", WATCHLIST: "b"})
    assert one == state_id({WATCHLIST: "b", CONFIG: "a"})
    assert len({one, state_id({CONFIG: "b", WATCHLIST: "a"}), state_id({CONFIG: "a"}), state_id({})}) == 4


@pytest.fixture
def a_program() -> Iterator[None]:
    """Let a program set up its log, and take it back: later tests log elsewhere."""
    handlers = logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


@pytest.mark.usefixtures("a_program")
def test_the_operator_makes_and_renews_the_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["push", "root", "--out", str(tmp_path / "stick" / "root.pem"), "--state", str(tmp_path / "state")]
    assert main(command) == 0
    assert main(command) == 0
    assert "version 2" in capsys.readouterr().out
    root = newest_root(tmp_path / "state" / "push")
    assert root is not None
    assert root.name == "2.root.json"
    secret = (tmp_path / "stick" / "root.pem").read_text().splitlines()[1]
    assert not [p for p in (tmp_path / "state").rglob("*") if p.is_file() and secret in p.read_text(errors="replace")]
