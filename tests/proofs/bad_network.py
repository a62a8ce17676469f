"""A proxy between workers and their gateway that knows WebSocket frames: drops lines, says answers twice or late.

A worker's requests pass as they are. Of its WebSocket it reads which calls were sent, so that others can forge answers
to them. Source: RFC 6455 section 5.2.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_REQUEST_ID = re.compile(rb'"request_id": ?"([^"]+)"')
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing it resets it


class Line:
    """One WebSocket. `says_twice`: so many of the worker's next messages; `held`: they go on when this is set."""

    def __init__(self, *writers: StreamWriter) -> None:
        self._writers = writers
        self.says_twice = 0
        self.held = asyncio.Event()
        self.held.set()

    def drop(self, *, reset: bool) -> None:
        """Cut it, on both sides."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if reset and sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.close()


class BadNetwork:
    """Made by `bad_network`. `sent` has the ids of the latest calls that went to workers."""

    def __init__(self) -> None:
        self.base_url = ""
        self.gateway_port = 0
        self.lines: list[Line] = []
        self.sent: deque[str] = deque(maxlen=50)

    async def pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            there, to_gateway = await asyncio.open_connection("127.0.0.1", self.gateway_port)
            to_gateway.write(head)
            try:
                if b"upgrade: websocket" in head.lower():
                    await self._pass_on_frames(reader, writer, there, to_gateway)
                else:
                    await asyncio.gather(_pump(reader, to_gateway), _pump(there, writer))
            finally:
                to_gateway.close()
        writer.close()

    async def _pass_on_frames(
        self, reader: StreamReader, writer: StreamWriter, there: StreamReader, to_gateway: StreamWriter
    ) -> None:
        line = Line(writer, to_gateway)
        self.lines.append(line)
        try:
            writer.write(await there.readuntil(b"\r\n\r\n"))
            ways = [
                asyncio.create_task(self._calls(there, writer)),
                asyncio.create_task(_answers(line, reader, to_gateway)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self.lines.remove(line)

    async def _calls(self, reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            frame = await _frame(reader)
            self.sent.extend(found.decode() for found in _REQUEST_ID.findall(frame))
            writer.write(frame)
            await writer.drain()


async def _answers(line: Line, reader: StreamReader, writer: StreamWriter) -> None:
    while True:
        frame = await _frame(reader)
        is_text = frame[0] & 15 == 1
        if is_text:
            await line.held.wait()
        writer.write(frame)
        if is_text and line.says_twice:
            line.says_twice -= 1
            writer.write(frame)
        await writer.drain()


async def _frame(reader: StreamReader) -> bytes:
    """The bytes of one frame, as they came."""
    head = await reader.readexactly(2)
    length, masked = head[1] & 127, bool(head[1] & 128)
    more = await reader.readexactly({126: 2, 127: 8}.get(length, 0) + (4 if masked else 0))
    if length == 126:
        (length,) = struct.unpack("!H", more[:2])
    elif length == 127:
        (length,) = struct.unpack("!Q", more[:8])
    return head + more + await reader.readexactly(length)


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def bad_network() -> AsyncIterator[BadNetwork]:
    """Between whoever takes `base_url` for the gateway, and the gateway at `gateway_port`, which is set later."""
    network = BadNetwork()
    server = await asyncio.start_server(network.pass_on, "127.0.0.1", 0)
    network.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield network
        for line in network.lines:
            line.drop(reset=True)
