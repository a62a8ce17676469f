"""MCP over HTTP: Streamable HTTP at /mcp, and HTTP+SSE at /sse and /messages/ for old hosts.

At /mcp a request goes to one of two: `exchange` serves 2026-07-28, where each stands alone, `sessions` the handshake
revisions. The old transport is the SDK's; the Principal that the edge found becomes the SDK's user there, so that a
stream answers only the person who opened it. A body is read once, strictly.

Below: exchange, sessions, server, `mcp`. Above: surface; in front: the edge, which authenticates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.surfaces.mcp.arrival import Arrival
from gateway.surfaces.mcp.exchange import Exchange
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.line import error_of
from gateway.surfaces.mcp.server import GatewayServer
from gateway.surfaces.mcp.session_ids import SessionIds
from gateway.surfaces.mcp.sessions import TOO_MANY_SESSIONS, Sessions
from gateway.surfaces.mcp.step_up import StepUp
from gateway.surfaces.mcp.strict_json import UnacceptableError, parse_message
from gateway.types import Access, Principal


class HttpTransport:
    """`routes` to mount at the root, and the `lifespan` to enter around serving them."""

    def __init__(
        self,
        server: GatewayServer,
        hosts: Iterable[str],
        origins: Iterable[str],
        *,
        limits: Limits,
        step_up: StepUp,
        session_ids: SessionIds,
    ) -> None:
        security = TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=list(origins))
        guard = TransportSecurityMiddleware(security)
        self._server = server
        self._sessions = Sessions(server, limits, session_ids)
        streamable = _Streamable(self._sessions, Exchange(server, limits), guard, limits, step_up)
        sse = _Sse(server, SseServerTransport("/messages/", security, limits.body_bytes), guard, limits, step_up)
        self._sse = sse
        self.routes: list[BaseRoute] = [
            Route("/mcp", endpoint=_Personal(streamable)),
            Route("/sse", endpoint=_Personal(sse.stream), methods=["GET"]),
            Mount("/messages/", app=_Personal(sse.messages)),
        ]

    @property
    def sessions(self) -> int:
        """How many sessions are open, of the transport that has them and of the old one."""
        return len(self._sessions) + self._sse.streams

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Serve for as long as this is entered. Once only."""
        async with self._server.running(), self._sessions.running():
            yield


class _Personal:
    """ASGI: nobody without an Access."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not isinstance(scope.get("state", {}).get("access"), Access):
            await Response("Log in first.", 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Streamable:
    """ASGI: Streamable HTTP. Looks at the headers that both eras have in common, and reads the body."""

    def __init__(
        self,
        sessions: Sessions,
        exchange: Exchange,
        guard: TransportSecurityMiddleware,
        limits: Limits,
        step_up: StepUp,
    ) -> None:
        self._sessions = sessions
        self._exchange = exchange
        self._guard = guard
        self._limits = limits
        self._step_up = step_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = Arrival(scope)
        version = http.fields.get(MCP_PROTOCOL_VERSION_HEADER)
        era = self._sessions if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS else self._exchange
        if refusal := await self._refusal(http):
            await refusal(scope, receive, send)
        elif http.method != "POST":
            await era.other(http, receive, send)
        elif posted := await _read_posted(scope, receive, send, self._limits.body_bytes):
            message = posted[0]
            if missing := self._step_up.refusal(message, scope["state"]["access"], "/mcp"):
                await missing.answer(http)(scope, receive, send)
            else:
                await era.post(message, http, receive, send)

    async def _refusal(self, http: Arrival) -> Response | None:
        if refusal := await self._guard.validate_request(http, is_post=http.method == "POST"):
            return refusal
        takes_json, takes_stream = http.accepts
        if http.method == "POST" and not (takes_json and takes_stream):
            return Response("Accept both application/json and text/event-stream.", 406)
        if http.method == "GET" and not takes_stream:
            return Response("Accept text/event-stream.", 406)
        return None


@lru_cache(maxsize=1024)
def _sdk_user(principal: Principal, client: str) -> AuthenticatedUser:
    """What the SDK compares to tell whether a stream belongs to a request: tenant and client, issuer, subject."""
    token = AccessToken(
        token="",
        client_id=f"{principal.tenant} {client}",
        scopes=[],
        subject=principal.subject,
        claims={"iss": principal.issuer},
    )
    return AuthenticatedUser(token)


def _user_of(scope: Scope) -> AuthenticatedUser:
    access: Access = scope["state"]["access"]
    return _sdk_user(access.principal, access.client)


class _Sse:
    """The old transport: one long GET for what we send, a POST for each message of the host."""

    def __init__(
        self,
        server: GatewayServer,
        transport: SseServerTransport,
        guard: TransportSecurityMiddleware,
        limits: Limits,
        step_up: StepUp,
    ) -> None:
        self._server = server
        self._transport = transport
        self._guard = guard
        self._limits = limits
        self._step_up = step_up
        self._open: Counter[Principal] = Counter()

    @property
    def streams(self) -> int:
        return self._open.total()

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: serve one host until it hangs up."""
        scope["user"] = _user_of(scope)
        if refusal := await self._refusal(scope):
            await refusal(scope, receive, send)
            return
        principal = scope["state"]["principal"]
        self._open[principal] += 1
        try:
            async with self._transport.connect_sse(scope, receive, send) as (incoming, outgoing):
                await self._server.run(incoming, outgoing, self._server.create_initialization_options())
        finally:
            self._open[principal] -= 1
            self._open += Counter()  # drops people with none left

    async def messages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: take one message for an open stream."""
        scope["user"] = _user_of(scope)
        if scope["method"] == "POST":
            posted = await _read_posted(scope, receive, send, self._limits.body_bytes)
            if posted is None:
                return
            message, receive = posted
            if missing := self._step_up.refusal(message, scope["state"]["access"], "/messages/"):
                await missing.answer(HttpRequest(scope))(scope, receive, send)
                return
        await self._transport.handle_post_message(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Asked before the SDK asks the same: on a refusal it raises, after it has answered."""
        if refusal := await self._guard.validate_request(HttpRequest(scope)):
            return refusal
        if self._open[scope["state"]["principal"]] >= self._limits.sessions_each:
            return _refuse(429, types.INTERNAL_ERROR, TOO_MANY_SESSIONS)
        return None


async def _read_posted(scope: Scope, receive: Receive, send: Send, limit: int) -> tuple[dict[str, Any], Receive] | None:
    """The message in the body, and a `receive` that gives the body again; None when the request has been refused."""
    body = await _read_body(receive, limit)
    if body is None:
        await Response(f"A message is at most {limit} bytes.", 413)(scope, receive, send)
        return None
    try:
        return parse_message(body), _replayed(body, receive)
    except UnacceptableError as error:
        await _refuse(400, error.code, str(error))(scope, receive, send)
        return None


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None if it is larger than `limit`. A host that leaves in the middle has sent what came."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, and then what comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _refuse(status: int, code: int, sentence: str) -> Response:
    body = error_of(None, types.ErrorData(code=code, message=sentence))
    return Response(body, status, media_type="application/json")
