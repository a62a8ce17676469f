"""Messages over a socket pair: JSON objects, each after its length in four bytes.

`Line` is an end of it on an event loop. Before there is one, `send_now` and `receive_now` do the same and block.
Whoever sends faster than the other side reads is held up by `room`, and what arrives faster than it is read stays in
the socket: neither end holds more than a few messages.

Below: nothing. Used by the worker and by the gateway.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self, cast

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")
_LARGEST = 64 << 20  # far above a result's limit: whoever says more does not speak this language
_MANY = 64  # messages that wait to be received before the socket is left alone
_encode = json.JSONEncoder(separators=(",", ":")).encode


def packed(message: Message) -> bytes:
    """A message as it travels. TypeError or ValueError for what is not JSON."""
    body = _encode(message).encode()
    return _LENGTH.pack(len(body)) + body


def send_now(end: socket.socket, message: Message) -> None:
    end.sendall(packed(message))


def receive_now(end: socket.socket, seconds: float | None = None) -> Message | None:
    """The next message; None when the other side has gone. TimeoutError when it takes longer than `seconds`."""
    until = None if seconds is None else time.monotonic() + seconds

    def take(count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            end.settimeout(None if until is None else max(0.001, until - time.monotonic()))
            part = end.recv(count - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    try:
        message: Message = json.loads(take(_LENGTH.unpack(take(_LENGTH.size))[0]))
    except (EOFError, ConnectionError):
        return None
    return message


class Line(asyncio.Protocol):
    """One end, on the running loop. `closed` is called once, when the other side has gone."""

    def __init__(self, closed: Callable[[], None] | None = None) -> None:
        self._closed = closed
        self._rest = bytearray()
        self._messages: deque[Message] = deque()
        self._awaited: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self.is_open = True

    @classmethod
    async def over(cls, end: socket.socket, closed: Callable[[], None] | None = None) -> Self:
        """The line over a connected socket, which is the line's from now on."""
        end.setblocking(False)
        _, line = await asyncio.get_running_loop().create_unix_connection(lambda: cls(closed), sock=end)
        return line

    def send(self, message: Message) -> None:
        """Have a message leave, soon. To a side that has gone, nothing is sent. `room` waits until it has."""
        if self._transport is not None and self.is_open:
            self._transport.write(packed(message))

    async def room(self) -> None:
        """Wait until the other side keeps up."""
        await self._writable.wait()

    async def receive(self) -> Message | None:
        """The next message; None when the other side has gone and everything it said has been received."""
        while not self._messages:
            if not self.is_open:
                return None
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        message = self._messages.popleft()
        if self._paused and self._transport is not None and self.is_open:
            self._paused = False
            self._transport.resume_reading()
        return message

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are, but do not say so

    def data_received(self, data: bytes) -> None:
        self._rest += data
        start = 0
        while len(self._rest) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, start)
            end = start + _LENGTH.size + length
            if length > _LARGEST:
                return self.close()
            if len(self._rest) < end:
                break
            self._messages.append(json.loads(self._rest[start + _LENGTH.size : end]))
            start = end
        del self._rest[:start]
        if len(self._messages) >= _MANY and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()
        return None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._writable.set()
        self._wake()
        if self._closed is not None:
            self._closed()

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
