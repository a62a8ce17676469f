"""The loopback listener of `stdio` mode: started when a page is needed for the first time, and not before.

A link to our connect page needs somebody who serves it. The port is fixed, because providers want the redirect URI
registered; so when another gateway process of the same person and database holds it already, its pages serve ours as
well: the flow is in the database that both share. When a stranger holds the port, a free one is taken.

Web modules are imported on first need: starting `stdio` must not wait for them. Below: `server`, `instance`. Above:
the app, which hands `base_url` to the flows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.errors import SettingsError
from gateway.surfaces.instance import Instance
from gateway.surfaces.sockets import listening_socket

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from gateway.surfaces.server import Server

log = logging.getLogger(__name__)

PORT = 8788
_ADDRESS = "127.0.0.1"
_PATIENCE = 2.0  # seconds for another process to prove itself
_ANSWER_LIMIT = 1024


class Listener:
    """Serves what `app_factory(base_url)` gives, on 127.0.0.1."""

    def __init__(self, app_factory: Callable[[str], ASGIApp], instance: Instance, port: int = PORT) -> None:
        self._app_factory = app_factory
        self._instance = instance
        self._port = port
        self._starting = asyncio.Lock()
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._url = ""

    async def base_url(self) -> str:
        """Where the pages are, such as `http://127.0.0.1:8788`; starts to serve them if nobody does.

        Another process's pages are asked for again each time: that process may have ended since.
        """
        async with self._starting:
            if self._serving is not None and not self._serving.done():
                return self._url
            if taken := _bind(self._port):
                return await self._serve(taken)
            shared = f"http://{_ADDRESS}:{self._port}"
            if await self._is_ours(f"{_ADDRESS}:{self._port}"):
                return shared
            free = _bind(0)
            if free is None:
                raise SettingsError("No port is free on 127.0.0.1 for the connect page. Close a program and try again.")
            url = await self._serve(free)
            log.warning("Port %d is in use by another program; the connect page is at %s instead.", self._port, url)
            return url

    async def aclose(self) -> None:
        """Stop serving. Safe to call when nothing was ever served."""
        async with self._starting:
            if self._server is not None and self._serving is not None:
                self._server.stop()
                await asyncio.gather(self._serving, return_exceptions=True)
            self._server = self._serving = None

    async def _serve(self, bound: socket.socket) -> str:
        from gateway.surfaces.server import Server, server_config

        self._url = f"http://{_ADDRESS}:{bound.getsockname()[1]}"
        try:
            self._server = Server(server_config(self._app_factory(self._url)))
        except BaseException:
            bound.close()
            raise
        self._serving = asyncio.create_task(_run(self._server, bound))
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait({up, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._serving.done():
            await self._serving
        return self._url

    async def _is_ours(self, host: str) -> bool:
        """Whether the process on that port has our vault's key and our database."""
        import httpx2

        challenge = secrets.token_urlsafe(24)
        try:
            async with asyncio.timeout(_PATIENCE), httpx2.AsyncClient(trust_env=False) as http:
                request = http.stream("GET", f"http://{host}/healthz", params={"challenge": challenge})
                async with request as response:
                    answer = b""
                    async for part in response.aiter_bytes():
                        answer += part
                        if len(answer) > _ANSWER_LIMIT:
                            return False
        except (TimeoutError, httpx2.HTTPError):
            return False
        try:
            proof = json.loads(answer)["proof"]
        except (ValueError, LookupError, TypeError):
            return False
        return isinstance(proof, str) and self._instance.is_proof(proof, host, challenge)


def _bind(port: int) -> socket.socket | None:
    """A socket on the port, or None when somebody else has it."""
    try:
        return listening_socket(_ADDRESS, port)
    except OSError:
        return None


async def _run(server: Server, bound: socket.socket) -> None:
    try:
        await server.serve(sockets=[bound])
    except SystemExit:  # uvicorn's way to say that the application's start-up failed; it must not end our process
        raise SettingsError("The connect page could not be started; the log says why.") from None
    finally:
        bound.close()
