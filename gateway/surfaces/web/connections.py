"""My connections: which accounts tools may use in my name, what was done lately, and the way to end it.

GET  /connections
POST /connections/{id}/default      calls that name no account use this one
POST /connections/{id}/again        to the connect page, for the same account: it has ended, or lacks something
POST /connections/{id}/another      to the connect page, for another account beside it
POST /connections/{id}/disconnect
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.surfaces.browser.form_guard import FIELD, FORM_EXPIRED, FormGuard
from gateway.surfaces.browser.pages import Pages, principal_of
from gateway.surfaces.refusal import NOT_FOUND
from gateway.surfaces.web.history import Record, lines
from gateway.surfaces.web.problems import explained
from gateway.surfaces.web.receipt import Disconnected, receipt_for
from gateway.types import Connection, Flow, Principal

LATEST = 10


class Entry(Protocol):
    """One connection as its owner sees it."""

    @property
    def connection(self) -> Connection: ...
    @property
    def name(self) -> str: ...
    @property
    def provider_name(self) -> str: ...
    @property
    def withheld(self) -> Sequence[str]: ...
    @property
    def is_choice(self) -> bool: ...
    @property
    def may_add(self) -> bool: ...


class Overview(Protocol):
    """What a person sees and decides here. None where they have no such connection."""

    async def entries(self, principal: Principal) -> Sequence[Entry]: ...
    async def make_default(self, principal: Principal, connection_id: str) -> Connection | None: ...
    async def ask_again(self, principal: Principal, connection_id: str) -> Flow | None: ...
    async def add_another(self, principal: Principal, connection_id: str) -> Flow | None: ...


class Connections(Protocol):
    async def disconnect(self, principal: Principal, connection_id: str) -> Disconnected | None: ...


class ConnectionPages:
    """`provider_name` gives the name of a provider as people know it, for its id."""

    def __init__(
        self,
        pages: Pages,
        overview: Overview,
        connections: Connections,
        record: Record,
        *,
        provider_name: Callable[[str], str],
        guard: FormGuard,
    ) -> None:
        self._pages = pages
        self._overview = overview
        self._connections = connections
        self._record = record
        self._provider_name = provider_name
        self._guard = guard

    def routes(self) -> list[Route]:
        return [
            Route("/connections", explained(self._show), methods=["GET"]),
            Route("/connections/{connection}/default", explained(self._make_default), methods=["POST"]),
            Route("/connections/{connection}/again", explained(self._ask_again), methods=["POST"]),
            Route("/connections/{connection}/another", explained(self._add_another), methods=["POST"]),
            Route("/connections/{connection}/disconnect", explained(self._disconnect), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        principal = principal_of(request)
        entries = await self._overview.entries(principal)
        events = await self._record.list_history(principal, LATEST)
        cookie, token = self._guard.token(request, principal)
        response = self._pages.form(
            request,
            "connections.html",
            entries=entries,
            latest=lines(events, self._provider_name),
            form_token=token,
        )
        self._guard.remember(response, cookie)
        return response

    async def _make_default(self, request: Request) -> Response:
        if not await self._is_ours(request):
            return FORM_EXPIRED.answer(request)
        chosen = await self._overview.make_default(principal_of(request), request.path_params["connection"])
        return _to(request, f"/connections#{chosen.id}") if chosen else NOT_FOUND.answer(request)

    async def _ask_again(self, request: Request) -> Response:
        return await self._begin(request, self._overview.ask_again)

    async def _add_another(self, request: Request) -> Response:
        return await self._begin(request, self._overview.add_another)

    async def _begin(self, request: Request, begin: Callable[[Principal, str], Awaitable[Flow | None]]) -> Response:
        """On to the connect page, which asks once more before anything happens."""
        if not await self._is_ours(request):
            return FORM_EXPIRED.answer(request)
        flow = await begin(principal_of(request), request.path_params["connection"])
        return _to(request, f"/connect/{flow.id}") if flow else NOT_FOUND.answer(request)

    async def _is_ours(self, request: Request) -> bool:
        async with request.form(max_files=0, max_fields=8) as form:
            return self._guard.is_ours(request, principal_of(request), form.get(FIELD))

    async def _disconnect(self, request: Request) -> Response:
        if not await self._is_ours(request):
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


def _to(request: Request, path: str) -> RedirectResponse:
    return RedirectResponse(f"{request.scope.get('root_path', '')}{path}", 303, {"cache-control": "no-store"})
