"""A proxy between two gateways that cuts their requests off, holds answers back, and brings requests twice.

It reads HTTP/1.1 as gateways speak it to each other: a request with a length, an answer with a length.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing it resets it


class BadLink:
    """Made by `bad_link`. `seen` are the latest bodies that came by, on their way to the gateway at `port`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self.seen: deque[bytes] = deque(maxlen=20)
        self.answers_pass = asyncio.Event()
        self.answers_pass.set()
        self.drops_next = 0
        self.brings_twice = 0
        self._open: list[tuple[StreamWriter, StreamWriter]] = []

    async def pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            there, onward = await asyncio.open_connection("127.0.0.1", self.port)
            self._open.append((writer, onward))
            try:
                await asyncio.gather(self._requests(reader, onward), self._answers(there, writer))
            finally:
                for pair in [pair for pair in self._open if pair[0] is writer]:
                    self._open.remove(pair)
                    pair[1].close()
        writer.close()

    def cut(self, chance: random.Random) -> None:
        """Cut one of the connections, in whatever state it is."""
        if self._open:
            drop(*chance.choice(self._open), reset=chance.random() < 0.5)

    async def _requests(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                head, body = await _message(reader)
                self.seen.append(body)
                if self.brings_twice:
                    self.brings_twice -= 1
                    _, copy = await asyncio.open_connection("127.0.0.1", self.port)
                    self._open.append((writer, copy))
                    copy.write(head + body)
                writer.write(head + body)
                await writer.drain()
        finally:
            writer.close()

    async def _answers(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                head, body = await _message(reader)
                await self.answers_pass.wait()
                if self.drops_next:
                    self.drops_next -= 1
                    return
                writer.write(head + body)
                await writer.drain()
        finally:
            writer.close()


def drop(*writers: StreamWriter, reset: bool) -> None:
    for writer in writers:
        sock = writer.get_extra_info("socket")
        if reset and sock is not None and sock.fileno() != -1:  # it was cut before
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.close()


async def _message(reader: StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    found = _LENGTH.search(head)
    return head, await reader.readexactly(int(found[1])) if found else b""


@asynccontextmanager
async def bad_link(port: int) -> AsyncIterator[BadLink]:
    """Between whoever takes `url` for the gateway, and the gateway at `port`."""
    link = BadLink(port)
    server = await asyncio.start_server(link.pass_on, "127.0.0.1", 0)
    link.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield link
        for pair in list(link._open):
            drop(*pair, reset=True)
