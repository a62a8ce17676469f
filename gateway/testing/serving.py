"""Puts an ASGI app on a loopback port for as long as a `with` block lasts.

    async with serving(app) as base_url:
        …

It runs uvicorn inside the running event loop: quiet, without signal handlers, and gone when the block is left. Not for
production: that is `gateway.app`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """The app's base URL, `http://127.0.0.1:{port}`, answering from the first line of the block on.

    Port 0 takes a free one. Raises OSError when the port is taken, RuntimeError when the app does not start. Requests
    still running when the block is left are given one second and then cancelled.
    """
    listener = listen(port)
    config = uvicorn.Config(app, log_config=None, access_log=False, ws_ping_interval=None, timeout_graceful_shutdown=1)
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.wait_until_answering(running)
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    finally:
        server.stop()
        await asyncio.gather(running, return_exceptions=True)
        listener.close()


def listen(port: int = 0) -> socket.socket:
    """A bound loopback socket. Port 0 takes a free one; `getsockname()[1]` says which."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """uvicorn that says when it answers, stops at once, and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._answering = asyncio.Event()
        self._stopping = asyncio.Event()

    async def wait_until_answering(self, running: asyncio.Task[None]) -> None:
        waiting = asyncio.create_task(self._answering.wait())
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()

    def stop(self) -> None:
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn's word for "the app did not start"; it would end the whole process
            raise RuntimeError("The app did not start: its lifespan failed. The log says why.") from None
        self._answering.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._stopping.wait()
