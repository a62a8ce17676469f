"""How every HTTP listener of ours is served: uvicorn, told to keep quiet and not to wait for ever.

Uvicorn's own log would print whole request lines, codes and keys included: it is off. Uvicorn waits without end for a
request's headers: here they have `HEADER_SECONDS`. (The body's deadline is the edge's.) This module imports uvicorn,
so whoever counts milliseconds at the start imports it late. Above: the listener, the app.

Source: uvicorn, "Settings"; RFC 9112 section 9.5 (closing after a time-out).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
HEADER_LIMIT = 64 << 10
MESSAGE_LIMIT = 1 << 20  # one WebSocket message, in bytes; uvicorn's own default is 16 MiB
GRACE_SECONDS = 2


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose headers do not arrive in time, or grow too long.

    So too one that goes on and on with a body after it got its answer: the rest is read, and thrown away, for as long
    as headers may take, because closing at once would destroy the answer on its way (RFC 9112 section 9.6).
    """

    header_seconds = HEADER_SECONDS

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes: int | None = 0  # None while no headers are being read
        self._has_message_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
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
        self._has_message_begun = True
        self._header_bytes = 0
        self._arm()

    def on_headers_complete(self) -> None:
        self._header_bytes = None
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._has_message_begun = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._has_message_begun:
            self._arm()

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(self.header_seconds, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_config(app: ASGIApp, **more: Any) -> uvicorn.Config:
    """The settings that every listener of ours shares; `more` are uvicorn's own, and win."""
    settings: dict[str, Any] = {
        "http": PatientProtocol,
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws_max_size": MESSAGE_LIMIT,
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    return uvicorn.Config(app, **{**settings, **more})
