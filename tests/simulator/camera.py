"""The simulated camera: its sockets, its connections, its faults."""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

from tests.simulator.programme import Programme
from tests.simulator.requests import Gate
from tests.simulator.rtsp import PATH, RtspConnection
from tests.simulator.tape import Pictures, load
from tests.simulator.web import MJPEG_PATH, SNAPSHOT_PATH, WebConnection

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)


class SimulatedCamera:
    """One camera in one event loop."""

    def __init__(
        self,
        video: Path,
        *,
        loop: bool = True,
        username: str | None = None,
        password: str = "",
        clock_ahead_s: float = 0.0,
        reports: bool = True,
    ) -> None:
        self.programme = Programme(load(video), loop=loop, clock_ahead_s=clock_ahead_s, reports=reports)
        self.gate = Gate(username, password)
        self._pictures = Pictures(video)
        self._ports = {"rtsp": 0, "http": 0}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._stopping = False

    async def start(self, *, rtsp_port: int = 0, http_port: int | None = None) -> None:
        """Listen; port 0 picks a free one, which `refuse` and `accept` keep."""
        self._ports = {"rtsp": rtsp_port} | ({} if http_port is None else {"http": http_port})
        await self.accept()

    @property
    def rtsp_url(self) -> str:
        """Return the address of the stream."""
        return f"rtsp://{HOST}:{self._ports['rtsp']}{PATH}"

    @property
    def mjpeg_url(self) -> str:
        """Return the address of the pictures in motion."""
        return f"http://{HOST}:{self._ports['http']}{MJPEG_PATH}"

    @property
    def snapshot_url(self) -> str:
        """Return the address of a single picture."""
        return f"http://{HOST}:{self._ports['http']}{SNAPSHOT_PATH}"

    async def accept(self) -> None:
        """Listen (again)."""
        for kind, port in self._ports.items():
            listener = socket.create_server((HOST, port))
            self._ports[kind] = listener.getsockname()[1]
            serve = self._serve_rtsp if kind == "rtsp" else self._serve_web
            self._servers.append(await asyncio.start_server(serve, sock=listener))

    async def refuse(self) -> None:
        """Be as a device that is off: nothing listens, and who was there is reset."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self.reset()

    async def stall(self) -> None:
        """Keep the connections and send nothing."""
        self.programme.stalled = True

    async def resume(self) -> None:
        """Go on after a stall."""
        self.programme.stalled = False

    async def mute(self) -> None:
        """Accept connections and never answer; who is there already goes on."""
        self.programme.mute = True

    async def speak(self) -> None:
        """Answer again."""
        self.programme.mute = False

    async def hold(self) -> None:
        """Be behind a network that delivers nothing for a while, and everything later."""
        self.programme.flowing.clear()

    async def release(self) -> None:
        """Deliver what was held back, and go on."""
        self.programme.flowing.set()

    async def garble(self) -> None:
        """Send pictures that cannot be decoded."""
        self.programme.garbled = True

    async def clear(self) -> None:
        """Send pictures as they are."""
        self.programme.garbled = False

    async def reset(self) -> None:
        """Break every connection with a TCP reset."""
        for writer in self._connections.values():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        await self._settled()

    async def close(self) -> None:
        """End every connection in order, as at the end of a tape."""
        for writer in self._connections.values():
            writer.close()
        await self._settled()

    async def finish(self) -> None:
        """Wait for the end of a tape that plays once, and until everybody has it."""
        await self.programme.over()
        await self._settled()
        await self.close()

    async def stop(self) -> None:
        """Leave nothing open."""
        self._stopping = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task, writer in self._connections.items():
            task.cancel()
            writer.transport.abort()  # a client that hangs would never take what waits for it
        await self._settled()
        for _ in range(3):  # who was accepted in this very moment comes up now, and what was aborted lets go
            await asyncio.sleep(0)
        self._pictures.close()

    async def _settled(self) -> None:
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=5)

    async def _say_nothing(self, reader: asyncio.StreamReader) -> None:
        """Read until the client gives up."""
        while await reader.read(4096):
            pass

    async def _serve_rtsp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._attend(RtspConnection(self.programme, self.gate, reader, writer), reader, writer)

    async def _serve_web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._attend(WebConnection(self.programme, self._pictures, self.gate, reader, writer), reader, writer)

    async def _attend(
        self, connection: RtspConnection | WebConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._stopping:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            # Clients that vanish are a camera's everyday life.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self.programme.mute:
                    await self._say_nothing(reader)
                else:
                    await connection.serve()
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
        finally:
            del self._connections[task]
