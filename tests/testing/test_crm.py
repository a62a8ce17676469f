"""The fake CRM: whose token it is decides whose records are seen, and refusals look like HubSpot's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gateway.clock import MovableClock
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.crm import Crm

from .conftest import App

SCOPE = "crm.objects.contacts.read crm.objects.companies.read crm.objects.companies.write"


@pytest.fixture
def crm(server: AuthorizationServer, clock: MovableClock) -> Crm:
    return Crm(server, clock)


@pytest.fixture
async def app(crm: Crm) -> App:
    transport = httpx2.ASGITransport(crm)
    return App("https://crm.example", httpx2.AsyncClient(transport=transport), transport, "v" * 64)


async def token(app: App, user: str = "alice", scope: str = SCOPE) -> str:
    granted = await app.tokens(user, scope=scope)
    return str(granted["access_token"])


async def api(app: App, method: str, path: str, bearer: str | None, **more: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return await app.http.request(method, f"{app.issuer}{path}", headers=headers, **more)


async def test_each_person_sees_their_own_contacts(app: App, crm: Crm) -> None:
    alice = (await api(app, "GET", "/crm/objects/2026-03/contacts", await token(app))).json()["results"]
    bob = (await api(app, "GET", "/crm/v3/objects/contacts", await token(app, "bob"))).json()["results"]

    assert [contact["properties"]["firstname"] for contact in alice] == ["Ada", "Grace", "Katherine"]
    assert [contact["properties"]["firstname"] for contact in bob] == ["Alan", "Claude"]
    assert alice[0].keys() == {"id", "properties", "createdAt", "updatedAt", "archived"}
    assert crm.calls == {"alice": 1, "bob": 1}


async def test_a_created_company_is_that_persons_from_then_on(app: App, crm: Crm) -> None:
    bearer = await token(app)
    company = {"properties": {"name": "Acme", "domain": "acme.example"}}

    created = await api(app, "POST", "/crm/objects/2026-03/companies", bearer, json=company)

    assert created.status_code == 201
    assert (await api(app, "GET", "/crm/v3/objects/companies", bearer)).json()["results"] == [created.json()]
    assert crm.records("bob", "companies") == []


async def test_long_lists_come_in_pages(app: App) -> None:
    bearer = await token(app)

    first = (await api(app, "GET", "/crm/v3/objects/contacts?limit=2", bearer)).json()
    second = (await api(app, "GET", first["paging"]["next"]["link"].removeprefix(app.issuer), bearer)).json()

    assert (len(first["results"]), len(second["results"])) == (2, 1)
    assert "paging" not in second


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=-1"])
async def test_a_bad_page_is_a_validation_error(app: App, query: str) -> None:
    answer = await api(app, "GET", f"/crm/v3/objects/contacts?{query}", await token(app))

    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"properties": {}}'])
async def test_a_bad_body_is_a_validation_error(app: App, body: bytes) -> None:
    answer = await api(app, "POST", "/crm/v3/objects/companies", await token(app), content=body)

    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


async def test_no_token_an_expired_one_and_a_revoked_one_are_told_apart(
    app: App, clock: MovableClock, server: AuthorizationServer
) -> None:
    bearer = await token(app)
    path = "/crm/v3/objects/contacts"

    missing = await api(app, "GET", path, None)
    clock.advance(timedelta(hours=1))
    expired = await api(app, "GET", path, bearer)
    server.grants.revoke_all("alice")
    revoked = await api(app, "GET", path, bearer)

    assert [answer.status_code for answer in (missing, expired, revoked)] == [401, 401, 401]
    assert [answer.json()["category"] for answer in (missing, expired, revoked)] == [
        "INVALID_AUTHENTICATION", "EXPIRED_AUTHENTICATION", "INVALID_AUTHENTICATION",
    ]  # fmt: skip


async def test_a_missing_scope_is_named(app: App) -> None:
    answer = await api(app, "GET", "/crm/v3/objects/companies", await token(app, scope="crm.objects.contacts.read"))

    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.companies.read"]}


async def test_an_unknown_kind_of_object_is_not_found(app: App) -> None:
    assert (await api(app, "GET", "/crm/v3/objects/unicorns", await token(app))).status_code == 404
