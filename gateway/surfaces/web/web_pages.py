"""All pages together: the routes, and through which doors one reaches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FormGuard
from gateway.surfaces.browser.pages import Pages, principal_of
from gateway.surfaces.web import cards, connections, history
from gateway.surfaces.web.cards import Cards
from gateway.surfaces.web.connect import ConnectPages, Flows
from gateway.surfaces.web.connections import ConnectionPages, Connections
from gateway.surfaces.web.history import HistoryPages
from gateway.surfaces.web.host_page import Asks, HostPage
from gateway.surfaces.web.programs import LetsIn, ProgramPages
from gateway.surfaces.web.scope_words import scope_words
from gateway.surfaces.web.tool_use import ToolUse

BROWSER_PATHS = ("/", "/connections", "/connections/*", "/hosts", "/programs", "/programs/*")
VISITOR_PATHS = ("/connect/*", "/oauth/callback/*")
"""Open to people who have no sign-in here, whom an app vouches for: the pages ask whose a flow is."""
SIGN_IN = "/login"
SIGN_IN_PATHS = (SIGN_IN, "/login/*", "/logout", "/invitation/*")
"""Open to people whom we do not know yet. Only where they can sign in."""
PUBLIC_PATHS = ("/healthz", "/readyz", "/static/*")


class Overview(connections.Overview, cards.Overview, Protocol):
    """A person's accounts for themselves."""


class Record(history.Record, cards.Uses, Protocol):
    """The record of what was done, as far as it is a person's own."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the pages show and change. `provider_name` gives the name of a provider as people know it, for its id;
    `server` is the built-in authorization server, None where there is none."""

    flows: Flows
    overview: Overview
    connections: Connections
    record: Record
    tools: ToolUse
    provider_name: Callable[[str], str]
    server: LetsIn | None = None


class WebPages:
    """`form_key` signs form tokens. `secure`: the browser reaches us by https. `mcp_url` is what hosts are given, where
    there is one to give, and `asks` what the gateway asks of them. People of `own_issuer` have their password here.
    `signs_in`: people can sign in at their browser."""

    def __init__(
        self,
        rooms: Rooms,
        *,
        form_key: bytes,
        secure: bool,
        mcp_url: str | None = None,
        own_issuer: str | None = None,
        asks: Asks = Asks.SIGN_IN,
        signs_in: bool = False,
    ) -> None:
        cookies = Cookies(secure=secure)
        guard = FormGuard(cookies, form_key)
        self._pages = pages = Pages(
            __package__, secure=secure, filters={"scope_words": scope_words}, places=_places(mcp_url, rooms.server)
        )
        self._mcp_url = mcp_url
        self._own_issuer = own_issuer
        self._routes = [
            Route("/", self._front, methods=["GET"]),
            *ConnectPages(pages, rooms.flows, cookies, guard, sign_in=SIGN_IN if signs_in else None).routes(),
            *ConnectionPages(
                pages,
                Cards(rooms.overview, rooms.tools, rooms.record, rooms.provider_name),
                rooms.overview,
                rooms.connections,
                rooms.record,
                provider_name=rooms.provider_name,
                guard=guard,
            ).routes(),
            *HistoryPages(pages, rooms.record, rooms.provider_name).routes(),
            *(HostPage(pages, mcp_url, asks).routes() if mcp_url else ()),
            *(ProgramPages(pages, rooms.server, guard).routes() if rooms.server else ()),
            *pages.routes(),
        ]

    def routes(self) -> list[Route]:
        return self._routes

    async def _front(self, request: Request) -> Response:
        has_password = principal_of(request).issuer == self._own_issuer
        return self._pages.page(request, "front.html", mcp_url=self._mcp_url, has_password=has_password)


def _places(mcp_url: str | None, server: LetsIn | None) -> dict[str, str]:
    """The pages that are always at hand, by path."""
    places = {"/connections": "Connections", "/connections/history": "History"}
    if server:
        places["/programs"] = "Programs"
    if mcp_url:
        places["/hosts"] = "Plug in"
    return places
