"""What one person has, for every page that names something of a person's: generated, so that no new one is forgotten.

Each caller comes with a session that is good, or was, and with a form of ours that was made for them. All but the owner
are answered as if there were no such thing, or are not let in, and nothing changes; for the owner it works.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.access.sign_in import SignIn
from gateway.authorization_types import AccessGrant
from gateway.deferred import Accounts
from gateway.people_types import Person
from gateway.secret import Secret
from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FormGuard
from gateway.types import CredentialKind, Principal, Requirement
from tests.access.composed import URL, composed

BEA = Principal("https://login.example", "bea")
OTHERS = {
    "a colleague": Principal("https://login.example", "cal"),
    "of another tenant": Principal("https://login.example", "bea", "acme"),
    "of another issuer": Principal("https://elsewhere.example", "bea"),
}
NEED = Requirement("anthropic", CredentialKind.API_KEY)
THEIRS = {"connection", "grant", "flow"}
"""What paths name that is somebody's."""
NOBODYS = {"provider", "code", "name"}
"""A kind of account; an invitation, which is good for whoever holds it; a file of the pages."""


@dataclass
class House:
    edge: ASGIApp
    routes: list[Route]
    accounts: Accounts
    sign_in: SignIn
    guard: FormGuard

    async def things(self) -> dict[str, str]:
        """A connection of Bea's, a program that she let in, and a consent that waits for her."""
        flows, now = self.accounts.flows, self.accounts.clock.now()
        begun = await flows.begin(BEA, "a host", NEED, "count")
        connected = await flows.submit_key(begun.id, BEA, Secret(secrets.token_hex(16)))
        assert connected.connection_id
        name, scopes, until = secrets.token_hex(16), frozenset({"tools"}), now + timedelta(days=1)
        await self.accounts.store.grants.insert(
            AccessGrant(name, BEA, "c", "A program", f"{URL}/mcp", scopes, frozenset(), now, now, until)
        )
        waits = await flows.begin(BEA, "a host", NEED, "count")
        return {"connection": connected.connection_id, "grant": name, "flow": waits.id}

    async def left(self, things: dict[str, str]) -> list[object]:
        """All that she has of these."""
        store, now = self.accounts.store, self.accounts.clock.now()
        flow = await store.flows.find(things["flow"])
        return [await store.connections.list_all(BEA), await store.grants.list_live(BEA, now), flow]

    async def browser(self, principal: Principal | None, *, over: bool = False) -> dict[str, str]:
        """What a person's browser sends, whose session is over, or is not; or that of nobody."""
        if principal is None:
            return {"cookie": "atp-form=theirs"}
        people = self.accounts.store.people
        await people.put(Person(secrets.token_hex(8), principal, None, None, frozenset(), self.accounts.clock.now()))
        (person,) = [each for each in await people.list_all() if each.principal == principal]
        session = await self.sign_in.sessions.begin(person)
        if over:
            await self.sign_in.sessions.end(session)
        return {"cookie": f"atp-session={session.reveal()}; atp-form=theirs"}

    def form(self, principal: Principal | None, path: str) -> dict[str, str]:
        """One of ours, as the person's own pages have it."""
        about = "programs" if path.startswith("/programs") else ""
        return {"form_token": self.guard._signed(principal or BEA, "theirs", about), "api_key": "another-key"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with composed(tmp_path_factory.mktemp("house")) as (edge, accounts, entry):
        assert entry.sign_in
        starlette: Starlette = edge._app._rest  # type: ignore[attr-defined]
        pages = [each for each in starlette.routes if isinstance(each, Route) and not each.path.startswith("/api/")]
        guard = FormGuard(Cookies(secure=False), accounts.vault.derive("form-token")[0])
        yield House(edge, pages, accounts, entry.sign_in, guard)


async def test_every_page_that_names_something_of_a_persons_is_that_persons_alone(house: House) -> None:
    callers = {name: (principal, await house.browser(principal)) for name, principal in OTHERS.items()}
    callers["nobody"] = (None, await house.browser(None))
    callers["Bea, whose session is over"] = (BEA, await house.browser(BEA, over=True))
    bea = await house.browser(BEA)
    named = [route for route in house.routes if route.param_convertors.keys() & THEIRS]
    wrong: list[tuple[str, str, str, int]] = []

    async with httpx2.AsyncClient(base_url=URL, transport=httpx2.ASGITransport(house.edge)) as client:
        for route in named:
            for method in (route.methods or set()) - {"HEAD"}:
                things = await house.things()
                path, had = route.path.format(**things), await house.left(things)
                for caller, (principal, sent) in callers.items():
                    form = house.form(principal, path) if method == "POST" else None
                    answer = await client.request(method, path, data=form, headers=sent)
                    is_led = answer.status_code == 303 and answer.headers["location"].startswith("/login?")
                    refused = answer.status_code == 404 if caller in OTHERS else answer.status_code == 401 or is_led
                    if not refused or await house.left(things) != had:
                        wrong.append((method, route.path, caller, answer.status_code))
                form = house.form(BEA, path) if method == "POST" else None
                answer = await client.request(method, path, data=form, headers=bea)
                if answer.status_code not in (200, 303):
                    wrong.append((method, route.path, "the owner", answer.status_code))

    assert wrong == []
    assert len(named) >= 9


async def test_whatever_else_a_path_names_is_nobodys_on_purpose(house: House) -> None:
    names = {name for route in house.routes for name in route.param_convertors}
    assert names == THEIRS | NOBODYS
