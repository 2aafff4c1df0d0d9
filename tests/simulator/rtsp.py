"""One RTSP connection of the simulated camera: H.264 in RTP, interleaved with the dialogue."""

import asyncio
import base64
import contextlib
import secrets
import struct

from tests.simulator.programme import Programme
from tests.simulator.requests import Gate, Request, answer, read_request
from tests.simulator.tape import packetise

PATH = "/axis-media/media.amp"
_REPORT_EVERY_S = 1.0
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"


class RtspConnection:
    """The dialogue with one client, and the stream it asked for."""

    def __init__(
        self, programme: Programme, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._programme, self._gate = programme, gate
        self._reader, self._writer = reader, writer
        self._session, self._ssrc = secrets.token_hex(4), secrets.randbits(32)
        self._channel = 0
        self._sequence = 0
        self._playing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer until the client leaves or the tape ends."""
        try:
            while (request := await read_request(self._reader)) is not None:
                self._writer.write(self._answer(request))
                await self._writer.drain()
                if request.method == "PLAY" and self._playing is None:
                    self._playing = asyncio.create_task(self._play())
                if request.method == "TEARDOWN":
                    return
        finally:
            if self._playing is not None:
                self._playing.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await self._playing

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
            case "SETUP" if "TCP" not in request.headers.get("transport", ""):
                status = "461 Unsupported Transport"
            case "SETUP":
                transport = request.headers["transport"]
                self._channel = int(transport.partition("interleaved=")[2].partition("-")[0] or 0)
                headers |= {"Transport": transport, "Session": f"{self._session};timeout=60"}
            case "PLAY" | "TEARDOWN" | "GET_PARAMETER":
                headers["Session"] = self._session
            case _:
                status = "405 Method Not Allowed"
        return answer("RTSP/1.0", status, headers, body)

    def _description(self) -> bytes:
        tape = self._programme.tape
        sprop = ",".join(base64.b64encode(each).decode() for each in (tape.sps, tape.pps))
        lines = (
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=Simulated camera",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=control:*",
            "m=video 0 RTP/AVP 96",
            "a=rtpmap:96 H264/90000",
            (f"a=fmtp:96 packetization-mode=1;profile-level-id={tape.sps[1:4].hex()};sprop-parameter-sets={sprop}"),
            "a=control:trackID=1",
        )
        return ("\r\n".join(lines) + "\r\n").encode()

    async def _play(self) -> None:
        self._programme.begin()
        reported_at: float | None = None
        async for sending in self._programme.units():
            now_s = self._programme.now_s()
            if self._programme.reports and (reported_at is None or now_s - reported_at >= _REPORT_EVERY_S):
                self._interleave(self._channel + 1, self._report(now_s))
                reported_at = now_s
            timestamp = self._programme.rtp_time(sending.shown_s)
            for packet in packetise(sending.unit, first=self._sequence, timestamp=timestamp, ssrc=self._ssrc):
                self._interleave(self._channel, packet)
                self._sequence += 1
            await self._writer.drain()
        self._writer.close()

    def _report(self, at_s: float) -> bytes:
        """Write a sender report (RFC 3550, section 6.4.1): one moment in both clocks."""
        ntp, rtp = self._programme.ntp_time(at_s), self._programme.rtp_time(at_s)
        return struct.pack(">BBHIQIII", 0x80, 200, 6, self._ssrc, ntp, rtp, self._sequence, 0)

    def _interleave(self, channel: int, packet: bytes) -> None:
        self._writer.write(struct.pack(">cBH", b"$", channel, len(packet)) + packet)
