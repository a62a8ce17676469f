"""How every HTTP listener of ours is served: uvicorn, told to keep quiet and not to wait for ever.

Uvicorn's own log would print whole request lines, codes and keys included: it is off. Uvicorn waits without end for a
request to arrive: here its headers have `HEADER_SECONDS` and its body `BODY_SECONDS`. This module imports uvicorn, so
whoever counts milliseconds at the start imports it late. Above: the listener, the app.

A WebSocket is pinged, but nobody is cut off for a pong that does not come: the ATP SDK runs a tool in the thread that
would answer, and uvicorn does not read while the application does not. Who is really gone, TCP finds out; a route that
wants to know sooner asks (`probing`).

Source: uvicorn, "Settings"; RFC 9112 section 9.5 (closing after a time-out), RFC 9110 section 15.5.9 (408); RFC 6455
section 5.5; tcp(7), TCP_USER_TIMEOUT.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.surfaces.crowd import Crowd
from gateway.surfaces.probing import ProbingProtocol
from gateway.surfaces.proxies import Proxies

HEADER_SECONDS = 10.0
BODY_SECONDS = 60.0
HEADER_LIMIT = 64 << 10
MESSAGE_LIMIT = 4 << 20  # one WebSocket message, in bytes: the largest result of a tool, with every letter escaped
DRAIN_SECONDS = 20.0  # that calls under way have when the server stops
GRACE_SECONDS = 2  # that everything else has, once there are no calls: streams end with the server
PING_SECONDS = 20.0
SILENCE_MILLISECONDS = 60_000  # without an acknowledgement from the other side's kernel


_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 55\r\nretry-after: 5\r\n"
    b"connection: close\r\n\r\nToo many connections are open. Try again in a moment.\r\n"
)
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\ncontent-length: 56\r\nconnection: close\r\n\r\n"
    b"The request did not arrive in time. Send it once more.\r\n"
)


def most_connections() -> int:
    """Three quarters of the files that the process may have open: the rest is for databases and providers, and what
    is over is told so instead of waiting for a file to become free."""
    if sys.platform == "win32":
        return 10_000
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(soft * 3 // 4, 16)


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not arrive in time, whose headers grow too long, or that is one too many:
    of all, or from one address.

    A body that goes on after the answer is read, and thrown away, until its time is up: closing at once would destroy
    the answer on its way (RFC 9112 section 9.6).
    """

    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS
    most_connections = most_connections()

    def __init__(self, config: Config, **more: Any) -> None:
        super().__init__(config, **more)
        self._crowd = config.crowd
        self.access_log = False  # uvicorn turns it on again for whoever has put a handler on its logger
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes: int | None = 0  # None while no headers are being read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        may_enter = self._crowd.enter(peer_of(self))
        if not may_enter or len(self.connections) > self.most_connections:
            transport.write(_FULL)
            transport.close()
            return
        # asyncio does this only for sockets made with an explicit protocol number; without it Nagle's algorithm and
        # the client's delayed acknowledgement hold the end of every streamed answer back for 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._allow(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._allow(None)
        self._crowd.leave(peer_of(self))
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._header_bytes is not None:
            if self._header_bytes > HEADER_LIMIT:
                self.transport.close()
                return
            self._header_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._allow(self.header_seconds)

    def on_headers_complete(self) -> None:
        self._header_bytes = None
        upgrade = self.parser.should_upgrade()
        self._allow(None if upgrade else self.body_seconds)
        if upgrade and sys.platform == "linux":
            own_socket = self.transport.get_extra_info("socket")
            own_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MILLISECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._allow(None)
        super().on_message_complete()

    def _allow(self, seconds: float | None) -> None:
        """Close the connection after so many seconds; None: whenever."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._header_bytes is None and not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self.transport.close()


class Socket(ProbingProtocol):
    """A WebSocket: it has taken the place of the connection that it was."""

    def __init__(self, config: Config, **more: Any) -> None:
        super().__init__(config, **more)
        self._crowd = config.crowd

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(peer_of(self))
        super().connection_lost(exc)


def peer_of(connection: PatientProtocol | Socket) -> str:
    """The address at its other end; empty where that has none."""
    return connection.client[0] if connection.client else ""


class Config(uvicorn.Config):
    """Uvicorn's, and whom the connections of a server are from."""

    def __init__(self, app: ASGIApp, crowd: Crowd, **settings: Any) -> None:
        super().__init__(app, **settings)
        self.crowd = crowd


class Server(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone, says when it is up, and stops at once when told to.

    From then on it takes no connection and no further request. Calls that it has taken are answered, over whatever they
    came: `calls_under_way` says how many there are. Uvicorn looks ten times a second whether it is to stop, and rests a
    tenth of a second when it does.
    """

    def __init__(self, config: uvicorn.Config, calls_under_way: Callable[[], int] = lambda: 0) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._calls_under_way = calls_under_way
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Have `serve` come to its end: calls have `DRAIN_SECONDS`, all else `timeout_graceful_shutdown`."""
        self.should_exit = True
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # makes the Date header anew
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        self._part(sockets_too=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await _when(lambda: not self._calls_under_way())
        self._part(sockets_too=True)
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await _when(lambda: not (self.server_state.connections or self.server_state.tasks))
                for server in self.servers:
                    await server.wait_closed()
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()

    def _part(self, *, sockets_too: bool) -> None:
        """Close what is idle, and the rest when it has been answered. WebSockets last: toolkits answer over them."""
        for connection in list(self.server_state.connections):
            if sockets_too or not isinstance(connection, ProbingProtocol):
                connection.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _when(is_so: Callable[[], bool]) -> None:
    """Nothing tells us when it is so: it looks, less and less often."""
    pause = 0.0
    while not is_so():
        await asyncio.sleep(pause)
        pause = min(pause + 0.001, 0.1)


def server_config(app: ASGIApp, proxies: Proxies = Proxies(), **more: Any) -> Config:  # noqa: B008 - it trusts nobody
    """The settings that every listener of ours shares; `more` are uvicorn's own, and win. `proxies` are our own."""
    log = logging.getLogger("uvicorn.error")
    log.setLevel(logging.WARNING)  # below it stand paths of WebSockets, with keys in them
    log.addFilter(_is_a_fault)
    settings: dict[str, Any] = {
        "http": PatientProtocol,
        "ws": Socket,
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws_max_size": MESSAGE_LIMIT,
        "ws_ping_interval": PING_SECONDS,
        "ws_ping_timeout": None,
        "ws_per_message_deflate": False,  # costs memory for each socket, and lengths tell of tokens beside chosen text
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    chosen = {**settings, **more}
    return Config(app, Crowd(chosen["http"].most_connections // 3, proxies), **chosen)


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Not the stack of a request that did not end by itself when the server stopped, such as a host's open stream."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
