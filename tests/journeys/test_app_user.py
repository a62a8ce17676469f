"""The story of an app's user: the published SDK, a gateway as it is wired, and a browser that is signed in nowhere.

The app begins a consent for its user and waits. The user opens the link, agrees at the provider, and is sent back to
the app. Then the app's calls use that account, and the raw tokens stay inside until an administrator grants them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from atp_sdk.clients import LLMClient as Published  # here: once a toolkit was loaded, the name is ours

from gateway import app
from gateway.access.key_rules import Rights
from gateway.access.keys import Keys
from gateway.app import Gateway
from gateway.key_types import ApiKey, KeyKind
from gateway.settings import load_settings
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.browser import Browser
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving
from gateway.types import AuditEvent, Principal

BACK = "https://notes.example/connected"
USER = "alice@example.com"
TOOLKIT = """
from gateway import Credential, ToolKitClient

client = ToolKitClient(app_name="kit")

@client.tool(auth_provider="acme", scopes=["contacts.read"])
def whose(credential: Credential) -> str:
    "Says whose account it was given."
    return str(credential.account)
"""
ASKED = [{"type": "function_call", "call_id": "c1", "name": "whose", "arguments": "{}"}]


@dataclass
class Place:
    gateway: Gateway
    keys: Keys
    server: AuthorizationServer
    key: ApiKey
    text: str

    def client(self, text: str | None = None) -> Any:
        return Published(api_key=text or self.text, base_url=self.gateway.base_url)

    async def new_key(self, name: str, **more: Any) -> tuple[ApiKey, str]:
        key, text = await self.keys.create(KeyKind.APP, name, by=self.gateway.principal, **more)
        return key, text.reveal()


@asynccontextmanager
async def place_in(tmp_path: Path, **atp: str) -> AsyncIterator[Place]:
    """A gateway in this folder. Keyword arguments are settings under [atp]."""
    (tmp_path / "kit.py").write_text(TOOLKIT)
    server = AuthorizationServer(RegisteredClient("ours", "ours-0123456789", ("http://127.0.0.1/oauth/callback/acme",)))
    async with serving(server) as issuer:
        settings = {
            "ATP_GATEWAY_SERVER_PORT": "0",
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "ATP_GATEWAY_PROVIDERS__ACME__ISSUER": issuer,
            "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_ID": "ours",
            "ATP_GATEWAY_PROVIDERS__ACME__CLIENT_SECRET": "ours-0123456789",
            **{f"ATP_GATEWAY_ATP_{name.upper()}": value for name, value in atp.items()},
        }
        async with app.serving(load_settings(None, settings), [str(tmp_path / "kit.py")]) as gateway:
            keys = (await gateway.accounts.open()).keys
            rights = Rights(return_urls=(BACK,))
            key, text = await keys.create(KeyKind.APP, "Notes", by=gateway.principal, rights=rights)
            yield Place(gateway, keys, server, key, text.reveal())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_in(tmp_path) as place:
        yield place


async def test_an_apps_user_connects_comes_back_and_is_acted_for(place: Place) -> None:
    client = place.client()
    begun = await asyncio.to_thread(client.initiate_oauth_connection, "acme", USER, BACK)
    waiting = asyncio.create_task(
        asyncio.to_thread(client.wait_for_connection, "acme", USER, timeout=20, poll_interval=0.1)
    )

    async with Browser() as browser:
        asked = await browser.open(begun["authorization_url"])
        ended = await browser.consent(begun["authorization_url"], "alice", stop_at=BACK)
    found = await waiting
    answers = await asyncio.to_thread(client.call_tool, "kit", ASKED)

    assert {name for name, value in begun.items() if value is None} == {"provider_logo"}
    assert begun["developer_app_name"] == "Notes"
    assert "note" not in begun
    assert f"asks to use your {begun['provider_name']} account for its user {USER}" in asked.text
    assert ended.url == f"{BACK}?status=connected&connection_id={found['integration_id']}"
    assert (found["status"], found["external_user_id"]) == ("completed", USER)
    assert "contacts.read" in found["scope"].split()
    assert (found["access_token"], found["refresh_token"]) == (None, None)
    assert json.loads(answers[0]["output"]) == "alice@example.com"
    [called] = [event for event in await events_of(place) if event.action == "tool.called"]
    assert (called.client_id, called.account, len(called.arguments or "")) == ("Notes", "alice@example.com", 64)
    assert "contacts.read" in called.scopes


async def events_of(place: Place) -> list[AuditEvent]:
    """What is on record of the app's user."""
    await place.gateway.audit.flush()
    store = (await place.gateway.accounts.open()).store
    return await store.audit.list_latest(Principal("app:Notes", USER))


async def test_raw_tokens_come_with_their_permission_and_each_use_is_on_record(place: Place) -> None:
    client = place.client()
    begun = await asyncio.to_thread(client.initiate_oauth_connection, "acme", USER)
    async with Browser() as browser:
        done = await browser.consent(begun["authorization_url"], "alice")
    without = await asyncio.to_thread(client.get_user_tokens, "acme", USER)

    await place.keys.allow(place.key, Rights(may=("tokens",)), by=place.gateway.principal)
    granted = await asyncio.to_thread(client.get_user_tokens, "acme", USER)
    await place.keys.deny(place.key, Rights(may=("tokens",)), by=place.gateway.principal)
    taken_away = await asyncio.to_thread(client.get_user_tokens, "acme", USER)

    assert "You can close this tab" in done.text
    assert without["access_token"] is taken_away["access_token"] is None
    assert f"atp-gateway keys allow {place.key.prefix} --may tokens" in without["note"]
    assert place.server.grants.find_access(granted["access_token"]).grant.person.name == "alice"
    assert [event.action for event in await events_of(place)].count("tokens.handed_out") == 1


async def test_no_other_app_or_tenant_sees_the_connection_and_a_revoked_key_sees_nothing(place: Place) -> None:
    begun = await asyncio.to_thread(place.client().initiate_oauth_connection, "acme", USER)
    async with Browser() as browser:
        await browser.consent(begun["authorization_url"], "alice")
    other, tenant = await place.new_key("Other"), await place.new_key("Notes", tenant="acme")
    second = await place.new_key("Notes")

    for _, text in (other, tenant):
        with pytest.raises(Exception, match="404"):
            await asyncio.to_thread(place.client(text).get_user_tokens, "acme", USER)
        (answer,) = await asyncio.to_thread(place.client(text).call_tool, "kit", ASKED)
        assert json.loads(answer["output"]) == {}  # what the SDK makes of a task that failed
    await place.keys.revoke(place.key, by=place.gateway.principal)
    with pytest.raises(Exception, match="401"):
        await asyncio.to_thread(place.client().get_user_tokens, "acme", USER)
    found = await asyncio.to_thread(place.client(second[1]).get_user_tokens, "acme", USER)

    assert found["external_user_id"] == USER
