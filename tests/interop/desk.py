"""Where a person sits whose programs want to show them something: what they open in a browser comes here.

Programs find `$BROWSER` and start it with an address. Ours is a script that hands the address over to the test, which
then opens it in whatever browser it has at hand; so the person is the test's, and the program none the wiser.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

_SCRIPT = """#!/bin/sh
exec {python} -SEc 'import socket, sys
hand = socket.create_connection(("127.0.0.1", {port}))
hand.sendall(sys.argv[1].encode() + b"\\n")' "$@"
"""


class Desk:
    """`browser` is what a program is to be given as `$BROWSER`."""

    def __init__(self, browser: Path) -> None:
        self.browser = browser
        self._opened: asyncio.Queue[str] = asyncio.Queue()

    async def opened(self, seconds: float = 40) -> str:
        """The next address that a program opens."""
        with anyio.fail_after(seconds):
            return await self._opened.get()

    def show(self, url: str) -> None:
        """Open an address, for a program in this process."""
        self._opened.put_nowait(url)

    async def _hear(self, reader: StreamReader, writer: StreamWriter) -> None:
        if address := (await reader.readline()).decode().strip():
            self._opened.put_nowait(address)
        writer.close()


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    made = Desk(folder / "browser")
    server = await asyncio.start_server(made._hear, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        made.browser.write_text(_SCRIPT.format(python=sys.executable, port=port))
        made.browser.chmod(0o755)
        yield made
