"""People, a browser each, and a gateway's pages on a real port: for attacks that need more than one person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
import pytest

from gateway.access.policy import OnePersonPolicy
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.instance import Instance
from gateway.surfaces.listener import Listener
from gateway.surfaces.web.tool_use import ToolUse
from gateway.surfaces.web.web_pages import BROWSER_PATHS, PUBLIC_PATHS, VISITOR_PATHS, Rooms, WebPages
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import Person, RegisteredClient
from gateway.testing.page import Page
from gateway.toolkit.registry import Registry
from gateway.types import Access, Flow, Principal, Requirement

if TYPE_CHECKING:
    from tests.oauth.conftest import House

ALICE = Principal("https://login.example.com", "alice")
MALLORY = Principal("https://login.example.com", "mallory")
ELSEWHERE = Principal("https://login.example.com", "alice", tenant="another")
PATH = "/oauth/callback/acme"


class ByCookie:
    """Signed in is who carries the cookie `person`."""

    async def program(self, headers: Mapping[str, str]) -> Access | None:
        return None

    async def browser(self, headers: Mapping[str, str]) -> Access | None:
        cookies = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";"))
        person = {"alice": ALICE, "mallory": MALLORY, "elsewhere": ELSEWHERE}.get(cookies.get("person", ""))
        return Access(person) if person else None


@dataclass
class Town:
    """The pages on a real port, and whoever lives there."""

    house: House
    server: AuthorizationServer
    url: str = ""
    clients: list[httpx2.AsyncClient] = field(default_factory=list)

    def client(self, person: str) -> httpx2.AsyncClient:
        """A browser without its hands: it keeps cookies, and follows nothing by itself."""
        made = httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=10)
        made.cookies.set("person", person, domain="127.0.0.1")
        self.clients.append(made)
        return made

    def browser(self, person: str) -> Browser:
        return Browser(self.client(person))

    async def begin(self, principal: Principal, **more: object) -> tuple[Flow, str]:
        flow = await self.house.flows.begin(principal, "a host", Requirement("acme"), "tool", **more)
        return flow, await self.house.flows.url(flow)

    async def until_callback(self, browser: Browser, url: str, user: str) -> str:
        """Consent as `user`, and stop short of the way back to us: the address with state and code."""
        return (await browser.consent(url, user, stop_at=f"{self.url}{PATH}")).url

    async def connect(self, person: str, principal: Principal) -> Page:
        return await self.browser(person).consent((await self.begin(principal))[1], person)

    async def linked(self) -> set[tuple[str, str, str]]:
        """Who has a connection to whose account: tenant, person, account."""
        found = await self.joined(ALICE, MALLORY, ELSEWHERE)
        return {(person.tenant, person.subject, account) for person, account in found}

    async def joined(self, *people: Principal) -> set[tuple[Principal, str]]:
        """Whose connection leads to which account."""
        rows = [row for person in people for row in await self.house.store.connections.list_all(person)]
        return {(row.principal, row.account_label or "") for row in rows}


@pytest.fixture
async def town(house: House, server: AuthorizationServer) -> AsyncIterator[Town]:
    server.register(RegisteredClient("our id", "our secret", (f"http://127.0.0.1{PATH}",)))
    server.people["mallory"] = Person("mallory", "Mallory Moore")

    def app(base_url: str) -> Edge:
        rooms = Rooms(
            house.flows, house.overview, house.connections, house.store.audit,
            ToolUse(Registry(), OnePersonPolicy()), house.apps.display_name,
        )  # fmt: skip
        pages = WebPages(rooms, form_key=b"k" * 32, secure=False)
        doors = Doors(browser=BROWSER_PATHS, visitor=VISITOR_PATHS, public=PUBLIC_PATHS)
        port = int(base_url.rpartition(":")[2])
        return Edge(application(pages.routes()), ByCookie(), doors, Addresses.of(base_url, "127.0.0.1", port))

    listener = Listener(app, Instance(b"i" * 32), port=0)
    made = Town(house, server)
    made.url = house.base_url = await listener.base_url()
    yield made
    for client in made.clients:
        await client.aclose()
    await listener.aclose()
