"""The demo's toolkit, held against the demo's CRM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ToolError
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.crm import Crm
from gateway.testing.serving import serving
from gateway.toolkit.context import Channel, Context, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.types import Credential

TOOLKIT = Path(__file__).parents[2] / "toolkits" / "demo"
SCOPES = {"crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.companies.write"}


class Listening(NullChannel):
    """A host that writes down the progress it hears of."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, float | None, str | None]] = []

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        self.heard.append((done, total, message))


@pytest.fixture
def crm() -> Crm:
    return Crm(AuthorizationServer())


@pytest.fixture
async def registry(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Registry]:
    async with serving(crm) as url:
        monkeypatch.setenv("DEMO_CRM_URL", url)
        registry = Registry()
        report = Loader(registry).load(str(TOOLKIT))
        assert not report.errors
        yield registry


async def call(
    registry: Registry,
    name: str,
    token: str,
    arguments: Mapping[str, Any] | None = None,
    channel: Channel | None = None,
) -> Any:
    tool = registry.find(name)
    assert tool is not None
    assert tool.check(arguments or {}) is None
    context = Context(channel or NullChannel(), asyncio.get_running_loop())
    return await tool.run(arguments or {}, Credential("demo-crm", token), context)


async def test_it_says_whose_account_it_uses(registry: Registry, crm: Crm) -> None:
    assert await call(registry, "who_am_i", crm.server.issue("bob", SCOPES).access_token) == {
        "name": "Bob Baker",
        "email": "bob@example.com",
    }


async def test_contacts_are_short(registry: Registry, crm: Crm) -> None:
    contacts = await call(registry, "list_contacts", crm.server.issue("carol", SCOPES).access_token)

    assert contacts == [{"name": "Radia Perlman", "email": "radia@spanning.example"}]


async def test_a_company_needs_no_industry(registry: Registry, crm: Crm) -> None:
    token = crm.server.issue("alice", SCOPES).access_token

    created = await call(registry, "create_company", token, {"name": "Acme", "domain": "acme.example"})

    assert created["name"] == "Acme"
    assert crm.records("alice", "companies")[0]["id"] == created["id"]


async def test_an_import_reports_each_step(registry: Registry, crm: Crm) -> None:
    token, host = crm.server.issue("carol", SCOPES).access_token, Listening()

    added = await call(registry, "import_contacts", token, {"emails": ["grace.hopper@cobol.example"]}, host)

    assert added == {"added": 1}
    assert crm.records("carol", "contacts")[-1]["properties"]["lastname"] == "Hopper"
    assert host.heard == [(0, 1, "Adding grace.hopper@cobol.example"), (1, 1, "All added")]


async def test_the_types_of_a_signature_are_its_schema(registry: Registry) -> None:
    tool = registry.find("import_contacts")

    assert tool is not None
    assert tool.input_schema["properties"].keys() == {"emails"}
    assert "a string" in str(tool.check({"emails": [1]}))


async def test_a_refusal_is_told_to_the_model_in_the_crms_words(registry: Registry, crm: Crm) -> None:
    with pytest.raises(ToolError, match="hasn't been granted all required scopes"):
        await call(registry, "list_contacts", crm.server.issue("alice", ()).access_token)
    with pytest.raises(ToolError, match="credentials not found"):
        await call(registry, "list_contacts", "nonsense")


async def test_a_crm_that_is_gone_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_CRM_URL", "http://127.0.0.1:1")
    fresh = Registry()
    Loader(fresh).load(str(TOOLKIT))

    with pytest.raises(ToolError, match="Is `atp-gateway demo` still running"):
        await call(fresh, "who_am_i", "any")
