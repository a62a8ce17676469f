"""The built-in authorization server behind the edge, on a socket, and people whose cookie says who they are."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
from starlette.types import ASGIApp

from gateway.access.authenticator import OnePerson
from gateway.authorization.server import Admission, AuthorizationServer, offer_at
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.authorization.routes import OPEN_PATHS, PUBLIC_PATHS, authorization_routes
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.types import Access, AccessKind, Principal
from tests.authorization.house import CALLBACK, Documents, House, pkce, query_of


def person(name: str) -> Principal:
    return Principal("https://idp.example", name, groups=frozenset({"sales"}))


async def by_cookie(headers: Mapping[str, str]) -> Access | None:
    """Signed in is who carries the cookie `person`."""
    cookies = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";"))
    return Access(person(cookies["person"]), kind=AccessKind.SESSION) if cookies.get("person") else None


@dataclass
class Site:
    """A gateway's authorization server as it is reached at `url`."""

    house: House
    documents: Documents
    admission: Admission
    url: str = ""
    server: AuthorizationServer | None = None

    def app(self, base_url: str) -> ASGIApp:
        house = self.house
        self.server = AuthorizationServer.of(
            offer_at(base_url, ("tools",), ("tools",)),
            self.admission,
            store=house.store,
            vault=house.vault,
            audit=house.audit,
            clock=house.clock,
        )
        routes = authorization_routes(
            self.server, by_cookie, form_key=b"k" * 32, secure=False, audit=house.audit, clock=house.clock
        )
        doors = Doors(public=PUBLIC_PATHS, open_to_all=OPEN_PATHS)
        port = int(base_url.rpartition(":")[2])
        addresses = Addresses.of(base_url, "127.0.0.1", port)
        return Edge(application(routes), OnePerson(person("nobody")), doors, addresses)

    def browser(self, name: str | None = "alice", **headers: str) -> httpx2.AsyncClient:
        """A cookie jar, signed in as `name`; follows no redirect by itself. A person's click, unless it says more."""
        cookies = {"person": name} if name else {}
        sent = {"accept": "text/html,*/*;q=0.8", "sec-fetch-site": "none"} | headers
        return httpx2.AsyncClient(base_url=self.url, cookies=cookies, headers=sent, trust_env=False)

    def program(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, trust_env=False)

    async def register(self, **more: Any) -> dict[str, Any]:
        assert self.server
        assert self.server.registration
        body = {"redirect_uris": [CALLBACK], "client_name": "App", "token_endpoint_auth_method": "none"}
        return await self.server.registration.register(body | more, "192.0.2.1")

    def forget_registrations(self) -> None:
        """All of them come from one address, and more than one may send in a minute."""
        assert self.server
        assert self.server.registration
        self.server.registration._allowance._began = float("-inf")

    async def events(self) -> list[tuple[str, str]]:
        return [(event.principal.subject, event.action) for event in await self.house.events()]


def authorize_url(client_id: str, verifier_to: list[str] | None = None, /, **changes: str | None) -> str:
    """The address that a client sends a browser to. The challenge's verifier is put into `verifier_to`."""
    verifier, challenge = pkce()
    if verifier_to is not None:
        verifier_to.append(verifier)
    usual: dict[str, str | None] = {
        "response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "state": "st4te",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    return "/authorize?" + urlencode({name: value for name, value in (usual | changes).items() if value is not None})


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of the page's form."""
    inputs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in inputs}


async def decide(browser: httpx2.AsyncClient, page: str, decision: str = "allow") -> httpx2.Response:
    """Press a button on the page."""
    return await browser.post(
        "/authorize", data={**fields_of(page), "decision": decision}, headers={"sec-fetch-site": "same-origin"}
    )


async def allow(browser: httpx2.AsyncClient, url: str) -> dict[str, str]:
    """Open the page, allow, and see what the client is told."""
    shown = await browser.get(url)
    assert shown.status_code == 200, shown.text
    answered = await decide(browser, shown.text)
    assert answered.status_code == 303, answered.text
    return query_of(answered.headers["location"])
