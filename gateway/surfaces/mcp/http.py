"""MCP over HTTP: Streamable HTTP at /mcp, and HTTP+SSE at /sse and /messages/ for old hosts.

The SDK's transports do the talking. In front of them, on each request: the Principal that the edge found becomes the
SDK's user, so that a session answers only the person who opened it; and a body is read once, strictly. Responses are
streams where there is something to stream, so that a host that hangs up cancels its call. Nothing is kept for replay:
the SDK's store for that mixes up sessions.

Below: `mcp`, server. Above: surface; in front: the edge, which authenticates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, authorization_context
from mcp.server.auth.provider import AccessToken
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.server import GatewayServer
from gateway.surfaces.mcp.strict_json import UnacceptableError, parse_message
from gateway.types import Principal

TOO_MANY_SESSIONS = "You have too many MCP sessions open. End one (DELETE with its Mcp-Session-Id) and try again."


class HttpTransport:
    """`routes` to mount at the root, and the `lifespan` to enter around serving them."""

    def __init__(self, server: GatewayServer, hosts: Iterable[str], origins: Iterable[str], limits: Limits) -> None:
        security = TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=list(origins))
        self._server = server
        self._sessions = StreamableHTTPSessionManager(
            app=server,
            event_store=None,
            security_settings=security,
            session_idle_timeout=limits.session_idle_seconds,
            max_request_body_size=limits.body_bytes,
            max_sessions=limits.sessions,
        )
        streamable = _Personal(_Streamable(self._sessions, limits), limits.body_bytes)
        sse = _Sse(server, security, limits)
        self.routes: list[BaseRoute] = [
            Route("/mcp", endpoint=streamable),
            Route("/sse", endpoint=_Personal(sse.stream, limits.body_bytes), methods=["GET"]),
            Mount("/messages/", app=_Personal(sse.messages, limits.body_bytes)),
        ]

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Serve for as long as this is entered. Once only."""
        async with self._server.running(), self._sessions.run():
            yield


class _Personal:
    """ASGI: the edge's Principal as the SDK's user; of a POST, the body read and found to be one strict message."""

    def __init__(self, app: ASGIApp, body_limit: int) -> None:
        self._app = app
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = scope.get("state", {}).get("principal")
        if not isinstance(principal, Principal):
            await Response("Log in first.", 401)(scope, receive, send)
            return
        scope["user"] = _sdk_user(principal)
        if scope["method"] == "POST":
            body = await _read_body(receive, self._body_limit)
            if body is None:
                await Response(f"A message is at most {self._body_limit} bytes.", 413)(scope, receive, send)
                return
            try:
                parse_message(body)
            except UnacceptableError as error:
                await _refuse(400, error.code, str(error))(scope, receive, send)
                return
            receive = _replayed(body, receive)
        await self._app(scope, receive, send)


@lru_cache(maxsize=1024)
def _sdk_user(principal: Principal) -> AuthenticatedUser:
    """What the SDK compares to tell whether a session belongs to a request: tenant, issuer and subject."""
    token = AccessToken(
        token="",
        client_id=principal.tenant,
        scopes=[],
        subject=principal.subject,
        claims={"iss": principal.issuer},
    )
    return AuthenticatedUser(token)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None if it is larger than `limit`, or whoever sent it left."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, and then what comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _refuse(status: int, code: int, sentence: str) -> Response:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": sentence}}
    return Response(json.dumps(body), status, media_type="application/json")


class _Streamable:
    """ASGI: Streamable HTTP, with a cap on one person's sessions."""

    def __init__(self, sessions: StreamableHTTPSessionManager, limits: Limits) -> None:
        self._sessions = sessions
        self._most = limits.sessions_each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _opens_session(scope) and self._open_sessions(scope["user"]) >= self._most:
            await _refuse(429, types.INTERNAL_ERROR, TOO_MANY_SESSIONS)(scope, receive, send)
            return
        await self._sessions.handle_request(scope, receive, send)

    def _open_sessions(self, user: AuthenticatedUser) -> int:
        owner = authorization_context(user)
        owners = self._sessions._session_owners.values()  # noqa: SLF001 - mcp 2.3 caps all sessions, not one person's
        return sum(other == owner for other in owners)


def _opens_session(scope: Scope) -> bool:
    """Whether the SDK would open a session: a handshake revision, and none named."""
    version = None
    for name, value in scope["headers"]:
        if name == MCP_SESSION_ID_HEADER.encode():
            return False
        if name == MCP_PROTOCOL_VERSION_HEADER.encode():
            version = value.decode("latin-1")
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


class _Sse:
    """The old transport: one long GET for what we send, a POST for each message of the host."""

    def __init__(self, server: GatewayServer, security: TransportSecuritySettings, limits: Limits) -> None:
        self._server = server
        self._guard = TransportSecurityMiddleware(security)
        self._transport = SseServerTransport("/messages/", security, limits.body_bytes)
        self._open: Counter[Principal] = Counter()
        self._most = limits.sessions_each

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: serve one host until it hangs up."""
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
        await self._transport.handle_post_message(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Asked before the SDK asks the same: on a refusal it raises, after it has answered."""
        if refusal := await self._guard.validate_request(HttpRequest(scope)):
            return refusal
        if self._open[scope["state"]["principal"]] >= self._most:
            return _refuse(429, types.INTERNAL_ERROR, TOO_MANY_SESSIONS)
        return None
