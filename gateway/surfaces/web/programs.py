"""Programs that a person let in, and the way to end that.

    GET  /programs
    POST /programs/{grant}/end

A program chose its own name, so each stands with what it could not choose: the host of its document, or the places that
its answers go to. Below: the authorization server's grants and clients, by the protocols here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.authorization.redirect_uris import PlaceKind, place_of
from gateway.authorization_types import AccessGrant, ClientSource, RegisteredClient
from gateway.errors import AuthorizationError
from gateway.surfaces.browser.form_guard import FIELD, FORM_EXPIRED, FormGuard
from gateway.surfaces.browser.own_scopes import own_scope_words
from gateway.surfaces.browser.pages import Pages, principal_of
from gateway.surfaces.refusal import NOT_FOUND
from gateway.types import Principal


class Grants(Protocol):
    async def list_live(self, principal: Principal) -> Sequence[AccessGrant]:
        """Which programs may act for the person, the newest first."""
        ...

    async def end(self, grant_id: str, principal: Principal) -> bool:
        """End one of the person's grants. False if it is none of theirs, or has ended."""
        ...


class Clients(Protocol):
    async def find_at_token(self, client_id: str) -> RegisteredClient | None:
        """The client, without asking another machine."""
        ...


class LetsIn(Protocol):
    """The built-in authorization server: what it has given, and to whom."""

    @property
    def grants(self) -> Grants: ...
    @property
    def clients(self) -> Clients: ...


@dataclass(frozen=True, slots=True)
class Program:
    """`document` is the host that describes it, if one does; else `places` are where its answers may go. `is_known`:
    the operator has put it into the settings."""

    grant: AccessGrant
    document: str | None
    places: tuple[str, ...]
    is_known: bool
    permissions: tuple[str, ...]


def program(grant: AccessGrant, client: RegisteredClient | None) -> Program:
    """A grant for a person to read. `client` is None where the program is no longer registered."""
    is_document = client is not None and client.source is ClientSource.DOCUMENT
    return Program(
        grant,
        urlsplit(grant.client_id).netloc if is_document else None,
        () if client is None else tuple(dict.fromkeys(map(_place, client.redirect_uris))),
        client is not None and client.source is ClientSource.SETTINGS,
        own_scope_words(grant.scopes),
    )


class ProgramPages:
    def __init__(self, pages: Pages, server: LetsIn, guard: FormGuard) -> None:
        self._pages = pages
        self._grants = server.grants
        self._clients = server.clients
        self._guard = guard

    def routes(self) -> list[Route]:
        return [
            Route("/programs", self._show, methods=["GET"]),
            Route("/programs/{grant}/end", self._end, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        principal = principal_of(request)
        grants = await self._grants.list_live(principal)
        programs = [program(grant, await self._client(grant.client_id)) for grant in grants]
        cookie, token = self._guard.token(request, principal, "programs")
        ended = request.query_params.get("ended") == "1"
        response = self._pages.form(request, "programs.html", programs=programs, form_token=token, ended=ended)
        self._guard.remember(response, cookie)
        return response

    async def _end(self, request: Request) -> Response:
        principal = principal_of(request)
        async with request.form(max_files=0, max_fields=8) as form:
            if not self._guard.is_ours(request, principal, form.get(FIELD), "programs"):
                return FORM_EXPIRED.answer(request)
        if not await self._grants.end(request.path_params["grant"], principal):
            return NOT_FOUND.answer(request)
        place = f"{request.scope.get('root_path', '')}/programs?ended=1"
        return RedirectResponse(place, 303, {"cache-control": "no-store"})

    async def _client(self, client_id: str) -> RegisteredClient | None:
        try:
            return await self._clients.find_at_token(client_id)
        except AuthorizationError:  # a document's host that is not allowed any more
            return None


def _place(uri: str) -> str:
    place = place_of(uri)
    match place.kind:
        case PlaceKind.SITE:
            return place.name
        case PlaceKind.DEVICE:
            return "a program on your computer"
        case PlaceKind.APP:
            return f"the app {place.name}"
