"""A bad network between two network namespaces: real packets of real TCP, lost, late, twice or not at all.

Run by `unshare --user --map-root-user --net`, so that nothing outside can be reached. Two children with a
namespace of their own each have one end of a TUN device; this process carries the packets between them as a
`Weather` says. It does what `tc netem` does, where a kernel has no traffic control.
"""

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

CENTRE, BOX = "10.77.0.1", "10.77.0.2"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 1, 0x1000
_QUEUE_S = 2.0
"""What waits longer than this for a narrow line is dropped, as a modem does."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What the way does to packets, in either direction."""

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Evenly spread, each packet for itself: packets overtake each other."""
    twice: float = 0.0
    bits_s: float = 0.0
    """Bandwidth; 0: no limit."""
    away_s: float = 0.0
    """Seconds without any packet, once in each `every_s`."""
    every_s: float = 0.0


class Way:
    """One direction."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self._weather = weather
        self._random = random.Random(seed)
        self._free_s = 0.0
        self._on_the_way: list[tuple[float, int, bytes]] = []
        self._count = 0
        self.bytes = 0
        self.began_s = time.monotonic()

    def take(self, packet: bytes, now_s: float) -> None:
        weather = self._weather
        self.bytes += len(packet)
        if weather.every_s and (now_s - self.began_s) % weather.every_s > weather.every_s - weather.away_s:
            return
        if self._random.random() < weather.loss:
            return
        start_s = max(now_s, self._free_s)
        if start_s - now_s > _QUEUE_S:
            return
        if weather.bits_s:
            self._free_s = start_s + 8 * len(packet) / weather.bits_s
            start_s = self._free_s
        for _ in range(1 + (self._random.random() < weather.twice)):
            self._count += 1
            due_s = start_s + weather.delay_s + weather.jitter_s * self._random.random()
            heapq.heappush(self._on_the_way, (due_s, self._count, packet))

    def due(self, now_s: float) -> list[bytes]:
        gone = []
        while self._on_the_way and self._on_the_way[0][0] <= now_s:
            gone.append(heapq.heappop(self._on_the_way)[2])
        return gone

    def wait_s(self, now_s: float) -> float:
        return max(0.0, self._on_the_way[0][0] - now_s) if self._on_the_way else 0.1


def tun(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


def room(role: str, name: str, address: str, arguments: list[str]) -> "subprocess.Popen[str]":
    """Start one end in a namespace of its own, which gets its device before it begins."""
    child = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", "tests.journeys.bad_network_ends", role, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "here\n"
    subprocess.run(["ip", "link", "set", name, "netns", str(child.pid)], check=True)
    for words in (f"address add {address}/30 dev {name}", f"link set {name} up", "link set lo up"):
        subprocess.run(["nsenter", "-t", str(child.pid), "-n", "ip", *words.split()], check=True)
    child.stdin.write("go\n")
    child.stdin.flush()
    return child


def main() -> None:
    weather = Weather(**json.loads(sys.argv[1]))
    ends = [tun("centre0"), tun("box0")]
    centre = room("centre", "centre0", CENTRE, sys.argv[2:])
    assert centre.stdout is not None
    key = centre.stdout.readline().strip()
    box = room("box", "box0", BOX, [*sys.argv[2:], key])
    ways = [Way(weather, 1), Way(weather, 2)]
    while box.poll() is None:
        now_s = time.monotonic()
        ready, _, _ = select.select(ends, [], [], min(way.wait_s(now_s) for way in ways))
        now_s = time.monotonic()
        with contextlib.suppress(OSError):  # nothing more to read; or an end has gone, and its device with it
            for end, way in zip(ends, ways, strict=True):
                if end in ready:
                    way.take(os.read(end, 65536), now_s)
        with contextlib.suppress(OSError):
            for other, way in zip(reversed(ends), ways, strict=True):
                for packet in way.due(now_s):
                    os.write(other, packet)
    told, _ = centre.communicate("stop\n", timeout=30)
    assert box.stdout is not None
    print(json.dumps(_joined(_said(box.stdout.read()), _said(told), ways)))


def _said(output: str) -> dict[str, Any]:
    """Read what an end said last, behind its log."""
    said: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return said


def _joined(box: dict[str, Any], centre: dict[str, Any], ways: list[Way]) -> dict[str, Any]:
    return {**box, **centre, "wire_down": ways[0].bytes, "wire_up": ways[1].bytes}


if __name__ == "__main__":
    main()
