"""A worker's WebSocket: several calls at a time, each answered as soon as it is done.

A worker that stops says so. The gateway notes that, in so many words, and sends it no more calls: what it sent before
has then arrived. The worker answers what it has begun, and of what it has not begun says just that.

The library's own log is off below WARNING: it would print frames, with tokens in them. Below: `calls`, `websockets`.
Above: `work`. Source: AgentToolProtocol 0.2.5, `ToolKitClient.on_message`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from gateway.toolkit.afar.calls import Calls, Ended
from gateway.toolkit.afar.place import Place, error_of
from gateway.toolkit.afar.stopping import unless
from gateway.toolkit.answers import unreachable

log = logging.getLogger(__name__)
_WIRE = logging.getLogger(f"{__name__}.wire")
_WIRE.setLevel(logging.WARNING)

PATH = "/ws/v1/atp/toolkit-client/"
LARGEST_MESSAGE = 4 << 20  # bytes
STOPPING = "worker_stopping"
NOTED_SECONDS = 2.0
PING_SECONDS = 20.0
PONG_SECONDS = 60.0  # a tool that holds the loop for a while is slow, not gone


class SocketLine:
    """The worker's line to `place`."""

    def __init__(self, place: Place, calls: Calls) -> None:
        self._place = place
        self._calls = calls
        self._noted = asyncio.Event()

    async def serve(self, stopping: asyncio.Event) -> None:
        """Serve calls until the connection ends, or until `stopping` and every call is answered.

        KeyRefusedError when the key is no good, GatewayUnreachableError when it should be tried again.
        """
        try:
            socket = await unless(stopping, self._connect())
            if socket is None:
                return
            async with socket:
                log.info("connected to %s: up to %d calls at a time", self._place.base_url, self._calls.at_once)
                await self._converse(socket, stopping)
        except InvalidStatus as refused:
            raise error_of(refused.response.status_code, bytes(refused.response.body or b"")) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise unreachable(self._place.base_url, error) from None

    async def _connect(self) -> ClientConnection:
        return await connect(
            self._place.socket(PATH),
            additional_headers=self._place.headers,
            proxy=True if self._place.has_tls else None,
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            max_size=LARGEST_MESSAGE,
            compression=None,
            logger=_WIRE,
        )

    async def _converse(self, socket: ClientConnection, stopping: asyncio.Event) -> None:
        reading = asyncio.create_task(self._read(socket))
        stopped = asyncio.create_task(self._stop(socket, stopping))
        try:
            await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
        finally:
            reading.cancel()
            stopped.cancel()

    async def _stop(self, socket: ClientConnection, stopping: asyncio.Event) -> None:
        """Wait until it is time to stop, and then until there is nothing more to answer."""
        self._noted.clear()
        await stopping.wait()
        await self._say(socket, {"type": STOPPING})
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTED_SECONDS):
                await self._noted.wait()
        await self._calls.idle()

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for frame in socket:
                self._take(socket, frame)
        except ConnectionClosed as closed:
            log.warning("the gateway closed the connection: %s", closed)

    def _take(self, socket: ClientConnection, frame: str | bytes) -> None:
        try:
            message = json.loads(frame)
            payload = message["payload"]
            request_id = payload.get("request_id")
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            log.warning("the gateway sent a message that is none")
            return
        if message.get("message_type") == STOPPING:
            self._noted.set()
        elif message.get("message_type") == "atp_tool_request" and isinstance(request_id, str):
            self._calls.begin(payload, lambda ended: self._answer(socket, request_id, ended))

    async def _answer(self, socket: ClientConnection, request_id: str, ended: Ended) -> None:
        answer = {"type": "tool_response", "request_id": request_id, "result": ended.value, **ended.fields}
        with suppress(ConnectionClosed):  # the gateway has told its caller that nobody knows how the call ended
            await self._say(socket, answer)

    async def _say(self, socket: ClientConnection, message: Mapping[str, Any]) -> None:
        with suppress(ConnectionClosed):
            await socket.send(json.dumps(message, ensure_ascii=False))
