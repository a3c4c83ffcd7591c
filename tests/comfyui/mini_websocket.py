"""A small websocket client: enough to listen to ComfyUI, nothing to install."""

from __future__ import annotations

import base64
import os
import socket
import struct

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


class WebSocket:
    """Connects to ws://127.0.0.1:port/path and gives the messages one by one."""

    def __init__(self, port: int, path: str, timeout: float = 60.0):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._stream = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self._stream.readline()
        if b" 101 " not in status:
            raise ConnectionError(f"the server refused the websocket: {status!r}")
        while self._stream.readline().strip():
            pass

    def receive(self) -> str | bytes:
        """The next text (str) or binary (bytes) message.

        Raises TimeoutError when none comes in time, ConnectionError when the server closed.
        """
        message, kind = b"", _TEXT
        while True:
            final, opcode, payload = self._frame()
            if opcode == _CLOSE:
                raise ConnectionError("the server closed the websocket")
            if opcode == _PING:
                self._send(_PONG, payload)
                continue
            if opcode == _PONG:
                continue
            message += payload
            kind = opcode or kind  # a continuation frame carries opcode 0
            if final:
                return message.decode() if kind == _TEXT else message

    def send(self, text: str) -> None:
        self._send(_TEXT, text.encode())

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._read(8))
        return bool(first & 0x80), first & 0x0F, self._read(length)  # servers never mask

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if data is None or len(data) < count:
            raise ConnectionError("the server closed the websocket")
        return data

    def _send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 1 << 16:
            length = struct.pack(">BH", 0x80 | 126, size)
        else:
            length = struct.pack(">BQ", 0x80 | 127, size)
        self._socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)
