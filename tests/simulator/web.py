"""One HTTP connection of the simulated camera: MJPEG and snapshots."""

import asyncio

from tests.simulator.programme import Programme
from tests.simulator.requests import Gate, answer, read_request
from tests.simulator.tape import Pictures

MJPEG_PATH = "/axis-cgi/mjpg/video.cgi"
SNAPSHOT_PATH = "/axis-cgi/jpg/image.cgi"
_BOUNDARY = "myboundary"


class WebConnection:
    """One request, then the answer for as long as it lasts."""

    def __init__(
        self,
        programme: Programme,
        pictures: Pictures,
        gate: Gate,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._programme, self._pictures, self._gate = programme, pictures, gate
        self._reader, self._writer = reader, writer

    async def serve(self) -> None:
        """Answer one request."""
        request = await read_request(self._reader)
        if request is None:
            return
        closing = {"Connection": "close"}
        if not self._gate.admits(request):
            self._writer.write(answer("HTTP/1.1", "401 Unauthorized", closing | self._gate.challenge(), b"who?"))
        elif request.path == MJPEG_PATH:
            await self._stream()
        elif request.path == SNAPSHOT_PATH:
            self._programme.begin()
            count, period_s = len(self._programme.tape.units), self._programme.tape.period_s
            jpeg = await self._jpeg(int(self._programme.now_s() / period_s * count) % count)
            self._writer.write(answer("HTTP/1.1", "200 OK", closing | {"Content-Type": "image/jpeg"}, jpeg))
        else:
            self._writer.write(answer("HTTP/1.1", "404 Not Found", closing, b"not here"))
        await self._writer.drain()

    async def _stream(self) -> None:
        kind = {"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"}
        self._writer.write(answer("HTTP/1.1", "200 OK", {"Connection": "close"} | kind))
        self._programme.begin()
        async for number in self._programme.numbers():
            jpeg = await self._jpeg(number)
            part = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self._writer.write(part.encode() + jpeg + b"\r\n")
            await self._writer.drain()

    async def _jpeg(self, number: int) -> bytes:
        return await asyncio.to_thread(self._pictures.jpeg, number)
