"""One RTSP connection of the simulated camera: H.264 or H.265 in RTP, interleaved with the dialogue or on UDP."""

import asyncio
import base64
import contextlib
import random
import re
import secrets
import socket
import struct
from collections.abc import Callable

from tests.simulator.programme import Programme
from tests.simulator.requests import Gate, Request, answer, read_request
from tests.simulator.tape import CLOCK_HZ, Tape, packetise

PATH = "/axis-media/media.amp"
_REPORT_EVERY_S = 1.0
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"


class Way:
    """How packets reach the client: interleaved with the dialogue, or as datagrams, of which some are lost."""

    transport: str
    """As the answer to SETUP has it."""

    def __init__(self, asked: str, writer: asyncio.StreamWriter, lose: Callable[[], bool]) -> None:
        self._writer, self._lose = writer, lose
        self._sockets: list[socket.socket] = []
        self._first = 0
        if "TCP" in asked:
            self._first = int(asked.partition("interleaved=")[2].partition("-")[0] or 0)
            self.transport = asked
            return
        client = int(re.search(r"client_port=(\d+)", asked)[1])  # type: ignore[index]
        self._host, port = writer.get_extra_info("peername")[0], 0
        for offset in range(2):  # RTP, and RTCP beside it
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind((self._host, 0))
            sender.connect((self._host, client + offset))
            self._sockets.append(sender)
        port = self._sockets[0].getsockname()[1]
        self.transport = f"RTP/AVP/UDP;unicast;client_port={client}-{client + 1};server_port={port}-{port + 1}"

    def send(self, packet: bytes, *, report: bool = False) -> None:
        """Send a packet on its way."""
        if self._sockets:
            if report or not self._lose():
                with contextlib.suppress(OSError):  # nobody listens any more: the dialogue will say so
                    self._sockets[report].send(packet)
            return
        if not self._writer.is_closing():
            self._writer.write(struct.pack(">cBH", b"$", self._first + report, len(packet)) + packet)

    def close(self) -> None:
        """Let go of the sockets of datagrams."""
        for each in self._sockets:
            each.close()


class RtspConnection:
    """The dialogue with one client, and the stream it asked for."""

    def __init__(
        self, programme: Programme, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._programme, self._gate = programme, gate
        self._reader, self._writer = reader, writer
        self._session, self._ssrc = secrets.token_hex(4), secrets.randbits(32)
        self._way: Way | None = None
        self._lost = random.Random(1)
        self._sequence = 0
        self._playing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer until the client leaves or the tape ends."""
        try:
            while (request := await read_request(self._reader)) is not None:
                self._writer.write(self._answer(request))
                await self._writer.drain()
                if request.method == "PLAY" and self._playing is None and self._way is not None:
                    self._playing = asyncio.create_task(self._play(self._way))
                if request.method == "TEARDOWN":
                    return
        finally:
            if self._playing is not None:
                self._playing.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await self._playing
            if self._way is not None:
                self._way.close()

    def _answer(self, request: Request) -> bytes:
        status, headers, body = "200 OK", {"CSeq": request.headers.get("cseq", "0")}, b""
        if request.method != "OPTIONS" and not self._gate.admits(request):
            return answer("RTSP/1.0", "401 Unauthorized", headers | self._gate.challenge())
        match request.method:
            case "OPTIONS":
                headers["Public"] = _METHODS
            case "DESCRIBE" if request.path != PATH:
                status = "404 Not Found"
            case "DESCRIBE":
                headers |= {
                    "Content-Type": "application/sdp",
                    "Content-Base": request.uri.partition("?")[0] + "/",
                }
                body = self._description()
            case "SETUP":
                self._way = Way(request.headers.get("transport", ""), self._writer, self._loses)
                headers |= {"Transport": self._way.transport, "Session": f"{self._session};timeout=60"}
            case "PLAY" | "TEARDOWN" | "GET_PARAMETER":
                headers["Session"] = self._session
            case _:
                status = "405 Method Not Allowed"
        return answer("RTSP/1.0", status, headers, body)

    def _description(self) -> bytes:
        tape = self._programme.tape
        lines = (
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=Simulated camera",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=control:*",
            "m=video 0 RTP/AVP 96",
            f"a=rtpmap:96 {self._programme.codec_said or tape.codec.name}/{CLOCK_HZ}",
            f"a=fmtp:96 {_parameters(tape)}",
            "a=control:trackID=1",
        )
        return ("\r\n".join(lines) + "\r\n").encode()

    def _loses(self) -> bool:
        return self._lost.random() < self._programme.loss

    async def _play(self, way: Way) -> None:
        self._programme.begin()
        reported_at: float | None = None
        async for sending in self._programme.units():
            now_s = self._programme.now_s()
            if self._programme.reports and (reported_at is None or now_s - reported_at >= _REPORT_EVERY_S):
                way.send(self._report(now_s), report=True)
                reported_at = now_s
            nals = sending.unit.nals
            if self._programme.garbled:
                nals = tuple(nal[:2] + self._lost.randbytes(len(nal) - 2) for nal in nals)
            timestamp = self._programme.rtp_time(sending.shown_s)
            codec = self._programme.tape.codec
            numbers = {"first": self._sequence, "timestamp": timestamp, "ssrc": self._ssrc}
            for packet in packetise(codec, nals, uneven=self._programme.uneven, **numbers):
                way.send(packet)
                self._sequence += 1
            await self._writer.drain()
        self._writer.close()

    def _report(self, at_s: float) -> bytes:
        """Write a sender report (RFC 3550, section 6.4.1): one moment in both clocks."""
        ntp, rtp = self._programme.ntp_time(at_s), self._programme.rtp_time(at_s)
        return struct.pack(">BBHIQIII", 0x80, 200, 6, self._ssrc, ntp, rtp, self._sequence, 0)


def _parameters(tape: Tape) -> str:
    """Write the parameter sets as a session description has them (RFC 6184, 8.1; RFC 7798, 7.1)."""
    sets = [base64.b64encode(each).decode() for each in tape.sets]
    if tape.codec.name == "H265":
        return ";".join(f"sprop-{name}={each}" for name, each in zip(("vps", "sps", "pps"), sets, strict=True))
    return f"packetization-mode=1;profile-level-id={tape.sets[0][1:4].hex()};sprop-parameter-sets={','.join(sets)}"
