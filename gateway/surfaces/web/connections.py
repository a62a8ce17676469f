"""My connections: which accounts tools may use in my name and how they fare, and what I decide about them.

    GET  /connections
    POST /connections/new               to the connect page, for an account that no tool has asked for yet
    POST /connections/{id}/default      calls that name no account use this one
    POST /connections/{id}/again        to the connect page, for the same account: it ended, or was refused something
    POST /connections/{id}/more         the same, for all that the tools need which use it
    POST /connections/{id}/another      to the connect page, for another account beside it
    POST /connections/{id}/disconnect

Below: `cards`, which puts together what is shown; the rooms, by the protocols here and there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.surfaces.browser.form_guard import FIELD, FORM_EXPIRED, FormGuard
from gateway.surfaces.browser.pages import Pages, principal_of
from gateway.surfaces.refusal import NOT_FOUND
from gateway.surfaces.web.cards import Cards
from gateway.surfaces.web.history import Record, lines
from gateway.surfaces.web.problems import explained
from gateway.surfaces.web.receipt import Disconnected, receipt_for
from gateway.types import Connection, Flow, Principal, Requirement

LATEST = 10


class Overview(Protocol):
    """What a person decides here. None where they have no such connection."""

    async def make_default(self, principal: Principal, connection_id: str) -> Connection | None: ...
    async def ask_again(
        self, principal: Principal, connection_id: str, more: frozenset[str] = frozenset()
    ) -> Flow | None: ...
    async def add_another(self, principal: Principal, connection_id: str) -> Flow | None: ...
    async def connect(self, principal: Principal, requirement: Requirement) -> Flow: ...


class Connections(Protocol):
    async def disconnect(self, principal: Principal, connection_id: str) -> Disconnected | None: ...


class ConnectionPages:
    """`provider_name` gives the name of a provider as people know it, for its id."""

    def __init__(
        self,
        pages: Pages,
        cards: Cards,
        overview: Overview,
        connections: Connections,
        record: Record,
        *,
        provider_name: Callable[[str], str],
        guard: FormGuard,
    ) -> None:
        self._pages = pages
        self._cards = cards
        self._overview = overview
        self._connections = connections
        self._record = record
        self._provider_name = provider_name
        self._guard = guard

    def routes(self) -> list[Route]:
        return [
            Route("/connections", explained(self._show), methods=["GET"]),
            Route("/connections/new", self._form(self._connect), methods=["POST"]),
            Route("/connections/{connection}/default", self._form(self._make_default), methods=["POST"]),
            Route("/connections/{connection}/again", self._form(self._ask_again), methods=["POST"]),
            Route("/connections/{connection}/more", self._form(self._ask_for_more), methods=["POST"]),
            Route("/connections/{connection}/another", self._form(self._add_another), methods=["POST"]),
            Route("/connections/{connection}/disconnect", self._form(self._disconnect), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        principal = principal_of(request)
        cards, offers = await self._cards.of(principal)
        events = await self._record.list_history(principal, LATEST)
        cookie, token = self._guard.token(request, principal)
        response = self._pages.form(
            request,
            "connections.html",
            cards=cards,
            offers=offers,
            latest=lines(events, self._provider_name),
            form_token=token,
        )
        self._guard.remember(response, cookie)
        return response

    def _form(
        self, handle: Callable[[Request, FormData], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a form: only for one that is ours."""

        async def guarded(request: Request) -> Response:
            async with request.form(max_files=0, max_fields=8) as form:
                if not self._guard.is_ours(request, principal_of(request), form.get(FIELD)):
                    return FORM_EXPIRED.answer(request)
                return await handle(request, form)

        return explained(guarded)

    async def _connect(self, request: Request, form: FormData) -> Response:
        principal = principal_of(request)
        wanted = self._cards.offered(principal, form.get("provider"), form.get("kind"))
        return _on(request, await self._overview.connect(principal, wanted) if wanted else None)

    async def _make_default(self, request: Request, _: FormData) -> Response:
        chosen = await self._overview.make_default(principal_of(request), _id(request))
        return _to(request, f"/connections#{chosen.id}") if chosen else NOT_FOUND.answer(request)

    async def _ask_again(self, request: Request, _: FormData) -> Response:
        return _on(request, await self._overview.ask_again(principal_of(request), _id(request)))

    async def _ask_for_more(self, request: Request, _: FormData) -> Response:
        principal = principal_of(request)
        more = await self._cards.needed(principal, _id(request))
        return _on(request, await self._overview.ask_again(principal, _id(request), more))

    async def _add_another(self, request: Request, _: FormData) -> Response:
        return _on(request, await self._overview.add_another(principal_of(request), _id(request)))

    async def _disconnect(self, request: Request, _: FormData) -> Response:
        ended = await self._connections.disconnect(principal_of(request), _id(request))
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


def _id(request: Request) -> str:
    found: str = request.path_params["connection"]
    return found


def _on(request: Request, flow: Flow | None) -> Response:
    """On to the connect page, which asks once more before anything happens."""
    return _to(request, f"/connect/{flow.id}") if flow else NOT_FOUND.answer(request)


def _to(request: Request, path: str) -> RedirectResponse:
    return RedirectResponse(f"{request.scope.get('root_path', '')}{path}", 303, {"cache-control": "no-store"})
