"""The simulated camera as a process of its own.

It prints, each on a line of its own: `mjpeg URL` where there is one, `ready URL` when it can be connected to,
`started MS` when the video begins (ms since 1970 at which its first frame was captured), `ended` at the end
of a video played once, after which it leaves. With `--commands` it reads faults from its standard input, one
a line; `FAULTS` names them, each beside what ends it.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from functools import partial
from pathlib import Path

from tests.simulator.camera import SimulatedCamera
from tests.simulator.vapix import Axis, SimulatedAxis

FAULTS = (
    *("refuse", "accept", "mute", "speak", "stall", "resume", "hold", "release", "garble", "clear"),
    *("reset", "close"),
)


def main() -> int:
    """Run until the end of the video, or until told to leave."""
    options = _options().parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(options))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--video", type=Path, required=True, help="H.264 video; a key frame each second or two")
    parser.add_argument("--rtsp-port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--http-port", type=int, help="MJPEG and snapshots as well; 0 picks a free one")
    parser.add_argument("--axis", action="store_true", help="answer VAPIX there, as an Axis camera does")
    often = parser.add_mutually_exclusive_group()
    often.add_argument("--loop", action="store_true", help="begin again at the end (the default)")
    often.add_argument("--once", action="store_true", help="close the streams and leave at the end")
    parser.add_argument("--wait-for-client", action="store_true", help="begin when the first client plays")
    parser.add_argument("--user", help="ask for this user name, by digest")
    parser.add_argument("--password-file", type=Path, help="and for the password in this file")
    parser.add_argument("--no-reports", action="store_true", help="send no sender reports: no camera time")
    parser.add_argument("--commands", action="store_true", help="read faults from standard input")
    return parser


async def _run(options: argparse.Namespace) -> None:
    kind = partial(SimulatedAxis, axis=Axis()) if options.axis else SimulatedCamera
    camera = kind(
        options.video,
        loop=not options.once,
        username=options.user,
        password=options.password_file.read_text().strip() if options.password_file else "",
        reports=not options.no_reports,
    )
    await camera.start(rtsp_port=options.rtsp_port, http_port=options.http_port)
    if options.http_port is not None:
        print("mjpeg", camera.mjpeg_url, flush=True)
    print("ready", camera.rtsp_url, flush=True)
    if not options.wait_for_client:
        camera.programme.begin()
    jobs = [asyncio.create_task(_told_to_leave()), asyncio.create_task(_announced(camera, once=options.once))]
    background = [asyncio.create_task(_commanded(camera))] if options.commands else []
    await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    for job in jobs + background:
        job.cancel()
    await camera.stop()


async def _told_to_leave() -> None:
    told = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, told.set)
    await told.wait()


async def _announced(camera: SimulatedCamera, *, once: bool) -> None:
    """Tell the beginning and, of a video played once, the end."""
    await camera.programme.begun.wait()
    print("started", camera.programme.began_at_ms(), flush=True)
    if not once:
        await asyncio.Event().wait()
    await camera.finish()
    print("ended", flush=True)


async def _commanded(camera: SimulatedCamera) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        if line not in FAULTS:
            raise SystemExit(f"unknown command {line}; known: {', '.join(FAULTS)}")
        await getattr(camera, line)()
        print("done", line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
