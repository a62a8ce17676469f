"""My connections: which accounts tools may use in my name, what was done lately, and the way to end it.

GET  /connections
POST /connections/{id}/disconnect
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.surfaces.refusal import NOT_FOUND
from gateway.surfaces.web.form_guard import FIELD, FormGuard
from gateway.surfaces.web.pages import Pages, principal_of
from gateway.surfaces.web.problems import FORM_EXPIRED, explained
from gateway.surfaces.web.receipt import Disconnected, receipt_for
from gateway.types import AuditEvent, Connection, Principal

LATEST = 25

ListLatest = Callable[[Principal, int], Awaitable[Sequence[AuditEvent]]]

_ACTIONS = {
    "tool.called": "Tool called",
    "flow.begun": "Connection asked for",
    "flow.started": "Sent to the provider",
    "connection.created": "Account connected",
    "connection.replaced": "Account connected again",
    "connection.refreshed": "Access renewed",
    "connection.needs_reauth": "Access ended",
    "connection.ending_soon": "Access ends soon",
    "provider.misconfigured": "Registration not accepted",
    "connection.declined": "Connection declined",
    "connection.failed": "Connection failed",
    "connection.dropped": "Account disconnected",
    "connection.revoked": "Access ended at the provider",
    "connection.not_revoked": "Access not ended at the provider",
}
_OUTCOMES = {
    "tool_error": "the tool reported an error",
    "tool_crashed": "the tool failed",
    "tool_timeout": "took too long",
    "needs_connection": "waited for a connection",
    "needs_input": "asked a question",
    "invalid_arguments": "was called wrongly",
    "not_allowed": "was not allowed",
    "unknown_tool": "no such tool",
    "pending": "not decided yet",
    "revoked_at_provider=yes": "revoked at the provider too",
    "revoked_at_provider=no": "not revoked at the provider",
    "revoked_at_provider=unsupported": "not revoked at the provider",
    "revoked_at_provider=retrying": "the provider is asked again",
    "revoked_at_provider=shared": "kept at the provider for another connection",
    "wanted": "another connection uses it",
    "nowhere": "the provider cannot be asked",
    "unreadable": "the gateway's copy was damaged",
    "given_up": "the provider did not confirm it for a day",
}


class Connections(Protocol):
    async def list(self, principal: Principal) -> Sequence[Connection]: ...
    async def disconnect(self, principal: Principal, connection_id: str) -> Disconnected | None: ...


@dataclass(frozen=True, slots=True)
class _Line:
    """One audit event in words."""

    event: AuditEvent
    action: str
    outcome: str
    provider_name: str | None


class ConnectionPages:
    """`provider_name` gives the name of a provider as people know it, for its id."""

    def __init__(
        self,
        pages: Pages,
        connections: Connections,
        list_latest: ListLatest,
        provider_name: Callable[[str], str],
        guard: FormGuard,
    ) -> None:
        self._pages = pages
        self._connections = connections
        self._list_latest = list_latest
        self._provider_name = provider_name
        self._guard = guard

    def routes(self) -> list[Route]:
        return [
            Route("/connections", explained(self._show), methods=["GET"]),
            Route("/connections/{connection}/disconnect", explained(self._disconnect), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        principal = principal_of(request)
        connections = await self._connections.list(principal)
        events = await self._list_latest(principal, LATEST)
        cookie, token = self._guard.token(request)
        response = self._pages.form(
            request,
            "connections.html",
            connections=[(self._provider_name(connection.provider), connection) for connection in connections],
            latest=[self._line(event) for event in events],
            form_token=token,
        )
        self._guard.remember(response, cookie)
        return response

    async def _disconnect(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=8) as form:
            if not self._guard.is_ours(request, form.get(FIELD)):
                return FORM_EXPIRED.answer(request)
        ended = await self._connections.disconnect(principal_of(request), request.path_params["connection"])
        if ended is None:
            return NOT_FOUND.answer(request)
        name, connection = self._provider_name(ended.connection.provider), ended.connection
        return self._pages.page(
            request,
            "disconnected.html",
            receipt=receipt_for(ended, name),
            provider_name=name,
            account=connection.account_label,
        )

    def _line(self, event: AuditEvent) -> _Line:
        return _Line(
            event,
            _ACTIONS.get(event.action, event.action.replace(".", " ").replace("_", " ").capitalize()),
            _OUTCOMES.get(event.outcome, event.outcome.replace("_", " ")),
            self._provider_name(event.provider) if event.provider else None,
        )
