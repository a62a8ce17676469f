"""What goes back over HTTP while a modern call runs: its notifications, and at the end its answer.

An answer that comes at once is one JSON object. A call that takes longer than a blink is watched: when its host hangs
up, it is cancelled. When it says something, or after a quarter of a minute of silence, the response becomes an event
stream, with a sign of life in every pause, so that no proxy takes it for dead.

Source: MCP 2026-07-28, Transports, "Streamable HTTP"; HTML Living Standard, Server-sent events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Send

_BLINK_SECONDS = 0.05
_SIGN_OF_LIFE = b": still working\r\n\r\n"
_UNSENT = 64  # notifications that may wait for a slow host before the tool has to wait too
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

Call = asyncio.Task[tuple[int, bytes]]


class Line:
    """The SDK's `DispatchContext` for one request: notifications wait here until they are streamed.

    `pause` is the longest silence on a stream, in seconds."""

    can_send_request = False

    def __init__(self, http: HttpRequest, request: types.JSONRPCRequest, pause: float) -> None:
        self.pause = pause
        self.request_id: types.RequestId | None = request.id
        self.transport = TransportContext(kind="streamable-http", can_send_request=False, headers=http.headers)
        self.message_metadata = ServerMessageMetadata(request_context=http)
        self._progress_token = progress_token_from_params(request.params)
        self._events: asyncio.Queue[bytes] = asyncio.Queue(_UNSENT)
        self._woken = asyncio.Event()

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        return anyio.Event()

    @property
    def has_events(self) -> bool:
        return not self._events.empty()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        await self._events.put(_event(to_json(message)))
        self.wake()

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self._progress_token is None:
            return
        told = {"progressToken": self._progress_token, "progress": progress, "total": total, "message": message}
        await self.notify("notifications/progress", {name: value for name, value in told.items() if value is not None})

    def wake(self, _: object = None) -> None:
        """End the wait: something has happened."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until something happens, at most so long."""
        alarm = asyncio.get_running_loop().call_later(seconds, self.wake)
        await self._woken.wait()
        alarm.cancel()
        self._woken.clear()

    def take(self) -> bytes:
        """The events that wait."""
        events = []
        while self.has_events:
            events.append(self._events.get_nowait())
        return b"".join(events)


async def respond(call: Call, line: Line, receive: Receive, send: Send) -> None:
    """Send what the call gives: an HTTP status and a body. Does not return before the call has ended."""
    call.add_done_callback(line.wake)
    try:
        await line.wait(_BLINK_SECONDS)
        if call.done() and not line.has_events:
            await send_json(send, *call.result())
        else:
            await _respond_watched(call, line, receive, send)
    finally:
        if not call.done():
            call.cancel()
            await asyncio.wait([call])


async def _respond_watched(call: Call, line: Line, receive: Receive, send: Send) -> None:
    gone = asyncio.create_task(_hung_up(receive))
    gone.add_done_callback(line.wake)
    try:
        if not line.has_events:
            await line.wait(line.pause)
        if gone.done():
            return
        if call.done() and not line.has_events:
            await send_json(send, *call.result())
        else:
            await _stream(call, line, gone, send)
    finally:
        gone.cancel()


async def _stream(call: Call, line: Line, gone: asyncio.Task[None], send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
    while not gone.done():
        done, events = call.done(), line.take()
        if done:
            await send({"type": "http.response.body", "body": events + _event(call.result()[1])})
            return
        await send({"type": "http.response.body", "body": events or _SIGN_OF_LIFE, "more_body": True})
        await line.wait(line.pause)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, status: int, body: bytes) -> None:
    """One JSON object as the whole response."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def to_json(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _event(message: bytes) -> bytes:
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"
