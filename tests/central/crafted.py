"""A box that speaks ZMTP and CURVE by itself (RFC 37 and 26), so that it can do what libzmq would not."""

import secrets
import socket
import struct

from nacl.public import Box, PrivateKey, PublicKey
from zmq.utils import z85

from edge.wire.curve import CurveKey

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
_METADATA = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER" + b"\x08Identity" + struct.pack(">I", 0)


class CraftedBox:
    """One connection to a centre, from its handshake on."""

    def __init__(self, endpoint: str, centre_key: str, key: CurveKey) -> None:
        host, port = endpoint.removeprefix("tcp://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self._count = 0
        centre, own, brief = PublicKey(z85.decode(centre_key)), _private(key), PrivateKey.generate()
        self.socket.sendall(GREETING)
        self._read(64)
        hello = _sealed(Box(brief, centre), b"CurveZMQHELLO---" + self._nonce(), b"\0" * 64)
        self._command(b"\x05HELLO\x01\x00" + b"\0" * 72 + bytes(brief.public_key) + self._last + hello)
        welcome = self._heard()
        opened = Box(brief, centre).decrypt(welcome[24:], b"WELCOME-" + welcome[8:24])
        centre_brief, cookie = PublicKey(opened[:32]), opened[32:]
        vouched = secrets.token_bytes(16)
        vouch = _sealed(Box(own, centre_brief), b"VOUCH---" + vouched, bytes(brief.public_key) + bytes(centre))
        self._box = Box(brief, centre_brief)
        inner = bytes(own.public_key) + vouched + vouch + _METADATA
        initiate = _sealed(self._box, b"CurveZMQINITIATE" + self._nonce(), inner)
        self._command(b"\x08INITIATE" + cookie + self._last + initiate)
        assert self._heard().startswith(b"\x05READY")

    def frame(self, body: bytes, *, more: bool) -> bytes:
        """Return the bytes of one encrypted frame."""
        inner = _sealed(self._box, b"CurveZMQMESSAGEC" + self._nonce(), (b"\1" if more else b"\0") + body)
        whole = b"\x07MESSAGE" + self._last + inner
        return (b"\2" + struct.pack(">Q", len(whole)) if len(whole) > 255 else b"\0" + bytes([len(whole)])) + whole

    def _nonce(self) -> bytes:
        self._count += 1
        self._last = struct.pack(">Q", self._count)
        return self._last

    def _command(self, body: bytes) -> None:
        long = len(body) > 255
        self.socket.sendall((b"\6" + struct.pack(">Q", len(body)) if long else b"\4" + bytes([len(body)])) + body)

    def _heard(self) -> bytes:
        flags = self._read(1)[0]
        return self._read(struct.unpack(">Q", self._read(8))[0] if flags & 2 else self._read(1)[0])

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, "the centre hung up"
            data += part
        return data


def _private(key: CurveKey) -> PrivateKey:
    return PrivateKey(z85.decode(key.secret))


def _sealed(box: Box, nonce: bytes, message: bytes) -> bytes:
    return bytes(box.encrypt(message, nonce).ciphertext)
