"""What the intake tells and gives of the published states."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from central.publishing.shelf import Shelf
from edge.errors import IntegrityError
from edge.wire.messages import Chunk, Fetch, Heartbeat, Hello, Pulse, Reason, Refused, Welcome
from edge.wire.push import CHUNK_BYTES, CONFIG, WATCHLIST
from tests.central.ports import Centre, eventually
from tests.central.test_intake import RawBox
from tests.pushing import CONFIG_A, CONFIG_B, Pusher, centre

STAMP = "metadata/timestamp.json"


@pytest.fixture
def pusher(tmp_path: Path) -> Pusher:
    return centre(tmp_path / "centre")


@pytest.fixture
def box(pusher: Pusher) -> Iterator[RawBox]:
    made = Centre(publications=Shelf(pusher.public))
    with made.running(), RawBox(made).connected() as box:
        yield box


def test_the_word_is_the_repositorys_and_follows_it(pusher: Pusher) -> None:
    shelf = Shelf(pusher.public)
    assert shelf.desired("box-1") == ""
    first = pusher.publish({CONFIG: CONFIG_A})
    assert shelf.desired("box-1") == first
    second = pusher.publish({CONFIG: CONFIG_B})
    other = pusher.publish({CONFIG: CONFIG_A, WATCHLIST: b"x"}, device="box-2")
    assert (shelf.desired("box-1"), shelf.desired("box-2"), shelf.desired("box-3")) == (second, other, "")
    pusher.publish({})
    assert shelf.desired("box-1") == ""


def test_a_centre_without_a_repository_publishes_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "nowhere")
    assert shelf.desired("box-1") == ""
    assert shelf.piece("box-1", STAMP, 0) is None


def test_nothing_is_read_again_until_the_timestamp_changes(pusher: Pusher) -> None:
    word = pusher.publish({CONFIG: CONFIG_A})
    shelf = Shelf(pusher.public)
    assert shelf.desired("box-1") == word
    for path in (pusher.public / "metadata").glob("*.snapshot.json"):
        path.unlink()
    assert shelf.desired("box-1") == word
    with pytest.raises(IntegrityError, match="cannot be read"):
        Shelf(pusher.public).desired("box-1")


def test_a_file_comes_in_pieces_and_only_to_its_box(pusher: Pusher) -> None:
    content = bytes(range(256)) * 1024 * 2 + b"end"
    pusher.publish({CONFIG: CONFIG_A, WATCHLIST: content})
    path = str(pusher.target(WATCHLIST).relative_to(pusher.public))
    shelf, got = Shelf(pusher.public), b""
    while (piece := shelf.piece("box-1", path, len(got))) is not None:
        assert len(piece.data) <= CHUNK_BYTES
        got += piece.data
        if piece.eof:
            break
    assert got == content
    assert shelf.piece("box-2", path, 0) is None
    assert shelf.piece("box-1", "targets/box-box-1/../../../keys/online.pem", 0) is None


def test_a_box_is_told_what_it_should_run_and_given_it(pusher: Pusher, box: RawBox) -> None:
    box.say(Hello("box-1", "0.1.0"))
    assert isinstance(box.hears(), Welcome)
    word = pusher.publish({CONFIG: CONFIG_A})
    box.say(Heartbeat(1))
    pulse = box.hears()
    assert isinstance(pulse, Pulse)
    assert pulse.desired == word
    box.say(Fetch(STAMP, 0))
    chunk = box.hears()
    assert chunk == Chunk(STAMP, 0, eof=True)
    box.say(Fetch("keys/online.pem", 5))
    assert box.hears() == Chunk("keys/online.pem", 5, missing=True)


def test_a_flood_of_questions_gets_one_answer_a_turn_and_stops_nobody(pusher: Pusher, box: RawBox) -> None:
    pusher.publish({CONFIG: CONFIG_A})
    box.say(Hello("box-1", "0.1.0"))
    assert isinstance(box.hears(), Welcome)
    with capture_logs() as log:
        for _ in range(200):
            box.say(Fetch("targets/box-box-2/config.yaml", 0))
        box.say(Heartbeat(1))
        answers = 0
        while isinstance(answer := box.hears(), Chunk):
            assert answer.missing
            answers += 1
        assert isinstance(answer, Pulse)
        eventually(lambda: box.centre.report.missing > 0, "the last one is answered")
    assert answers < 200
    assert len([line for line in log if line["event"] == "intake.no_such_file"]) == 1


def test_a_stranger_fetches_nothing(pusher: Pusher, box: RawBox) -> None:
    pusher.publish({CONFIG: CONFIG_A})
    box.say(Fetch(STAMP, 0))
    assert box.hears() == Refused(Reason.NO_HELLO)
