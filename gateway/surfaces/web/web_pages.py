"""All pages together: the routes, and through which doors one reaches them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FormGuard
from gateway.surfaces.browser.pages import Pages
from gateway.surfaces.web.connect import ConnectPages, Flows
from gateway.surfaces.web.connections import ConnectionPages, Connections, Overview
from gateway.surfaces.web.history import HistoryPages, Record
from gateway.surfaces.web.scope_words import scope_words

BROWSER_PATHS = ("/", "/connections", "/connections/*")
VISITOR_PATHS = ("/connect/*", "/oauth/callback/*")
"""Open to people who have no sign-in here, whom an app vouches for: the pages ask whose a flow is."""
SIGN_IN = "/login"
SIGN_IN_PATHS = (SIGN_IN, "/login/*", "/logout", "/invitation/*")
"""Open to people whom we do not know yet. Only where they can sign in."""
PUBLIC_PATHS = ("/healthz", "/readyz", "/static/*")


class WebPages:
    """`form_key` signs form tokens. `secure`: the browser reaches us by https. `mcp_url` is shown on the front page,
    where there is one to paste."""

    def __init__(
        self,
        flows: Flows,
        overview: Overview,
        connections: Connections,
        record: Record,
        *,
        provider_name: Callable[[str], str],
        form_key: bytes,
        secure: bool,
        mcp_url: str | None = None,
    ) -> None:
        cookies = Cookies(secure=secure)
        guard = FormGuard(cookies, form_key)
        self._pages = Pages(__package__, secure=secure, filters={"scope_words": scope_words})
        self._connect = ConnectPages(self._pages, flows, cookies, guard)
        self._connections = ConnectionPages(
            self._pages, overview, connections, record, provider_name=provider_name, guard=guard
        )
        self._history = HistoryPages(self._pages, record, provider_name)
        self._mcp_url = mcp_url

    def routes(self) -> list[Route]:
        return [
            Route("/", self._front, methods=["GET"]),
            *self._connect.routes(),
            *self._connections.routes(),
            *self._history.routes(),
            *self._pages.routes(),
        ]

    async def _front(self, request: Request) -> Response:
        return self._pages.page(request, "front.html", mcp_url=self._mcp_url)
