"""One session of a handshake revision over HTTP: its host, its running calls, what we ask the host, its own stream.

A host POSTs its messages one by one. Each request is answered on its own response (`line`), and so is what the call
says and asks on the way; the host's answers to our questions arrive as further POSTs. A call ends when it is done, when
the host cancels it, or with the session: a host that merely hangs up may come back for nothing, but has cancelled
nothing. What concerns no call goes out on the one stream that the host may open with a GET.

Below: line, server, `mcp`. Above: sessions.
Source: MCP 2025-11-25, Transports, "Streamable HTTP"; Cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data
from mcp.shared.dispatcher import CallOptions, coerce_request_id
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from starlette.types import Receive, Send

from gateway.surfaces.mcp.arrival import Arrival
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.line import CallLine, Line, error_of, notification, respond, result_of, stream
from gateway.surfaces.mcp.server import GatewayServer
from gateway.types import Principal

REQUEST_CANCELLED = -32800  # LSP's: these revisions have no code of their own, and a response ends only with an answer


class Session:
    """Serves one person's host from `initialize` on. `id` is as secret as a session id has to be."""

    def __init__(self, session_id: str, owner: Principal, server: GatewayServer, limits: Limits) -> None:
        self.id = session_id
        self.owner = owner
        self.headers = [(b"mcp-session-id", session_id.encode())]
        self.has_ended = False
        self._limits = limits
        self._own = _OwnStream()
        self._connection = Connection.for_loop(self._own, session_id=session_id)
        self._runner = ServerRunner(server, self._connection, {})
        self._calls: dict[types.RequestId, asyncio.Task[tuple[int, bytes]]] = {}
        self._asked: dict[types.RequestId, asyncio.Future[types.JSONRPCResponse | types.JSONRPCError]] = {}
        self._questions = 0

    @property
    def is_open(self) -> bool:
        """Whether the host has shaken hands."""
        return self._connection.initialize_accepted and not self.has_ended

    @property
    def is_working(self) -> bool:
        """Whether a call runs, with or without a host that waits for it."""
        return bool(self._calls)

    async def greet(self, request: types.JSONRPCRequest, http: Arrival) -> tuple[int, bytes]:
        """HTTP status and body for `initialize`. Nothing can cancel it."""
        return await self._answer(request, CallLine(http, request, self._limits.pause_seconds))

    async def answer(self, request: types.JSONRPCRequest, http: Arrival, receive: Receive, send: Send) -> None:
        """Run a request, and respond with what it gives."""
        line = CallLine(http, request, self._limits.pause_seconds, headers=self.headers, ask=self._ask)
        key = coerce_request_id(request.id)
        call = asyncio.create_task(self._answer(request, line))
        self._calls[key] = call
        call.add_done_callback(lambda done: self._calls.get(key) is done and self._calls.pop(key))
        await respond(call, line, receive, send)

    async def hear(self, message: types.JSONRPCNotification, http: Arrival) -> None:
        """Take a notification of the host."""
        if message.method == "notifications/cancelled":
            request_id = cancelled_request_id_from_params(message.params)
            call = None if request_id is None else self._calls.get(coerce_request_id(request_id))
            if call is not None:
                call.cancel()
        await self._runner.on_notify(CallLine(http, message, 0), message.method, message.params)

    def settle(self, answer: types.JSONRPCResponse | types.JSONRPCError) -> None:
        """Take the host's answer to a question. One that nobody waits for is dropped."""
        waiting = None if answer.id is None else self._asked.get(coerce_request_id(answer.id))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def listen(self, receive: Receive, send: Send) -> bool:
        """Serve the host's own stream until it hangs up. False, and nothing sent, if it has one already."""
        line = Line(self._limits.pause_seconds, self.headers)
        if not self._own.open(line):
            return False
        try:
            await stream(self._own.ending, line, receive, send)
        finally:
            self._own.close()
        return True

    async def end(self) -> None:
        """Cancel what runs, and close the host's stream. May be called again."""
        self.has_ended = True
        running = [*self._calls.values()]
        for call in running:
            call.cancel()
        if running:
            await asyncio.wait(running, timeout=self._limits.finish_seconds)
        self._own.end()
        await aclose_shielded(self._connection)

    async def _answer(self, request: types.JSONRPCRequest, line: CallLine) -> tuple[int, bytes]:
        """HTTP status and body. A cancelled call is answered too: without an answer its response would never end."""
        try:
            result = await self._runner.on_request(line, request.method, request.params)
        except asyncio.CancelledError:
            if self.has_ended:
                error = types.ErrorData(code=types.CONNECTION_CLOSED, message="The session has ended.")
                return 404, error_of(request.id, error)
            return 200, error_of(request.id, types.ErrorData(code=REQUEST_CANCELLED, message="Request cancelled"))
        except Exception as error:  # noqa: BLE001 - the SDK's table: what it does not know leaves without its text
            return 200, error_of(request.id, modern_error_data(error))
        return 200, result_of(request.id, result)

    async def _ask(
        self, line: Line, method: str, params: Mapping[str, Any] | None, opts: CallOptions
    ) -> dict[str, Any]:
        """The host's answer to a question on a call's line. MCPError for a refusal, silence, a host that has gone."""
        if line.is_closed:
            raise MCPError(types.CONNECTION_CLOSED, "The host has hung up.")
        self._questions += 1
        number = self._questions
        waiting = self._asked[number] = asyncio.get_running_loop().create_future()
        answer: types.JSONRPCResponse | types.JSONRPCError | None = None
        try:
            async with asyncio.timeout(opts.get("timeout")):
                await line.put({**notification(method, params), "id": number})
                answer = await waiting
        except TimeoutError:
            raise MCPError(types.REQUEST_TIMEOUT, f"The host did not answer {method} in time.") from None
        finally:
            del self._asked[number]
            if answer is None:
                line.offer(notification("notifications/cancelled", {"requestId": number}))
        if isinstance(answer, types.JSONRPCError):
            raise MCPError(answer.error.code, answer.error.message, answer.error.data)
        result: dict[str, Any] = answer.result
        return result


class _OwnStream:
    """The SDK's `Outbound` for what concerns no call: heard while the host has its stream open, else dropped."""

    def __init__(self) -> None:
        self.ending: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._line: Line | None = None

    def open(self, line: Line) -> bool:
        """Send on this line from now on; False if there is one already."""
        if self._line is not None:
            return False
        self._line = line
        return True

    def close(self) -> None:
        self._line = None

    def end(self) -> None:
        """End the stream for good."""
        if not self.ending.done():
            self.ending.set_result((200, b""))

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if self._line is not None:
            await self._line.put(notification(method, params))

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)  # we ask within a call, or not at all
