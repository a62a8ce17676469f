"""The handshake revisions over HTTP: who opens a session, who may use it, when it ends.

A session answers only the person who opened it, and only through the client that did; to everybody else it does not
exist. It ends when its host says so, when nothing has happened on it for a while, or with the server. Nothing is kept
for replay.

Below: session, line. Above: http. Source: MCP 2025-11-25, Transports, "Session Management".
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Receive, Send

from gateway.surfaces.mcp.arrival import Arrival
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.line import error_of, send_json
from gateway.surfaces.mcp.server import GatewayServer
from gateway.surfaces.mcp.session import Session
from gateway.types import Access

log = logging.getLogger(__name__)

SESSION_HEADER = "mcp-session-id"
TOO_MANY_SESSIONS = "You have too many MCP sessions open. End one (DELETE with its Mcp-Session-Id) and try again."
_FULL = "The gateway has too many MCP sessions open. Try again later."
_UNKNOWN = "Session not found. Send initialize without a session id to open a new one."
_NO_SESSION = "Send initialize first, and then the Mcp-Session-Id that its answer carries."
_SECOND_STREAM = "This session's stream is open already: one GET at a time."

Person = tuple[str, str, str]


@dataclass(slots=True)
class _Kept:
    """`busy` counts the HTTP requests that are being served; `used_at` is when the last one ended, by the loop."""

    session: Session
    person: Person
    client: str
    used_at: float
    busy: int = 0


class Sessions:
    """Serves HTTP requests of handshake revisions whose headers have been looked at, while `running` is entered."""

    def __init__(self, server: GatewayServer, limits: Limits) -> None:
        self._server = server
        self._limits = limits
        self._kept: dict[str, _Kept] = {}
        self._open: Counter[Person] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End idle sessions meanwhile, and all of them at the end."""
        sweep = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweep.cancel()
            await asyncio.gather(*(self._end(kept) for kept in [*self._kept.values()]))

    async def post(self, message: dict[str, Any], http: Arrival, receive: Receive, send: Send) -> None:
        """Answer a POST with this body."""
        try:
            read = _read(message)
        except ValidationError:
            await _refuse(send, 400, types.INVALID_REQUEST, "This is not a JSON-RPC 2.0 message.")
            return
        if isinstance(read, types.JSONRPCRequest) and read.method == "initialize" and _session_id(http) is None:
            await self._begin(read, http, send)
            return
        kept = await self._find(http, send)
        if kept is None:
            return
        kept.busy += 1
        try:
            await _hand_on(kept.session, read, http, receive, send)
        finally:
            kept.busy -= 1
            kept.used_at = asyncio.get_running_loop().time()

    async def other(self, http: Arrival, receive: Receive, send: Send) -> None:
        """Answer a GET with the host's own stream, a DELETE by ending the session, anything else not at all."""
        if http.method not in ("GET", "DELETE"):
            await Response(status_code=405, headers={"allow": "GET, POST, DELETE"})(http.scope, receive, send)
            return
        kept = await self._find(http, send)
        if kept is None:
            return
        if http.method == "DELETE":
            await self._end(kept)
            await Response(status_code=200)(http.scope, receive, send)
            return
        kept.busy += 1
        try:
            if not await kept.session.listen(receive, send):
                await _refuse(send, 409, types.INVALID_REQUEST, _SECOND_STREAM)
        finally:
            kept.busy -= 1
            kept.used_at = asyncio.get_running_loop().time()

    async def _begin(self, request: types.JSONRPCRequest, http: Arrival, send: Send) -> None:
        """Open a session, unless there are too many or the handshake fails."""
        access: Access = http.scope["state"]["access"]
        principal = access.principal
        person = (principal.tenant, principal.issuer, principal.subject)
        if self._open[person] >= self._limits.sessions_each:
            await _refuse(send, 429, types.INTERNAL_ERROR, TOO_MANY_SESSIONS)
            return
        if len(self._kept) >= self._limits.sessions:
            await _refuse(send, 503, types.INTERNAL_ERROR, _FULL)
            return
        session = Session(secrets.token_hex(16), principal, self._server, self._limits)
        kept = _Kept(session, person, access.client, asyncio.get_running_loop().time(), busy=1)
        self._kept[session.id] = kept
        self._open[person] += 1
        try:
            status, body = await session.greet(request, http)
        finally:
            kept.busy -= 1
            if not session.is_open:
                await self._end(kept)
        await send_json(send, status, body, session.headers if session.is_open else ())

    async def _find(self, http: Arrival, send: Send) -> _Kept | None:
        """The session that the request names, if it is its person's; None when the request has been refused."""
        session_id = _session_id(http)
        if session_id is None:
            await _refuse(send, 400, types.INVALID_REQUEST, _NO_SESSION)
            return None
        kept, access = self._kept.get(session_id), http.scope["state"]["access"]
        if kept is None or not kept.session.owner.same_person(access.principal) or kept.client != access.client:
            await _refuse(send, 404, types.INVALID_REQUEST, _UNKNOWN)
            return None
        return kept

    async def _end(self, kept: _Kept) -> None:
        """Forget the session first, before anything is awaited, so that its id is unknown from now on."""
        if self._kept.pop(kept.session.id, None) is not None:
            self._open[kept.person] -= 1
            self._open += Counter()  # drops people with none left
        await kept.session.end()

    async def _sweep(self) -> None:
        """End sessions that have been idle for their time, at the latest a quarter of it later."""
        loop, idle = asyncio.get_running_loop(), self._limits.session_idle_seconds
        while True:
            await asyncio.sleep(idle / 4)
            for kept in [*self._kept.values()]:
                if not kept.busy and not kept.session.is_working and loop.time() - kept.used_at >= idle:
                    await self._end(kept)


async def _hand_on(
    session: Session,
    message: types.JSONRPCMessage,
    http: Arrival,
    receive: Receive,
    send: Send,
) -> None:
    match message:
        case types.JSONRPCRequest():
            await session.answer(message, http, receive, send)
            return
        case types.JSONRPCNotification():
            await session.hear(message, http)
        case types.JSONRPCResponse() | types.JSONRPCError():
            session.settle(message)
    await Response(status_code=202, headers={SESSION_HEADER: session.id})(http.scope, receive, send)


def _read(message: dict[str, Any]) -> types.JSONRPCMessage:
    if "method" in message and "id" in message:
        return types.JSONRPCRequest.model_validate(message, by_name=False)
    return types.jsonrpc_message_adapter.validate_python(message, by_name=False)


def _session_id(http: Arrival) -> str | None:
    return http.fields.get(SESSION_HEADER) or None


async def _refuse(send: Send, status: int, code: int, sentence: str) -> None:
    await send_json(send, status, error_of(None, types.ErrorData(code=code, message=sentence)))
