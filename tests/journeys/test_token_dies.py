"""A token dies in the middle of a call: the whole gateway, a provider's authorization server, and its API."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from gateway import app
from gateway.settings import load_settings
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.clocks import RunningClock
from gateway.testing.crm import Crm
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from gateway.toolkit.content import Text
from gateway.toolkit.context import NullChannel
from gateway.types import Call, Client, Done, NeedsConnection, Outcome

GUIDE = Path(__file__).parent.parent / "toolkit/guide"
SCOPES = "crm.objects.contacts.read crm.objects.companies.read crm.objects.companies.write"

TOOLKIT = """
import aiohttp, httpx, httpx2, json, requests, urllib.request, urllib3
from concurrent.futures import ThreadPoolExecutor
from gateway import ToolError, ToolKitClient

client = ToolKitClient(app_name="libraries")
URL = "BASE/crm/v3/objects/contacts"
COMPANIES = "BASE/crm/v3/objects/companies"
account = dict(auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token")

def bearer(token):
    return {"Authorization": f"Bearer {token}"}

@client.tool(**account)
def by_requests(auth_token: str):
    return requests.get(URL, headers=bearer(auth_token)).json()

@client.tool(**account)
def by_requests_raising(auth_token: str):
    answer = requests.get(URL, headers=bearer(auth_token))
    answer.raise_for_status()
    return answer.json()

@client.tool(**account)
def by_session_picking(auth_token: str):
    with requests.Session() as session:
        session.headers.update(bearer(auth_token))
        return [each["id"] for each in session.get(URL).json()["results"]]

@client.tool(**account)
def by_requests_swallowing(auth_token: str):
    return {"contacts": requests.get(URL, headers=bearer(auth_token)).json().get("results", [])}

@client.tool(**account)
def by_requests_text(auth_token: str):
    return requests.get(URL, headers=bearer(auth_token)).text

@client.tool(**account)
def by_tool_error(auth_token: str):
    answer = requests.get(URL, headers=bearer(auth_token))
    if not answer.ok:
        raise ToolError(f"HubSpot says {answer.status_code}")
    return answer.json()

@client.tool(**account)
def by_urllib3(auth_token: str):
    return urllib3.request("GET", URL, headers=bearer(auth_token)).json()

@client.tool(**account)
def by_urllib(auth_token: str):
    with urllib.request.urlopen(urllib.request.Request(URL, headers=bearer(auth_token))) as answer:
        return json.load(answer)

@client.tool(**account)
def by_httpx(auth_token: str):
    return httpx.get(URL, headers=bearer(auth_token)).json()

@client.tool(**account)
def by_httpx_raising(auth_token: str):
    return httpx.get(URL, headers=bearer(auth_token)).raise_for_status().json()

@client.tool(**account)
async def by_async_httpx(auth_token: str):
    async with httpx.AsyncClient() as http:
        return (await http.get(URL, headers=bearer(auth_token))).json()

@client.tool(**account)
async def by_async_httpx2(auth_token: str):
    async with httpx2.AsyncClient() as http:
        return (await http.get(URL, headers=bearer(auth_token))).json()

@client.tool(**account)
async def by_async_httpx2_raising(auth_token: str):
    async with httpx2.AsyncClient() as http:
        return (await http.get(URL, headers=bearer(auth_token))).raise_for_status().json()

@client.tool(**account)
async def by_aiohttp(auth_token: str):
    async with aiohttp.ClientSession() as http, http.get(URL, headers=bearer(auth_token)) as answer:
        return await answer.json()

@client.tool(**account)
async def by_aiohttp_raising(auth_token: str):
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        async with http.get(URL, headers=bearer(auth_token)) as answer:
            return await answer.json()

@client.tool(**account)
def by_threads_of_its_own(auth_token: str):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(requests.get, URL, headers=bearer(auth_token)).result().json()

@client.tool(**account)
def create_then_list(auth_token: str):
    made = requests.post(COMPANIES, json={"properties": {"name": "Acme"}}, headers=bearer(auth_token)).json()
    return {"made": made["id"], "all": requests.get(COMPANIES, headers=bearer(auth_token)).json()}

@client.tool(**account)
async def create_then_list_async(auth_token: str):
    async with httpx2.AsyncClient(headers=bearer(auth_token)) as http:
        made = (await http.post(COMPANIES, json={"properties": {"name": "Acme"}})).raise_for_status().json()
        return {"made": made["id"], "all": (await http.get(COMPANIES)).raise_for_status().json()}

@client.tool(**account)
async def create_then_list_aiohttp(auth_token: str):
    async with aiohttp.ClientSession(headers=bearer(auth_token), raise_for_status=True) as http:
        made = await (await http.post(COMPANIES, json={"properties": {"name": "Acme"}})).json()
        return {"made": made["id"], "all": await (await http.get(COMPANIES)).json()}

@client.tool(**account)
def another_host(auth_token: str):
    return requests.get(URL).json()

@client.tool(**account)
def optional_side_request(auth_token: str):
    requests.get(URL, headers=bearer("x" + auth_token[1:]))
    return {"fine": True, "results": requests.get(URL, headers=bearer(auth_token)).json()}
"""


@dataclass
class World:
    crm: Crm
    clock: RunningClock = field(default_factory=RunningClock)
    gateway: app.Gateway = field(init=False)
    dies_after_post: bool = False

    @property
    def refreshes(self) -> int:
        return self.crm.server.count("refresh")

    def end_access(self) -> None:
        """The access token is revoked early at the provider; the refresh token is not."""
        self.crm.server.grants.revoke_access("alice")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The provider's API and authorization server."""
        await self.crm(scope, receive, send)
        if scope["type"] == "http" and (scope["method"], self.dies_after_post) == ("POST", True):
            self.dies_after_post = False
            self.end_access()

    async def call(self, tool: str, **arguments: object) -> Outcome:
        call = Call(self.gateway.principal, Client("test"), tool, arguments, secrets.token_hex(4), NullChannel())
        with anyio.fail_after(15):
            return await self.gateway.executor.call(call)

    async def events(self, action: str) -> list[str]:
        await self.gateway.audit.flush()
        store = (await self.gateway.accounts.open()).store
        return [e.outcome for e in await store.audit.list_latest(self.gateway.principal) if e.action == action]


def said(outcome: Outcome) -> str:
    assert isinstance(outcome, Done), outcome
    return "\n".join(part.text for part in outcome.result.content if isinstance(part, Text))


def contacts(outcome: Outcome) -> int:
    """How many contacts the agent got."""
    assert isinstance(outcome, Done), outcome
    assert not outcome.result.is_error, said(outcome)
    return len(re.findall("Lovelace|Hopper|Johnson", said(outcome)))


@asynccontextmanager
async def opened(folder: Path, isolation: str = "inline") -> AsyncIterator[World]:
    """Provider and gateway, with an account connected."""
    client = RegisteredClient("ours", "our secret", ("http://127.0.0.1/oauth/callback/hubspot",))
    world = World(Crm(AuthorizationServer(client)))
    async with serving(world) as url:
        for file in ("get_contacts.py", "complete_example.py"):
            (folder / file).write_text((GUIDE / file).read_text().replace("https://api.hubapi.com", url))
        (folder / "libraries.py").write_text(TOOLKIT.replace("BASE", url))
        settings = load_settings(
            None,
            {
                "ATP_GATEWAY_SERVER_PORT": "0",
                "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
                "ATP_GATEWAY_TOOLKITS_ISOLATION": isolation,
                "ATP_GATEWAY_TOOLKITS_WORKERS": "1",
                "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
                "ATP_GATEWAY_PROVIDERS__HUBSPOT__ISSUER": url,
                "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID": "ours",
                "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_SECRET": "our secret",
                "ATP_GATEWAY_PROVIDERS__HUBSPOT__SCOPES": SCOPES,
            },
        )
        toolkits = [str(folder / name) for name in ("get_contacts.py", "complete_example.py", "libraries.py")]
        async with app.serving(settings, toolkits, clock=world.clock) as gateway:
            assert gateway.loaded.errors == ()
            world.gateway = gateway
            await connect(world)
            yield world


@pytest.fixture
async def world(tmp_path):
    async with opened(tmp_path) as world:
        yield world


async def connect(world: World) -> None:
    needs = await world.call("get_contacts")
    assert isinstance(needs, NeedsConnection)
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        await Browser(http).consent(needs.url, user="alice")


async def test_the_guide_s_tool_whose_token_was_revoked_early_returns_contacts_in_the_same_call(world):
    assert contacts(await world.call("get_contacts")) == 3
    world.end_access()

    assert contacts(await world.call("get_contacts")) == 3
    assert world.refreshes == 1
    assert await world.events("token.refused") == ["mended"]
    assert await world.events("tool.called") == ["done", "done", "needs_connection"]


async def test_twenty_such_calls_at_once_make_one_refresh(world):
    world.end_access()

    outcomes = await asyncio.gather(*(world.call("get_contacts") for _ in range(20)))

    assert [contacts(outcome) for outcome in outcomes] == [3] * 20
    assert world.refreshes == 1


READERS = re.findall(r"def (by_\w+)", TOOLKIT)


@pytest.mark.parametrize("tool", READERS)
async def test_whichever_library_and_however_it_shows_the_call_is_mended_with_one_refresh(world, tool):
    world.end_access()

    outcome = await world.call(tool)

    assert isinstance(outcome, Done)
    assert not outcome.result.is_error, said(outcome)
    assert '"101"' in said(outcome)  # the first contact's id
    assert world.refreshes == 1


@pytest.mark.parametrize("tool", ["create_then_list", "create_then_list_async", "create_then_list_aiohttp"])
async def test_a_tool_that_had_created_something_is_not_run_twice(world, tool):
    world.dies_after_post = True

    outcome = await world.call(tool)

    assert len(world.crm.records("alice", "companies")) == 1
    assert outcome.result.is_error
    assert "POST 127.0.0.1/crm/v3/objects/companies (201)" in said(outcome)
    assert "The token has been renewed now" in said(outcome)
    assert world.refreshes == 1
    assert await world.events("token.refused") == ["not_repeated"]
    assert not (await world.call(tool)).result.is_error


async def test_a_post_that_was_refused_itself_is_sent_again(world):
    """The guide's create_company: its one request was turned down, so that nothing had been created."""
    world.end_access()

    outcome = await world.call("create_company", name="Acme", domain="acme.example", industry="COMPUTER_SOFTWARE")

    assert not outcome.result.is_error
    assert [company["properties"]["name"] for company in world.crm.records("alice", "companies")] == ["Acme"]
    assert world.refreshes == 1


@pytest.mark.parametrize("tool", ["another_host", "optional_side_request"])
async def test_a_refusal_that_is_not_the_tokens_changes_nothing(world, tool):
    outcome = await world.call(tool)

    assert not outcome.result.is_error
    assert world.refreshes == 0
    assert await world.events("token.refused") == []


async def test_a_connection_that_the_person_ended_at_the_provider_ends_the_call_with_the_link(world):
    world.crm.server.grants.revoke_all("alice")

    outcome = await world.call("get_contacts")

    assert isinstance(outcome, NeedsConnection)
    assert await world.events("token.refused") == ["needs_connection"]


async def test_a_provider_that_cannot_renew_leaves_the_tool_its_answer(world):
    world.end_access()
    world.crm.server.fail_next(status=503)

    outcome = await world.call("get_contacts")

    assert outcome.result.is_error
    assert "INVALID_AUTHENTICATION" in said(outcome)
    assert "HubSpot refused the access token" in said(outcome)
