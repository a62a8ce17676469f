"""What goes back over HTTP while a call runs: its notifications and questions, and at the end its answer.

An answer that comes at once is one JSON object. A call that takes longer than a blink is watched, so that we know when
its host hangs up. When it says something, or after a quarter of a minute of silence, the response becomes an event
stream, with a sign of life in every pause, so that no proxy takes it for dead.

Below: `mcp`. Above: exchange (2026-07-28), session (the handshake revisions).
Source: MCP 2026-07-28 and 2025-11-25, Transports, "Streamable HTTP"; HTML Living Standard, Server-sent events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
_UNSENT = 64  # messages that may wait for a slow host before the tool has to wait too
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

_encode = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` would make an encoder for each message

RawHeaders = Sequence[tuple[bytes, bytes]]
Ending = asyncio.Future[tuple[int, bytes]]
"""How a response ends: the HTTP status, where that is still to be sent, and the last message, if there is one."""


class Line:
    """Messages on their way to a host. They wait here until they are streamed.

    `pause` is the longest silence on a stream, in seconds; `headers` go with every response.
    """

    def __init__(self, pause: float, headers: RawHeaders = ()) -> None:
        self.pause = pause
        self.headers = headers
        self.is_closed = False
        self._events: list[bytes] = []
        self._woken = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    async def put(self, message: Mapping[str, Any]) -> None:
        """Send a message, as soon as there is room. What is for a host that has gone is dropped."""
        while len(self._events) >= _UNSENT:
            self._taken.clear()
            await self._taken.wait()
        self.offer(message)

    def offer(self, message: Mapping[str, Any]) -> None:
        """Send a message, or drop it where there is no room."""
        if not self.is_closed and len(self._events) < _UNSENT:
            self._events.append(_event(to_json(message)))
            self.wake()

    def take(self) -> bytes:
        """The messages that wait, as events."""
        events, self._events = self._events, []
        self._taken.set()
        return b"".join(events)

    def close(self) -> None:
        """Nobody reads any more."""
        self.is_closed = True
        self.take()

    def wake(self, _: object = None) -> None:
        """End the wait: something has happened."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until something happens, at most so long."""
        alarm = asyncio.get_running_loop().call_later(seconds, self.wake)
        await self._woken.wait()
        alarm.cancel()
        self._woken.clear()


Ask = Callable[[Line, str, Mapping[str, Any] | None, CallOptions], Awaitable[dict[str, Any]]]


class CallLine(Line):
    """The SDK's `DispatchContext` for one message of a host. `ask` puts a question to it, where that can be done."""

    def __init__(
        self,
        http: HttpRequest,
        request: types.JSONRPCRequest | types.JSONRPCNotification,
        pause: float,
        *,
        headers: RawHeaders = (),
        ask: Ask | None = None,
    ) -> None:
        super().__init__(pause, headers)
        self.request_id: types.RequestId | None = getattr(request, "id", None)
        self.can_send_request = ask is not None
        self.message_metadata = ServerMessageMetadata(request_context=http, can_send_request=ask is not None)
        self._http = http
        self._ask = ask
        self._progress_token = progress_token_from_params(request.params)

    @cached_property
    def transport(self) -> TransportContext:
        return TransportContext(
            kind="streamable-http", can_send_request=self.can_send_request, headers=self._http.headers
        )

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if self._ask is None:
            raise NoBackChannelError(method)
        return await self._ask(self, method, params, opts or {})

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        await self.put(notification(method, params))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self._progress_token is None:
            return
        told = {"progressToken": self._progress_token, "progress": progress, "total": total, "message": message}
        await self.notify("notifications/progress", {name: value for name, value in told.items() if value is not None})


async def respond(call: Ending, line: Line, receive: Receive, send: Send) -> None:
    """Send what the call gives. Returns before the call has ended only if the host has gone."""
    call.add_done_callback(line.wake)
    try:
        await line.wait(_BLINK_SECONDS)
        if call.done() and not line.has_events:
            await send_json(send, *call.result(), line.headers)
        else:
            await _respond_watched(call, line, receive, send)
    finally:
        line.close()


async def stream(ending: Ending, line: Line, receive: Receive, send: Send) -> None:
    """Send an event stream from the first moment on, until it ends or the host has gone."""
    ending.add_done_callback(line.wake)
    gone = _watch(line, receive)
    try:
        await _stream(ending, line, gone, send)
    finally:
        gone.cancel()
        line.close()


async def _respond_watched(call: Ending, line: Line, receive: Receive, send: Send) -> None:
    gone = _watch(line, receive)
    try:
        if not line.has_events:
            await line.wait(line.pause)
        if gone.done():
            return
        if call.done() and not line.has_events:
            await send_json(send, *call.result(), line.headers)
        else:
            await _stream(call, line, gone, send)
    finally:
        gone.cancel()


async def _stream(ending: Ending, line: Line, gone: asyncio.Task[None], send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *line.headers]})
    while not gone.done():
        done, events = ending.done(), line.take()
        if done:
            last = ending.result()[1]
            await send({"type": "http.response.body", "body": events + _event(last) if last else events})
            return
        await send({"type": "http.response.body", "body": events or _SIGN_OF_LIFE, "more_body": True})
        await line.wait(line.pause)


def _watch(line: Line, receive: Receive) -> asyncio.Task[None]:
    """A task that ends, and wakes the line, when the host hangs up."""
    gone = asyncio.create_task(_hung_up(receive))
    gone.add_done_callback(line.wake)
    return gone


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, status: int, body: bytes, headers: RawHeaders = ()) -> None:
    """One JSON object as the whole response."""
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})


def result_of(request_id: types.RequestId, result: Mapping[str, Any]) -> bytes:
    """The JSON-RPC response with a result."""
    return to_json({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_of(request_id: types.RequestId | None, error: types.ErrorData) -> bytes:
    """The JSON-RPC response with an error."""
    told = error.model_dump(mode="json", exclude_none=True)
    return to_json({"jsonrpc": "2.0", "id": request_id, "error": told})


def notification(method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": params}


def to_json(message: Mapping[str, Any]) -> bytes:
    return _encode(message).encode()


def _event(message: bytes) -> bytes:
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"
