import threading

import numpy as np
import pytest

from edge.camera.errors import Reason, VideoError
from edge.camera.frame import ClockSource, Picture
from edge.camera.handover import Handover


def picture(index: int) -> Picture:
    return Picture(
        index=index,
        captured_at_ms=index,
        monotonic_at=float(index),
        clock_source=ClockSource.MEDIA,
        media_s=float(index),
        decoded=np.zeros((2, 2, 3), np.uint8),
    )


def taken(handover: Handover) -> list[int]:
    indices = []
    while (each := handover.take(timeout_s=0)) is not None:
        indices.append(each.index)
    return indices


def test_where_the_newest_wins_the_older_ones_are_counted() -> None:
    handover = Handover(newest_wins=True)
    for index in range(5):
        assert handover.put(picture(index))
    assert taken(handover) == [4]
    assert handover.dropped == 4


def test_where_nothing_may_be_lost_the_reader_waits_for_the_consumer() -> None:
    handover = Handover(newest_wins=False)

    def read() -> None:
        for index in range(20):
            handover.put(picture(index))
        handover.finish()

    reader = threading.Thread(target=read)
    reader.start()
    indices = []
    while not handover.over:
        each = handover.take(timeout_s=5)
        if each is not None:
            indices.append(each.index)
    reader.join()
    assert indices == list(range(20))
    assert handover.dropped == 0


def test_trouble_comes_after_what_was_good_and_only_once() -> None:
    handover = Handover(newest_wins=False)
    handover.put(picture(0))
    handover.finish(VideoError("broken", reason=Reason.CORRUPT))
    assert not handover.over
    first = handover.take(timeout_s=0)
    assert first is not None
    with pytest.raises(VideoError):
        handover.take(timeout_s=0)
    assert handover.take(timeout_s=0) is None
    assert handover.over


def test_closing_lets_a_waiting_reader_go() -> None:
    handover = Handover(newest_wins=False)
    handover.put(picture(0))
    handover.put(picture(1))
    answers: list[bool] = []
    reader = threading.Thread(target=lambda: answers.append(handover.put(picture(2))))
    reader.start()
    handover.close()
    reader.join(timeout=5)
    assert answers == [False]
    assert taken(handover) == []
    assert handover.over
