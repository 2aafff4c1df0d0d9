import threading
from collections.abc import Callable, Iterator

import pytest

from central.service import Bell, Worker, _run
from edge.errors import WorldError

Work = Callable[[threading.Event], None]


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell()
    yield made
    made.close()


def until_stopped(stop: threading.Event) -> None:
    stop.wait(30)


def raising(error: Exception) -> Work:
    def work(stop: threading.Event) -> None:
        del stop
        raise error

    return work


@pytest.mark.parametrize(
    ("case", "work", "error", "message"),
    [
        (
            "trouble it can name",
            raising(WorldError("the disk is full")),
            WorldError,
            "alerting stopped: the disk is full",
        ),
        ("an end nobody asked for", lambda _: None, WorldError, "alerting stopped: it ended without being told to"),
        ("a mistake of ours", raising(ZeroDivisionError("ours")), ZeroDivisionError, "ours"),
    ],
)
def test_a_thread_that_ends_takes_the_others_and_the_process_down(
    bell: Bell, case: str, work: Work, error: type[Exception], message: str
) -> None:
    other = Worker("intake", until_stopped, bell)
    woken: list[str] = []
    with pytest.raises(error, match=message):
        _run([other, Worker("alerting", work, bell)], bell, [lambda: woken.append(case)], lambda: None)
    assert not other.is_alive()
    assert woken == [case]


def test_a_signal_ends_everything_without_an_error(bell: Bell) -> None:
    workers = [Worker(name, until_stopped, bell) for name in ("intake", "alerting")]
    _run(workers, bell, [], bell.ring)
    assert not any(worker.is_alive() for worker in workers)
