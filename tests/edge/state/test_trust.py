"""Each attack on what is pushed, against repositories on disk as a centre makes them."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from central.publishing.repository import Repository
from edge.errors import PeerError, WorldError
from edge.state.carrier import FolderCarrier, Piece
from edge.state.trust import PushError, Reason, Trust
from edge.wire.push import CHUNK_BYTES, CONFIG, WATCHLIST
from tests.pushing import CONFIG_A, CONFIG_B, Pusher, centre, now


@pytest.fixture
def pusher(tmp_path: Path) -> Pusher:
    made = centre(tmp_path / "centre")
    made.publish({CONFIG: CONFIG_A})
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "box"


def bring(trust: Trust, into: Path, name: str = CONFIG) -> bytes:
    with trust.look() as look:
        assert look.announced(name) is not None
        look.bring(name, into)
    return (into / name).read_bytes()


def refusal(trust: Trust, into: Path) -> Reason:
    with pytest.raises(PushError) as caught:
        bring(trust, into)
    assert not (into / CONFIG).exists()
    return caught.value.reason


def edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    tree = json.loads(path.read_bytes())
    change(tree)
    path.write_text(json.dumps(tree))


class Hostile(FolderCarrier):
    """Brings what a folder holds, but for files of one ending."""

    def __init__(self, pusher: Pusher, ending: str, data: Callable[[int, int], Piece]) -> None:
        super().__init__(pusher.public)
        self._ending, self._data = ending, data
        self.brought = 0

    def piece(self, path: str, offset: int, max_bytes: int) -> Piece | None:
        if not path.endswith(self._ending):
            return super().piece(path, offset, max_bytes)
        piece = self._data(offset, max_bytes)
        self.brought += len(piece.data)
        return piece


def test_what_the_centre_publishes_arrives(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    assert bring(pusher.box(home), tmp_path / "a") == CONFIG_A
    pusher.publish({CONFIG: CONFIG_B})
    assert bring(pusher.box(home), tmp_path / "b") == CONFIG_B


@pytest.mark.parametrize("name", ["timestamp", "1.snapshot", "1.targets", "1.box-box-1"])
def test_an_unsigned_push_is_refused(pusher: Pusher, home: Path, tmp_path: Path, name: str) -> None:
    edit(pusher.metadata(f"{name}.json"), lambda tree: tree.update(signatures=[]))
    # Where a hash is known from above, that goes first.
    assert refusal(pusher.box(home), tmp_path) in {Reason.UNSIGNED, Reason.MISMATCH}


def test_an_unsigned_timestamp_is_refused_as_unsigned(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    edit(pusher.metadata("timestamp.json"), lambda tree: tree.update(signatures=[]))
    assert refusal(pusher.box(home), tmp_path) is Reason.UNSIGNED


def test_a_push_signed_with_the_wrong_key_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    stranger = centre(tmp_path / "stranger")
    stranger.publish({CONFIG: CONFIG_B})
    assert refusal(pusher.box(home, FolderCarrier(stranger.public)), tmp_path) is Reason.UNSIGNED


def test_a_root_of_another_key_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    stranger = centre(tmp_path / "stranger")
    stranger.sign_root()
    pusher.metadata("2.root.json").write_bytes(stranger.newest_root())
    assert refusal(pusher.box(home), tmp_path) is Reason.UNSIGNED


def test_a_rollback_signed_by_the_right_keys_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    restored = pusher.copy("restored")
    for content in (CONFIG_B, CONFIG_A, CONFIG_B):
        pusher.publish({CONFIG: content})
    bring(pusher.box(home), tmp_path / "new")
    restored.publish({CONFIG: CONFIG_A})  # newly signed, and yet older than what the box has seen
    assert refusal(pusher.box(home, FolderCarrier(restored.public)), tmp_path) is Reason.ROLLBACK


def test_a_replayed_push_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    recorded = pusher.copy("recorded")
    pusher.publish({CONFIG: CONFIG_B})
    bring(pusher.box(home), tmp_path / "new")
    assert refusal(pusher.box(home, FolderCarrier(recorded.public)), tmp_path) is Reason.ROLLBACK


def test_a_frozen_centre_is_seen_when_its_timestamp_expires(home: Path, tmp_path: Path) -> None:
    frozen = centre(tmp_path / "centre")
    frozen.publish({CONFIG: CONFIG_A}, ago=timedelta(hours=25))
    assert refusal(frozen.box(home), tmp_path) is Reason.EXPIRED
    frozen.repository.renew(now=now())
    assert bring(frozen.box(home), tmp_path) == CONFIG_A


@pytest.mark.parametrize("name", ["snapshot", "box-box-1"])
def test_parts_of_two_pushes_are_not_mixed(pusher: Pusher, home: Path, tmp_path: Path, name: str) -> None:
    old = pusher.metadata(f"1.{name}.json").read_bytes()
    pusher.publish({CONFIG: CONFIG_B})
    pusher.metadata(f"2.{name}.json").write_bytes(old)
    assert refusal(pusher.box(home), tmp_path) is Reason.MISMATCH


def test_another_devices_file_in_place_of_its_own_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    pusher.publish({CONFIG: CONFIG_B}, device="box-2")
    pusher.target(CONFIG).write_bytes(pusher.target(CONFIG, "box-2").read_bytes())
    assert refusal(pusher.box(home), tmp_path) is Reason.MISMATCH


def test_another_devices_role_in_place_of_its_own_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    pusher.publish({CONFIG: CONFIG_A}, device="box-2")
    other = pusher.metadata("1.box-box-2.json").read_bytes()
    pusher.metadata("1.box-box-1.json").write_bytes(other)
    assert refusal(pusher.box(home), tmp_path) is Reason.MISMATCH


def test_the_key_of_one_device_does_not_sign_for_another(pusher: Pusher) -> None:
    pusher.publish({CONFIG: CONFIG_B}, device="box-2")
    delegator = Metadata[Targets].from_bytes(pusher.metadata("2.targets.json").read_bytes())
    assert delegator.signed.delegations is not None
    roles = delegator.signed.delegations.roles or {}
    assert roles["box-box-1"].keyids != roles["box-box-2"].keyids
    assert roles["box-box-2"].is_delegated_path(f"box-box-2/{CONFIG}")
    assert not roles["box-box-2"].is_delegated_path(f"box-box-1/{CONFIG}")


@pytest.mark.parametrize("keep", [0, 3])
def test_a_truncated_file_is_refused(pusher: Pusher, home: Path, tmp_path: Path, keep: int) -> None:
    path = pusher.target(CONFIG)
    path.write_bytes(path.read_bytes()[:keep])
    assert refusal(pusher.box(home), tmp_path) is Reason.MISMATCH


@pytest.mark.parametrize("ending", [CONFIG, "timestamp.json", "1.snapshot.json"])
def test_an_endless_file_is_refused_early(pusher: Pusher, home: Path, tmp_path: Path, ending: str) -> None:
    endless = Hostile(pusher, ending, lambda _offset, size: Piece(b"x" * size, eof=False))
    assert refusal(pusher.box(home, endless), tmp_path) is Reason.OVERSIZE
    assert endless.brought <= 2_000_000 + CHUNK_BYTES
    assert not any((home / "parts").iterdir())


def test_a_file_that_never_goes_on_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    idle = Hostile(pusher, CONFIG, lambda _offset, _size: Piece(b"", eof=False))
    with pytest.raises(PeerError, match="a piece of 0 bytes"):
        bring(pusher.box(home, idle), tmp_path)


def test_a_piece_larger_than_was_asked_for_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    gross = Hostile(pusher, CONFIG, lambda _offset, size: Piece(b"x" * (size + 1), eof=True))
    with pytest.raises(PeerError, match="a piece of"):
        bring(pusher.box(home, gross), tmp_path)


def test_an_oversize_file_is_refused_though_it_is_signed(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    lax = Repository(pusher.public, pusher.keys, limit=lambda _name: 1 << 30)
    lax.publish("box-1", {CONFIG: b"#" * ((1 << 20) + 1)}, now=now())
    assert refusal(pusher.box(home), tmp_path) is Reason.OVERSIZE


def test_a_file_with_more_bytes_than_were_signed_for_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    with pusher.target(CONFIG).open("ab") as file:
        file.write(b"more")
    assert refusal(pusher.box(home), tmp_path) is Reason.OVERSIZE


def test_garbage_is_refused(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    pusher.metadata("timestamp.json").write_bytes(b"\0garbage")
    assert refusal(pusher.box(home), tmp_path) is Reason.MALFORMED


def test_a_box_that_was_refused_takes_the_next_honest_push(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    stranger = centre(tmp_path / "stranger")
    stranger.publish({CONFIG: CONFIG_B})
    refusal(pusher.box(home, FolderCarrier(stranger.public)), tmp_path)
    assert bring(pusher.box(home), tmp_path) == CONFIG_A


def test_a_cut_download_goes_on_where_it_was_cut(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096  # four pieces
    pusher.publish({WATCHLIST: content})
    asked: list[int] = []

    class Cut(FolderCarrier):
        def piece(self, path: str, offset: int, max_bytes: int) -> Piece | None:
            if path.endswith(WATCHLIST):
                asked.append(offset)
                if len(asked) == 3:
                    raise WorldError("the line is cut")
            return super().piece(path, offset, max_bytes)

    with pytest.raises(WorldError, match="the line is cut"):
        bring(pusher.box(home, Cut(pusher.public)), tmp_path, WATCHLIST)
    assert bring(pusher.box(home, Cut(pusher.public)), tmp_path, WATCHLIST) == content
    assert asked == [0, CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES]


def test_a_part_that_was_spoilt_is_fetched_anew(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    (home / "parts").mkdir(parents=True)
    (home / "parts" / pusher.target(CONFIG).name).write_bytes(b"x")
    assert refusal(pusher.box(home), tmp_path) is Reason.MISMATCH
    assert bring(pusher.box(home), tmp_path) == CONFIG_A


def test_a_box_follows_the_off_line_key_to_another_on_line_key(pusher: Pusher, home: Path, tmp_path: Path) -> None:
    bring(pusher.box(home), tmp_path / "before")
    stolen = pusher.copy("stolen")
    (pusher.keys / "online.pem").unlink()
    pusher.sign_root()
    pusher.publish({CONFIG: CONFIG_B})
    assert bring(pusher.box(home), tmp_path / "after") == CONFIG_B
    for _ in range(3):
        stolen.publish({CONFIG: CONFIG_A})
    assert refusal(pusher.box(home, FolderCarrier(stolen.public)), tmp_path) is Reason.UNSIGNED
