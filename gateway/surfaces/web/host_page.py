"""Plug in: what to give to each MCP host so that it talks to this gateway.

GET  /hosts
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.surfaces.browser.pages import Pages
from gateway.surfaces.hosts import HOSTS, Host, Http, link, snippet


class Asks(StrEnum):
    """What the gateway asks of a program: that its person signs in, an API key, or nothing."""

    SIGN_IN = "sign-in"
    KEY = "key"
    NOTHING = "nothing"


NAME = "atp-gateway"
"""What hosts are told to call the gateway."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A host on the page. `paste` is whole and as it is; `link` adds the gateway by one click. `is_out_of_reach`: the
    host comes from the internet, and the gateway is not there."""

    id: str
    host: Host
    paste: Markup
    link: Markup | None
    is_out_of_reach: bool


def shown_hosts(mcp_url: str) -> list[Shown]:
    """All hosts, for a gateway at this URL."""
    server, is_public = Http(mcp_url), mcp_url.startswith("https:")
    return [
        Shown(
            key,
            host,
            _whole(snippet(host, NAME, server)),
            _whole(address) if (address := link(host, NAME, server)) else None,
            host.from_afar and not is_public,
        )
        for key, host in HOSTS.items()
    ]


class HostPage:
    """`mcp_url` is what hosts are given."""

    def __init__(self, pages: Pages, mcp_url: str, asks: Asks) -> None:
        self._pages = pages
        self._asks = asks
        self._url = mcp_url
        self._hosts = shown_hosts(mcp_url)

    def routes(self) -> list[Route]:
        return [Route("/hosts", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        url = _whole(self._url)
        return self._pages.page(request, "hosts.html", hosts=self._hosts, mcp_url=url, asks=self._asks)


def _whole(text: str) -> Markup:
    """As it is, line by line: what a person only reads would be cut, and set in one line."""
    return Markup(html.escape(text))  # noqa: S704 - escaped right here
