"""Processes that make what a training learns from, beside it.

They end with the training, however that ends: one that was killed leaves nobody behind who makes for nobody.
"""

import multiprocessing as mp
from collections.abc import Callable, Iterator
from queue import Empty, Full
from typing import Generic, TypeVar

Made = TypeVar("Made")
LOOKED_S = 5.0
"""How often somebody who waits looks whether the other side is still there, seconds."""


class Makers(Generic[Made]):
    """Some processes that make the same kind of thing, each from a seed of its own."""

    def __init__(
        self, make: Callable[[tuple[int, ...]], Iterator[Made]], *, seed: tuple[int, ...], count: int, waiting: int
    ) -> None:
        """`make(seed)` gives things for ever; at most `waiting` of them wait to be taken."""
        self._queue: mp.Queue[Made] = mp.Queue(maxsize=waiting)
        self._processes = [
            mp.Process(target=_work, args=(self._queue, make, (*seed, number)), daemon=True)
            for number in range(count)
        ]
        for process in self._processes:
            process.start()

    def take(self) -> Made:
        """Return the next thing made."""
        while True:
            try:
                return self._queue.get(timeout=LOOKED_S)
            except Empty:
                if not all(process.is_alive() for process in self._processes):
                    raise SystemExit(
                        "a process that makes what is learnt from has died; its error is above"
                    ) from None

    def stop(self) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
            process.join()


def _work(queue: "mp.Queue[Made]", make: Callable[[tuple[int, ...]], Iterator[Made]], seed: tuple[int, ...]) -> None:
    taker = mp.parent_process()
    for made in make(seed):
        while taker is None or taker.is_alive():
            try:
                queue.put(made, timeout=LOOKED_S)
                break
            except Full:
                continue
        else:
            queue.cancel_join_thread()  # what nobody will take must not keep this process
            return
