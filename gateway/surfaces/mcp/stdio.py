"""MCP over stdin and stdout: one host, one person, one line a message.

Both protocol eras are served on the same pipe, each by a loop of its own: some hosts probe with `server/discover` and
then shake hands, and a server that settled on the era of the first message would refuse them. Lines that are no
message are answered with an error, and never end the connection. At the end of input, calls that are running get a
moment to finish.

Blocking reads and writes happen on daemon threads, so that a host that neither reads nor writes cannot keep this
process alive.

Source: MCP 2026-07-28 and 2025-11-25, Transports, "stdio"; MCP 2026-07-28 Versioning, "Backward compatibility".
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from gateway.surfaces.mcp.daemon_thread import DaemonThread
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.server import GatewayServer
from gateway.surfaces.mcp.strict_json import UnacceptableError, parse_message

log = logging.getLogger(__name__)

_CHUNK = 1 << 16


async def serve_stdio(server: GatewayServer, source: int, sink: int, limits: Limits) -> None:
    """Serve the host at these two descriptors until it closes its end, or SIGTERM."""
    to_host, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    async with server.running(), anyio.create_task_group() as tasks:
        with _cancelled_by_sigterm(tasks.cancel_scope):
            pending = _Pending()
            modern, legacy = (_start_loop(server, tasks, to_host) for _ in range(2))
            tasks.start_soon(_write, outgoing, sink, pending, tasks.cancel_scope)
            async with to_host, modern, legacy:
                async for line in _lines(source, limits.body_bytes):
                    await _deliver(line, modern, legacy, to_host, pending)
                await pending.wait(limits.finish_seconds)


def _start_loop(
    server: GatewayServer, tasks: anyio.abc.TaskGroup, to_host: MemoryObjectSendStream[SessionMessage]
) -> MemoryObjectSendStream[SessionMessage | Exception]:
    """One era's loop: it settles on the era of the first message it is given."""
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](math.inf)
    tasks.start_soon(server.run, receive, to_host.clone(), server.create_initialization_options())
    return send


class _Pending:
    """The requests that wait for an answer."""

    def __init__(self) -> None:
        self._ids: set[types.RequestId] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, message: types.JSONRPCRequest) -> None:
        if message.method == "subscriptions/listen":  # ends with the connection, not before
            return
        self._ids.add(message.id)
        self._none.clear()

    def drop(self, request_id: Any) -> None:
        self._ids.discard(request_id)
        if not self._ids:
            self._none.set()

    async def wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._none.wait()


async def _deliver(
    line: bytes | UnacceptableError,
    modern: MemoryObjectSendStream[SessionMessage | Exception],
    legacy: MemoryObjectSendStream[SessionMessage | Exception],
    to_host: MemoryObjectSendStream[SessionMessage],
    pending: _Pending,
) -> None:
    """Give a line to the loop of its era; answer what is not a message."""
    try:
        message = _read_message(line)
    except UnacceptableError as error:
        refused = types.ErrorData(code=error.code, message=str(error))
        await to_host.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=refused)))
        return
    match message:
        case types.JSONRPCRequest():
            pending.add(message)
            await (modern if _has_envelope(message) else legacy).send(SessionMessage(message))
        case types.JSONRPCNotification(method="notifications/cancelled"):
            pending.drop((message.params or {}).get("requestId"))
            await modern.send(SessionMessage(message))
            await legacy.send(SessionMessage(message))
        case _:
            await legacy.send(SessionMessage(message))


def _read_message(line: bytes | UnacceptableError) -> types.JSONRPCMessage:
    if isinstance(line, UnacceptableError):
        raise line
    try:
        return types.jsonrpc_message_adapter.validate_python(parse_message(line), by_name=False)
    except ValidationError:
        raise UnacceptableError(types.INVALID_REQUEST, "This is JSON, but not a JSON-RPC 2.0 message.") from None


def _has_envelope(request: types.JSONRPCRequest) -> bool:
    """Whether the request is of 2026-07-28 or later: it then names its revision, and there is no handshake."""
    meta = (request.params or {}).get("_meta")
    return isinstance(meta, dict) and types.PROTOCOL_VERSION_META_KEY in meta and request.method != "initialize"


async def _lines(source: int, limit: int) -> AsyncIterator[bytes | UnacceptableError]:
    """The lines that arrive, without blank ones; an error in place of one longer than `limit` bytes."""
    reader = DaemonThread("mcp-stdin")
    rest, too_long = b"", False
    while chunk := await reader.run(os.read, source, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if too_long or len(line) > limit:
                yield UnacceptableError(types.INVALID_REQUEST, f"A message is at most {limit} bytes.")
            elif line.strip():
                yield line
            too_long = False
        if len(rest) > limit:
            rest, too_long = b"", True
    if rest.strip() and not too_long:
        yield rest


async def _write(
    outgoing: MemoryObjectReceiveStream[SessionMessage], sink: int, pending: _Pending, serving: anyio.CancelScope
) -> None:
    writer = DaemonThread("mcp-stdout")
    async with outgoing:
        async for item in outgoing:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await writer.run(_write_all, sink, text.encode() + b"\n")
            except OSError:  # the host is gone
                serving.cancel()
                return
            if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
                pending.drop(item.message.id)


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


@contextmanager
def _cancelled_by_sigterm(serving: anyio.CancelScope) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, serving.cancel)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows; or not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
