"""Uvicorn's WebSocket server, but it keeps quiet, and a route may ask whether the other side still follows.

Quiet, because keys stand in the paths of ATP's sockets, and uvicorn and websockets would log each path. A probe is a
ping whose pong is told to the route that asked: the other side has handled everything that was sent before it.

And it is calmer than uvicorn about what no client sends: a text that is no UTF-8, empty parts of a message without
end, frames that are none while answers are still on their way.

Above: `server`. Source: RFC 6455 section 5.5.3 (a pong may answer several pings: it stands for the earlier ones too),
section 8.1 (UTF-8).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

EXTENSION = "gateway.probe"

Probe = Callable[[], Awaitable[bool]]
"""Waits until the other side has handled what was sent so far. False: it has gone."""

_quiet = logging.getLogger("gateway.surfaces.probing.websocket")
_quiet.setLevel(logging.WARNING)


def probe_in(scope: Scope) -> Probe | None:
    """The probe of a socket's connection; None where another server serves it."""
    found: Probe | None = scope.get("extensions", {}).get(EXTENSION, {}).get("probe")
    return found


class ProbingProtocol(WebSocketsSansIOProtocol):
    """Puts its probe among the scope's extensions."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _quiet
        self.conn.logger, self.conn.debug = _quiet, False
        self._probes: dict[bytes, asyncio.Future[bool]] = {}

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = {"probe": self.probe}

    def handle_pong(self, event: Frame) -> None:
        answered = bytes(event.data)
        if answered not in self._probes:
            super().handle_pong(event)
            return
        for payload, waiting in tuple(self._probes.items()):
            self._probes.pop(payload)
            if not waiting.done():
                waiting.set_result(True)
            if payload == answered:
                return

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # empty ones count towards no limit, and would be kept until the last
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Uvicorn writes a stack into the log for each text that is no UTF-8, whoever sends it."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_text(self.frames):
            self.frames = []
            self.conn.fail(CloseCode.INVALID_DATA, "A text has to be UTF-8.")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self.disconnected = True  # or uvicorn takes what the route still sends for a bug in it

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for waiting in self._probes.values():
            if not waiting.done():
                waiting.set_result(False)

    async def probe(self) -> bool:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return False
        payload, waiting = secrets.token_bytes(8), self.loop.create_future()
        self._probes[payload] = waiting
        self.conn.send_ping(payload)
        self.transport.write(b"".join(self.conn.data_to_send()))
        try:
            return bool(await waiting)
        finally:
            self._probes.pop(payload, None)


def _is_text(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
