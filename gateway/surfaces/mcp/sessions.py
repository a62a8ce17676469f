"""The handshake revisions over HTTP: who opens a session, who may use it, when it ends.

A session answers only the person who opened it, and only through the client that did; to everybody else it does not
exist. It ends when its host says so. One that is not known here, because nothing has happened on it for a while, the
gateway was started anew, or another one with the same keys opened it, is opened again by its next request
(`session_ids`). Nothing is kept for replay.

Below: session, session_ids, line. Above: http. Source: MCP 2025-11-25, Transports, "Session Management".
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
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
from gateway.surfaces.mcp.session_ids import SessionIds
from gateway.types import Access

log = logging.getLogger(__name__)

SESSION_HEADER = "mcp-session-id"
TOO_MANY_SESSIONS = "You have too many MCP sessions open. End one (DELETE with its Mcp-Session-Id) and try again."
_FULL = "The gateway has too many MCP sessions open. Try again later."
_UNKNOWN = "Session not found. Send initialize without a session id to open a new one."
_NO_SESSION = "Send initialize first, and then the Mcp-Session-Id that its answer carries."
_MOST_REMEMBERED = 10_000  # ids of sessions that their hosts have ended
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

    def __init__(self, server: GatewayServer, limits: Limits, ids: SessionIds) -> None:
        self._server = server
        self._limits = limits
        self._ids = ids
        self._kept: dict[str, _Kept] = {}
        self._open: Counter[Person] = Counter()
        self._reviving: dict[str, asyncio.Task[_Kept | None]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

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
            self._ended[kept.session.id] = None
            if len(self._ended) > _MOST_REMEMBERED:
                self._ended.popitem(last=False)
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
        if full := self._why_full(access):
            await _refuse(send, *full)
            return
        session_id = self._ids.make(request.params or {}, access.principal, access.client)
        kept = self._keep(session_id, access)
        session = kept.session
        try:
            status, body = await session.greet(request, http)
        finally:
            kept.busy -= 1
            if not session.is_open:
                await self._end(kept)
        await send_json(send, status, body, session.headers if session.is_open else ())

    def _why_full(self, access: Access) -> tuple[int, int, str] | None:
        """How to refuse another session, where there are too many."""
        if self._open[_person(access)] >= self._limits.sessions_each:
            return 429, types.INTERNAL_ERROR, TOO_MANY_SESSIONS
        if len(self._kept) >= self._limits.sessions:
            return 503, types.INTERNAL_ERROR, _FULL
        return None

    def _keep(self, session_id: str, access: Access) -> _Kept:
        """A new session, which is busy with its handshake."""
        session, person = Session(session_id, access.principal, self._server, self._limits), _person(access)
        kept = _Kept(session, person, access.client, asyncio.get_running_loop().time(), busy=1)
        self._kept[session_id] = kept
        self._open[person] += 1
        return kept

    async def _revived(self, session_id: str, access: Access, http: Arrival) -> _Kept | None:
        """The session of this id, opened again; None where the id says nothing of this person and client."""
        said = None if session_id in self._ended else self._ids.read(session_id, access.principal, access.client)
        if said is None or self._why_full(access):
            return None
        task = self._reviving.get(session_id)
        if task is None:
            task = self._reviving[session_id] = asyncio.create_task(self._revive(session_id, said, access, http))
            task.add_done_callback(lambda _: self._reviving.pop(session_id, None))
        return await asyncio.shield(task)

    async def _revive(self, session_id: str, said: dict[str, Any], access: Access, http: Arrival) -> _Kept | None:
        """Shake hands again, with what the host said then. Until that is done, the session is nobody's to find."""
        kept = self._keep(session_id, access)
        del self._kept[session_id]
        session, ready = kept.session, types.JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
        try:
            await session.greet(types.JSONRPCRequest(jsonrpc="2.0", id=0, method="initialize", params=said), http)
            await session.hear(ready, http)
        finally:
            self._kept[session_id] = kept
            kept.busy -= 1
            if not session.is_open:  # what it said then is not taken by this version
                await self._end(kept)
        return kept if session.is_open else None

    async def _find(self, http: Arrival, send: Send) -> _Kept | None:
        """The session that the request names, if it is its person's; None when the request has been refused."""
        session_id = _session_id(http)
        if session_id is None:
            await _refuse(send, 400, types.INVALID_REQUEST, _NO_SESSION)
            return None
        access: Access = http.scope["state"]["access"]
        kept = self._kept.get(session_id) or await self._revived(session_id, access, http)
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


def _person(access: Access) -> Person:
    return access.principal.tenant, access.principal.issuer, access.principal.subject


def _session_id(http: Arrival) -> str | None:
    return http.fields.get(SESSION_HEADER) or None


async def _refuse(send: Send, status: int, code: int, sentence: str) -> None:
    await send_json(send, status, error_of(None, types.ErrorData(code=code, message=sentence)))
