"""The whole story, with a real OpenID provider: a first call, a consent, and the right person's account ever after.

Our gateway runs in this process with two people behind it, told apart by a header. The tool asks the provider whose
token it was given, so what a test sees is what the provider says.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway import app
from gateway.access.scopes import EVERY
from gateway.clock import MovableClock
from gateway.settings import load_settings
from gateway.testing.browser import Browser
from gateway.types import Access, Principal
from tests.journeys.oidc_provider import CLIENT_ID, CLIENT_SECRET

TOOLKIT = '''
from pathlib import Path

import httpx2

from gateway import Credential, ToolKitClient

client = ToolKitClient(app_name="acme")


@client.tool(auth_provider="acme", scopes=["openid", "email"])
async def whoami(credential: Credential) -> str:
    """Ask the provider whose token this is."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get("ISSUER/me", headers={"Authorization": f"Bearer {credential.token}"})
        return answer.raise_for_status().json()["email"]


@client.tool(auth_provider="acme", scopes=["openid", "email"])
def leak(credential: Credential) -> dict:
    """Return the token by mistake."""
    Path(__file__).with_name("leaked").write_text(credential.token)
    return {"request": {"headers": [f"Authorization: Bearer {credential.token}"]}, credential.token: True}
'''


class ByHeader:
    """Whoever `x-person` names: a stand-in for a proxy that has logged them in."""

    async def program(self, headers: Mapping[str, str]) -> Access | None:
        return Access(Principal("test", headers["x-person"]), scopes=EVERY) if "x-person" in headers else None

    browser = program

    async def stands(self, headers: Mapping[str, str], access: Access) -> bool:
        return True


@dataclass
class Team:
    """The running gateway and what the people behind it do."""

    url: str
    clock: MovableClock
    folder: Path

    @asynccontextmanager
    async def host(self, person: str):
        """An MCP client that speaks for a person."""
        http = httpx2.AsyncClient(headers={"x-person": person}, trust_env=False, timeout=30)
        async with http, Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client:
            yield client

    async def call(self, person: str, tool: str = "whoami") -> str:
        async with self.host(person) as client:
            result = await client.call_tool(tool, {})
        return result.content[0].text

    async def connect(self, person: str) -> None:
        """A first call, and the consent that it asks for. The person has the same name at the provider."""
        link = re.search(rf"{self.url}/connect/[\w-]+", await self.call(person))
        assert link
        async with httpx2.AsyncClient(headers={"x-person": person}, trust_env=False, timeout=10) as http:
            await Browser(http).consent(link[0], user=person)


@pytest.fixture
async def team(tmp_path, oidc_provider):
    toolkit = tmp_path / "acme.py"
    toolkit.write_text(TOOLKIT.replace("ISSUER", oidc_provider.issuer))
    settings = load_settings(
        None,
        {
            "ATP_GATEWAY_SERVER_PORT": "0",
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "ATP_GATEWAY_PROVIDERS__ACME__ISSUER": oidc_provider.issuer,
            "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_ID": CLIENT_ID,
            "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_SECRET": CLIENT_SECRET,
        },
    )
    clock = MovableClock()
    async with app.serving(settings, [str(toolkit)], authenticator=ByHeader(), clock=clock) as gateway:
        yield Team(gateway.base_url, clock, tmp_path)


async def test_the_first_call_leads_to_a_consent_and_the_next_one_acts_as_that_person(team):
    await team.connect("alice")

    assert await team.call("alice") == "alice@example.test"


async def test_two_people_at_once_never_get_each_others_account(team):
    await team.connect("alice")
    await team.connect("bob")
    heard: dict[str, list[str]] = {"alice": [], "bob": []}

    async def keep_asking(person: str) -> None:
        async with team.host(person) as client:
            for _ in range(10):
                result = await client.call_tool("whoami", {})
                heard[person].append(result.content[0].text)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as people:
            for person in ("alice", "bob", "alice", "bob"):
                people.start_soon(keep_asking, person)

    assert heard == {"alice": ["alice@example.test"] * 20, "bob": ["bob@example.test"] * 20}


async def test_a_stranger_to_the_connection_is_asked_to_connect_their_own(team):
    await team.connect("alice")

    assert f"{team.url}/connect/" in await team.call("bob")


async def test_after_expiry_many_calls_at_once_cost_one_refresh(team, oidc_provider):
    await team.connect("alice")
    team.clock.advance(timedelta(hours=2))
    heard = []

    async def ask() -> None:
        heard.append(await team.call("alice"))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as calls:
            for _ in range(8):
                calls.start_soon(ask)

    assert heard == ["alice@example.test"] * 8
    assert await oidc_provider.refreshes() == ["ok"]


async def test_a_provider_that_is_down_for_a_moment_costs_nobody_their_connection(team, oidc_provider):
    await team.connect("alice")
    team.clock.advance(timedelta(hours=2))
    await oidc_provider.order(fail_refresh=1)

    first = await team.call("alice")
    team.clock.advance(timedelta(minutes=5))

    assert "/connect/" not in first
    assert await team.call("alice") == "alice@example.test"
    assert (await oidc_provider.refreshes())[-1] == "ok"


async def test_a_tool_that_returns_its_token_by_mistake_has_it_redacted(team):
    await team.connect("alice")
    async with team.host("alice") as client:
        result = await client.call_tool("leak", {})

    token = (team.folder / "leaked").read_text()
    assert len(token) > 20
    assert token not in result.model_dump_json()
    assert token.encode() not in (team.folder / "gateway.db").read_bytes()
