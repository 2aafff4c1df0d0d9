"""Whom a box looks for: it fails closed."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.errors import IntegrityError, OperatorError
from edge.watchlist import Watchlist, WatchlistSettings, open_watchlist
from edge.wire import watchlist as contract
from edge.wire.sealing import SealingKey, make_or_load, wrap
from tests.deploying import deployment
from tests.edge.people import DIMENSION, template_of

MODEL = "a" * 64
NOW = 1_800_000_000_000


@pytest.fixture
def centre(tmp_path: Path) -> SealingKey:
    return make_or_load(tmp_path / "centre.key")


@pytest.fixture
def box(tmp_path: Path) -> SealingKey:
    return make_or_load(tmp_path / "box.key")


def sealed(**changes: object) -> contract.SealedWatchlist:
    templates = np.stack([template_of((1, 2, 3)), template_of((4, 5, 6))]).astype("<f2")
    made = contract.SealedWatchlist(
        watchlist="list-1",
        device="box-1",
        made_at_ms=NOW - 1000,
        expires_at_ms=NOW + 1000,
        model_sha256=MODEL,
        dimension=DIMENSION,
        entries=("somebody", "other"),
        owners=np.array([1, 0], "<u4").tobytes(),
        templates=templates.tobytes(),
        deployment=deployment(NOW - 1000, NOW + 1000),
    )
    return msgspec.structs.replace(made, **changes)


def opened(folder: Path, centre: SealingKey, box: SealingKey, **changes: object) -> Watchlist:
    path = folder / "watchlist.sealed"
    path.write_bytes(wrap(centre, box.public, contract.encode(sealed(**changes))))
    return reopen(path, centre, box)


def reopen(path: Path, centre: SealingKey, box: SealingKey) -> Watchlist:
    settings = WatchlistSettings(file=str(path))
    return open_watchlist(settings, box, author=centre.public, device="box-1", model_sha256=MODEL, now_ms=NOW)


def test_the_box_finds_whom_the_centre_put_on_the_list(tmp_path: Path, centre: SealingKey, box: SealingKey) -> None:
    found = opened(tmp_path, centre, box).gallery.best(template_of((1, 2, 3)))
    assert found is not None
    assert found.owner == "other"
    assert found.score == pytest.approx(1.0, abs=1e-3)


def test_a_watchlist_shows_nothing_of_itself_in_a_log(tmp_path: Path, centre: SealingKey, box: SealingKey) -> None:
    assert repr(opened(tmp_path, centre, box)) == "Watchlist('list-1', 2 references)"


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"device": "box-2"}, IntegrityError, "made for device box-2"),
        ({"model_sha256": "b" * 64}, IntegrityError, "made with model bbbbbbbbbbbb"),
        ({"expires_at_ms": NOW}, OperatorError, "has expired"),
        ({"owners": np.array([0, 7], "<u4").tobytes()}, IntegrityError, "an entry that is not in it"),
        ({"owners": b"\0" * 5}, IntegrityError, "do not fit"),
        ({"templates": b"\0" * DIMENSION * 4}, IntegrityError, "not a unit vector"),
    ],
)
def test_a_watchlist_that_does_not_suit_is_refused(
    tmp_path: Path, centre: SealingKey, box: SealingKey, changes: dict[str, object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        opened(tmp_path, centre, box, **changes)


def test_a_watchlist_that_was_damaged_forged_or_meant_for_another_box_does_not_open(
    tmp_path: Path, centre: SealingKey, box: SealingKey
) -> None:
    stranger = make_or_load(tmp_path / "stranger.key")
    path = tmp_path / "watchlist.sealed"
    plain = contract.encode(sealed())
    for wrapped in (
        wrap(stranger, box.public, plain),
        wrap(centre, stranger.public, plain),
        wrap(centre, box.public, plain)[:-1],
        b"",
        b"garbage",
    ):
        path.write_bytes(wrapped)
        with pytest.raises(IntegrityError):
            reopen(path, centre, box)


def test_a_box_without_a_watchlist_says_how_to_get_one(tmp_path: Path, centre: SealingKey, box: SealingKey) -> None:
    with pytest.raises(OperatorError, match="sightline watchlist seal --device box-1"):
        reopen(tmp_path / "missing", centre, box)
