"""Puts an ASGI app on a loopback port for as long as a `with` block lasts.

    async with serving(app) as base_url:
        …

It runs inside the running event loop: quiet, without signal handlers, and gone when the block is left. Not for
production: that is `gateway.app`'s business. Below: `gateway.surfaces.server`, `wire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.types import ASGIApp

from gateway.surfaces.server import Server, server_config
from gateway.testing.wire import OpenWire

LOOPBACK = "127.0.0.1"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """The app's base URL, `http://127.0.0.1:{port}`, answering from the first line of the block on.

    Port 0 takes a free one. Raises OSError when the port is taken, RuntimeError when the app does not start. Requests
    still running when the block is left are given one second and then cancelled.
    """
    listener = listen(port)
    server = _Server(server_config(app, http=OpenWire, lifespan="auto", timeout_graceful_shutdown=1))
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


class _Server(Server):
    """Our server, but one whose failed start is an error instead of the process's end."""

    async def wait_until_answering(self, running: asyncio.Task[None]) -> None:
        up = asyncio.create_task(self.up.wait())
        await asyncio.wait([up, running], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if running.done():
            running.result()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            raise RuntimeError("The app did not start: its lifespan failed. The log says why.") from None
