"""The kubelet's side of a forwarded port: a web socket whose messages begin with the number of a channel (RFC 6455)."""

import base64
import hashlib
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import BinaryIO

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DATA, ERROR = 0, 1
BINARY, CLOSE = 2, 8


def forward(handler: BaseHTTPRequestHandler, port: int, to: int) -> None:
    """Connect a request for a port of a pod with a port of this machine, until either side ends."""
    accept = hashlib.sha1((handler.headers["Sec-WebSocket-Key"] + GUID).encode(), usedforsecurity=False).digest()
    protocol = handler.headers["Sec-WebSocket-Protocol"].split(",")[-1].strip()
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    handler.wfile.write(head.encode())
    handler.close_connection = True
    first = struct.pack("<H", port)
    _send(handler.wfile, bytes([DATA]) + first)
    _send(handler.wfile, bytes([ERROR]) + first)
    with socket.create_connection(("127.0.0.1", to)) as target:
        back = threading.Thread(target=_back, args=(target, handler))
        back.start()
        while (message := _receive(handler.rfile)) is not None:
            target.sendall(message[1:])
        with suppress(OSError):  # it has gone already
            target.shutdown(socket.SHUT_RDWR)
        back.join()


def _back(target: socket.socket, handler: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        while data := target.recv(65536):
            _send(handler.wfile, bytes([DATA]) + data)
        handler.wfile.write(bytes([0x80 | CLOSE, 0]))


def _send(wire: BinaryIO, message: bytes) -> None:
    length = bytes([len(message)]) if len(message) < 126 else b"\x7e" + struct.pack(">H", len(message))
    if len(message) > 0xFFFF:
        length = b"\x7f" + struct.pack(">Q", len(message))
    wire.write(bytes([0x80 | BINARY]) + length + message)


def _receive(wire: BinaryIO) -> bytes | None:
    """Return the next message of a client, None when there is none any more."""
    try:
        head = wire.read(2)
        if len(head) < 2 or head[0] & 0x0F == CLOSE:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", wire.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", wire.read(8))
        mask = wire.read(4)
        masked = wire.read(length)
    except (OSError, struct.error):
        return None
    return bytes(byte ^ mask[number % 4] for number, byte in enumerate(masked))
