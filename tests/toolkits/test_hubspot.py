"""The HubSpot toolkit, held against an API of HubSpot's shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import MovableClock
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.crm import Crm
from gateway.testing.serving import serving
from gateway.toolkit.context import Context, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.types import Credential

TOOLKIT = Path(__file__).parents[2] / "toolkits" / "hubspot"
SCOPES = {"crm.objects.contacts.read", "crm.objects.companies.write"}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def crm(clock: MovableClock) -> Crm:
    return Crm(AuthorizationServer(clock=clock), clock)


@pytest.fixture
async def registry(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Registry]:
    async with serving(crm) as url:
        monkeypatch.setenv("HUBSPOT_API_URL", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        registry = Registry()
        report = Loader(registry).load(str(TOOLKIT))
        assert not report.errors
        yield registry


async def call(registry: Registry, name: str, token: str, arguments: Mapping[str, Any] | None = None) -> Any:
    tool = registry.find(name)
    assert tool is not None
    assert tool.check(arguments or {}) is None
    context = Context(NullChannel(), asyncio.get_running_loop())
    return await tool.run(arguments or {}, Credential("hubspot", token), context)


async def test_both_tools_need_a_hubspot_account_and_show_no_token(registry: Registry) -> None:
    assert [tool.name for tool in registry.tools()] == ["get_contacts", "create_company"]
    for tool in registry.tools():
        assert tool.requirement is not None
        assert tool.requirement.provider == "hubspot"
        assert "auth_token" not in tool.input_schema.get("properties", {})


async def test_contacts_are_those_of_the_person_whose_token_it_is(registry: Registry, crm: Crm) -> None:
    for person, first in (("alice", "Ada"), ("bob", "Alan")):
        answer = await call(registry, "get_contacts", crm.server.issue(person, SCOPES).access_token)

        assert answer["results"][0]["properties"]["firstname"] == first


async def test_a_company_is_created(registry: Registry, crm: Crm) -> None:
    company = {"name": "Acme", "domain": "acme.example", "industry": "COMPUTER_SOFTWARE"}

    await call(registry, "create_company", crm.server.issue("alice", SCOPES).access_token, company)

    (created,) = crm.records("alice", "companies")
    assert created["properties"].items() >= company.items()


async def test_a_company_needs_all_three_of_its_properties(registry: Registry) -> None:
    tool = registry.find("create_company")

    assert tool is not None
    assert "domain" in str(tool.check({"name": "Acme", "industry": "COMPUTER_SOFTWARE"}))


async def test_hubspots_own_refusal_is_the_answer(registry: Registry, crm: Crm, clock: MovableClock) -> None:
    token = crm.server.issue("alice", SCOPES).access_token
    clock.advance(timedelta(hours=1))

    assert (await call(registry, "get_contacts", token))["category"] == "EXPIRED_AUTHENTICATION"
